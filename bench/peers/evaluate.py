"""Judges what the tools found: `evaluate.py ATLAS FOLDER NAME...` prints a JSON object by name.

FOLDER/NAME holds `found.npz`, or `found.h5ad` of cellmill, whose graph and components are what the
others are compared with. What cannot be computed is null, with the reason under "why".
"""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import scipy.sparse as sp
from sklearn.metrics import adjusted_rand_score

QUERIES, LEAST_QUERIES, KEPT, COMPONENTS = 1000, 30, 15, 10
# Points of a block of the brute force: 1,000 queries against them are 400 MB.
BLOCK = 50_000


def read_npz(path: Path) -> dict:
    with np.load(path) as file:
        found = {name: file[name] for name in file.files}
    n = len(found["X_pca"])
    if "data" in found:
        parts = (found["data"], found["indices"], found["indptr"])
        found["graph"] = sp.csr_matrix(parts, shape=(n, n))
    found["missing"] = json.loads(str(found["missing"]))
    return found


def read_h5ad(path: Path) -> dict:
    with h5py.File(path, "r") as file:

        def csr(name: str):
            group = file[name]
            parts = (group["data"][:], group["indices"][:], group["indptr"][:])
            return sp.csr_matrix(parts, shape=tuple(group.attrs["shape"]))

        distances, names = csr("obsp/distances"), file["var/_index"].asstr()[:]
        return {
            "X_pca": file["obsm/X_pca"][:],
            "X_umap": file["obsm/X_umap"][:],
            "labels": file["obs/leiden/codes"][:].astype(np.int64),
            "genes": names[file["var/highly_variable"][:]],
            "knn": distances.indices.reshape(distances.shape[0], -1),
            "graph": csr("obsp/connectivities"),
            "missing": {},
        }


def read(folder: Path) -> dict | None:
    for name, reader in (("found.npz", read_npz), ("found.h5ad", read_h5ad)):
        if (folder / name).exists():
            return reader(folder / name)
    return None


def cell_types(atlas: str) -> np.ndarray | None:
    with h5py.File(atlas, "r") as file:
        column = file["obs"].get("cell_type")
        return None if column is None else column["codes"][:].astype(np.int64)


def exact(points: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest others of the points at `queries`, by brute force in float64, and distances."""
    own = points[queries].astype(np.float64)
    near = np.empty((len(queries), 0), np.int64)
    far = np.empty((len(queries), 0))
    for start in range(0, len(points), BLOCK):
        block = points[start : start + BLOCK].astype(np.float64)
        squares = (block**2).sum(1) - 2 * own @ block.T + (own**2).sum(1)[:, None]
        inside = (queries >= start) & (queries < start + len(block))
        squares[np.flatnonzero(inside), queries[inside] - start] = np.inf
        take = min(k, len(block))
        best = np.argpartition(squares, take - 1, axis=1)[:, :take]
        far = np.hstack([far, np.take_along_axis(squares, best, 1)])
        near = np.hstack([near, best + start])
        order = np.argsort(far, axis=1, kind="stable")[:, :k]
        far, near = np.take_along_axis(far, order, 1), np.take_along_axis(near, order, 1)
    return near, np.sqrt(np.maximum(far, 0))


def recalls(points: np.ndarray, knn: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The share of the exact neighbours of each query in `knn`; of equal distances any counts."""
    k = knn.shape[1]
    _, distances = exact(points, queries, k)
    found = knn[queries]
    own = points[queries].astype(np.float64)[:, None]
    theirs = np.linalg.norm(points[found].astype(np.float64) - own, axis=2)
    good = (theirs <= distances[:, -1:] * (1 + 1e-5)) & (found >= 0) & (found != queries[:, None])
    # An index that is there twice counts once.
    ordered = np.sort(np.where(good, found, -1), axis=1)
    new = np.hstack([np.ones((len(found), 1), bool), np.diff(ordered, axis=1) != 0])
    return ((ordered >= 0) & new).sum(1) / k


def least(values: np.ndarray, types: np.ndarray) -> float | None:
    """The mean of the type that fares worst, of those with enough queries."""
    means = [
        values[types == t].mean() for t in np.unique(types) if (types == t).sum() >= LEAST_QUERIES
    ]
    return min(means, default=None)


def modularity(graph: sp.csr_matrix, labels: np.ndarray) -> float:
    """Newman's, weighted, at resolution 1: what igraph's `modularity` says."""
    graph = graph.tocoo()
    weights = graph.data.astype(np.float64)
    total = weights.sum()
    inside = weights[labels[graph.row] == labels[graph.col]].sum()
    degrees = np.bincount(labels[graph.row], weights)
    return inside / total - ((degrees / total) ** 2).sum()


def knn_kept(high: np.ndarray, low: np.ndarray, queries: np.ndarray) -> float:
    above, below = exact(high, queries, KEPT)[0], exact(low, queries, KEPT)[0]
    return (above[:, :, None] == below[:, None, :]).any(2).mean()


def angle(a: np.ndarray, b: np.ndarray) -> float:
    """The largest principal angle of the spaces of the first components' scores, in degrees."""
    bases = [np.linalg.qr(x.astype(np.float64) - x.mean(0, dtype=np.float64))[0] for x in (a, b)]
    cosines = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    return np.degrees(np.arccos(np.clip(cosines[-1], -1, 1)))


def judge(found: dict, common: dict | None, types: np.ndarray | None) -> dict:
    quality, why = {}, dict(found["missing"])
    n = len(found["X_pca"])

    def put(key: str, compute, *absent: str) -> None:
        """Computes one measure, unless a reason says that it cannot be."""
        reason = next(filter(None, absent), why.get(key, ""))
        value = None if reason else compute()
        if value is not None and not np.isfinite(value):
            value, reason = None, "it is not a finite number"
        elif value is None:
            reason = reason or f"no type has {LEAST_QUERIES} of the queries"
        quality[key] = None if value is None else round(float(value), 5)
        if value is None:
            why[key] = reason

    finite = {name: np.isfinite(found[name]).all() for name in ("X_pca", "X_umap")}
    no_pca = "" if finite["X_pca"] else "X_pca has values that are not finite"
    no_umap = "" if finite["X_umap"] else "X_umap has values that are not finite"
    no_types = "" if types is not None else "obs has no cell_type"
    if types is not None and len(types) != n:
        no_types = f"it has {n} of the {len(types)} cells"
    no_common = "" if common is not None else "cellmill has no result on this atlas"
    if common is not None and len(common["X_pca"]) != n:
        no_common = f"it has {n} cells, cellmill {len(common['X_pca'])}"
    no_graph = "" if "graph" in found else why.get("modularity_own", "it keeps no graph")

    labels = np.unique(found["labels"], return_inverse=True)[1]
    queries = np.sort(np.random.default_rng(0).choice(n, min(n, QUERIES), replace=False))
    each = None if no_pca else recalls(found["X_pca"], found["knn"], queries)
    put("recall", lambda: each.mean(), no_pca)
    put("recall_least", lambda: least(each, types[queries]), no_pca, no_types)
    put("modularity_own", lambda: modularity(found["graph"], labels), no_graph)
    put("modularity_common", lambda: modularity(common["graph"], labels), no_common)
    put("clusters", lambda: labels.max() + 1)
    put("ari", lambda: adjusted_rand_score(types, labels), no_types)
    put("knn_kept", lambda: knn_kept(found["X_pca"], found["X_umap"], queries), no_pca, no_umap)
    first = lambda x: x["X_pca"][:, :COMPONENTS]  # noqa: E731
    put("angle", lambda: angle(first(found), first(common)), no_pca, no_common)
    put("genes_shared", lambda: len(np.intersect1d(found["genes"], common["genes"])), no_common)
    return quality | {"why": why}


def main() -> None:
    atlas, folder, names = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    common, types = read(folder / "cellmill"), cell_types(atlas)
    judged = {}
    for name in names:
        found = read(folder / name)
        if found is not None:
            judged[name] = judge(found, common, types)
    print(json.dumps(judged))


if __name__ == "__main__":
    main()
