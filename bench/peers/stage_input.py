"""Inputs of the kernels: `stage_input.py points|knn|graph RESULT FOLDER N`.

Of a result of cellmill, or of N cells of it drawn at random (0: of all): first the points; then,
once they were searched, our neighbours and their distances; then the graph, which is the result's
connectivities, or umap-learn's fuzzy set of our neighbours where cells were drawn.
"""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import scipy.sparse as sp
from evaluate import read_h5ad


def points(result: Path, folder: Path, n: int) -> None:
    with h5py.File(result, "r") as file:
        x = file["obsm/X_pca"][:].astype(np.float32)
        column = file["obs"].get("cell_type")
        types = None if column is None else column["codes"][:].astype(np.int64)
    if n and n < len(x):
        drawn = np.sort(np.random.default_rng(0).choice(len(x), n, replace=False))
        x, types = x[drawn], None if types is None else types[drawn]
    x = np.ascontiguousarray(x)
    np.save(folder / "points.npy", x)
    x.astype("<f4").tofile(folder / "points.f32")
    (folder / "types.npy").unlink(missing_ok=True)
    if types is not None:
        np.save(folder / "types.npy", types)
    print(json.dumps({"points": len(x), "dimensions": x.shape[1]}))


def neighbours(result: Path, folder: Path, drawn: bool) -> None:
    x = np.load(folder / "points.npy")
    knn = np.fromfile(folder / "knn.u32", "<u4").reshape(len(x), -1).astype(np.int64)
    # The distances that the result's graph was made of; of drawn cells they are computed again.
    if not drawn:
        kept = read_distances(result, len(x))
        rows = np.arange(len(x))[:, None]
        distances = np.asarray(kept[rows, knn].todense(), np.float32)
        if (distances > 0).all():
            order = np.argsort(distances, axis=1, kind="stable")
            np.save(folder / "knn.npy", np.take_along_axis(knn, order, 1))
            np.save(folder / "distances.npy", np.take_along_axis(distances, order, 1))
            return
    distances = np.empty(knn.shape, np.float32)
    for start in range(0, len(x), 10_000):
        rows = slice(start, start + 10_000)
        apart = x[knn[rows]].astype(np.float64) - x[rows, None]
        distances[rows] = np.sqrt((apart**2).sum(2))
    np.save(folder / "knn.npy", knn)
    np.save(folder / "distances.npy", distances)


def read_distances(result: Path, n: int) -> sp.csr_matrix:
    with h5py.File(result, "r") as file:
        group = file["obsp/distances"]
        parts = (group["data"][:], group["indices"][:], group["indptr"][:])
        return sp.csr_matrix(parts, shape=(n, n))


def graph(result: Path, folder: Path, drawn: bool) -> None:
    if drawn:
        parts = dict(np.load(folder / "fuzzy-umap-learn.npz"))
    else:
        found = read_h5ad(result)["graph"]
        found.sort_indices()
        parts = {"data": found.data, "indices": found.indices, "indptr": found.indptr}
    np.savez(folder / "graph.npz", **parts)
    parts["indptr"].astype("<u8").tofile(folder / "indptr.u64")
    parts["indices"].astype("<u4").tofile(folder / "indices.u32")
    parts["data"].astype("<f4").tofile(folder / "weights.f32")
    print(json.dumps({"entries_of_graph": len(parts["data"])}))


if __name__ == "__main__":
    what, result, folder, n = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    if what == "points":
        points(result, folder, n)
    elif what == "knn":
        neighbours(result, folder, bool(n))
        print("{}")
    else:
        graph(result, folder, bool(n))
