"""Compares the layout of `examples/umap.rs` with umap-learn's on the same graph.

usage: compare_umap.py OUTPUT DATASET [--no-reference] [--seeds N] [--epochs N] [--init spectral|pca]

DATASET: a .h5ad of raw counts, or `tree:N` for a synthetic atlas of N cells (a tree of types
whose branches get shorter and whose covariances decay). Needs scanpy and umap-learn, and the
example to be built in target/release/examples. Writes OUTPUT/compare.png and prints one row of
figures a layout; rows of other seeds show the noise.
"""

import argparse
import pathlib
import subprocess
import time
import warnings

import numpy as np
import scipy.sparse as sp

warnings.filterwarnings("ignore")
ROOT = pathlib.Path(__file__).resolve().parents[3]
NOISE = 2.2
A, B = 0.5830300203414425, 1.3341669924314914


def tree(n, seed=0, d=50):
    rng = np.random.default_rng(seed)
    scale = 0.93 ** np.arange(d)
    nodes = [np.zeros(d)]
    length = 9.0
    while len(nodes) < 40:
        nodes = [c + length * scale * rng.normal(size=d) / 2 for c in nodes for _ in range(rng.integers(2, 5))]
        length *= 0.62
    share = rng.lognormal(0, 1.2, len(nodes))
    label = rng.choice(len(nodes), n, p=share / share.sum())
    # Each type has its own covariance, and one direction along which it is stretched.
    x = np.empty((n, d), np.float32)
    for t, centre in enumerate(nodes):
        rows = np.flatnonzero(label == t)
        own = NOISE * scale * rng.uniform(0.4, 1.0, d)
        line = rng.normal(size=d) * scale
        along = rng.uniform(-1, 1, (len(rows), 1)) * rng.uniform(0.5, 2.5)
        x[rows] = centre + along * line + own * rng.normal(size=(len(rows), d))
    x -= x.mean(0)
    u, s, vt = np.linalg.svd(x[:: max(1, n // 20000)], full_matrices=False)
    return np.ascontiguousarray(x @ vt.T, dtype=np.float32), label


def real(path):
    import scanpy as sc

    adata = sc.read_h5ad(path)
    label = next(c for c in ("cell_type", "celltype", "cell_line") if c in adata.obs)
    sc.pp.filter_genes(adata, min_cells=3)
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.highly_variable_genes(adata)
    sc.pp.pca(adata)
    codes = adata.obs[label].astype("category").cat.codes.to_numpy()
    return np.ascontiguousarray(adata.obsm["X_pca"], dtype=np.float32), codes


def graph_of(x, k=15):
    import anndata
    import scanpy as sc

    adata = anndata.AnnData(np.zeros((len(x), 1), np.float32), obsm={"X_pca": x})
    sc.pp.neighbors(adata, n_neighbors=k, use_rep="X_pca")
    graph = adata.obsp["connectivities"].tocsr().astype(np.float32)
    graph.sort_indices()
    return graph


def loss(graph, y, seed=0):
    """The loss that the descent lowers: pulls by weight, five pushes a pull."""
    rng = np.random.default_rng(seed)
    n = len(y)
    coo = graph.tocoo()

    def near(i, j):
        return 1 / (1 + A * (((y[i] - y[j]) ** 2).sum(1)) ** B)

    pull = -(coo.data * np.log(np.maximum(near(coo.row, coo.col), 1e-4))).sum() / coo.data.sum()
    degree = np.asarray(graph.sum(1)).ravel()
    heads = rng.choice(n, 2_000_000, p=degree / degree.sum())
    tails = rng.integers(0, n, len(heads))
    keep = heads != tails
    push = -np.log(np.maximum(1 - near(heads[keep], tails[keep]), 1e-4)).mean()
    return pull, pull + 5 * push


def measures(graph, x, label, y, folder):
    from scipy.stats import rankdata
    from sklearn.metrics import silhouette_score
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(1)
    n = len(y)
    probe = rng.choice(n, min(n, 2000), replace=False)
    high = NearestNeighbors(n_neighbors=51).fit(x).kneighbors(x[probe], return_distance=False)[:, 1:]
    low = NearestNeighbors(n_neighbors=51).fit(y).kneighbors(y[probe], return_distance=False)[:, 1:]
    row = {}
    row["pull"], row["loss"] = loss(graph, y)
    for k in (15, 30, 50):
        row[f"knn{k}"] = np.mean([len(np.intersect1d(a[:k], b[:k])) / k for a, b in zip(high, low)])
    row["purity"] = (label[low[:, :15]] == label[probe, None]).mean()
    sample = rng.choice(n, min(n, 5000), replace=False)
    row["silh"] = silhouette_score(y[sample], label[sample])
    i, j = rng.integers(0, n, (2, 100_000))
    dx, dy = np.linalg.norm(x[i] - x[j], axis=1), np.linalg.norm(y[i] - y[j], axis=1)
    row["rank"] = np.corrcoef(rankdata(dx), rankdata(dy))[0, 1]
    row["torn"] = torn(graph, label, y)
    row["part"], row["bylabel"] = parts(label, y, folder)
    return row


def torn(graph, label, y):
    """Labelled clusters, connected in the graph, of which a tenth lies apart in the layout."""
    from sklearn.neighbors import radius_neighbors_graph

    count = 0
    for t in np.unique(label[label >= 0]):
        rows = np.flatnonzero(label == t)
        if len(rows) < 50:
            continue
        if len(rows) > 6000:
            rows = np.sort(np.random.default_rng(0).choice(rows, 6000, replace=False))
            inside = 1
        else:
            _, parts = sp.csgraph.connected_components(graph[rows][:, rows], directed=False)
            inside = (np.bincount(parts) > 0.1 * len(rows)).sum()
        linked = radius_neighbors_graph(y[rows], 1.0)
        _, parts = sp.csgraph.connected_components(linked, directed=False)
        count += (np.bincount(parts) > 0.1 * len(rows)).sum() > inside
    return count


def reference(graph, start, epochs, seed):
    from umap.umap_ import make_epochs_per_sample
    from umap.layouts import optimize_layout_euclidean

    graph = graph.tocoo(copy=True)
    n = graph.shape[0]
    graph.data[graph.data < graph.data.max() / epochs] = 0
    graph.eliminate_zeros()
    state = np.random.RandomState(seed).randint(-(2**31) + 1, 2**31 - 1, 3).astype(np.int64)
    y = start.copy()
    began = time.process_time()
    y = optimize_layout_euclidean(
        y, y, graph.row, graph.col, epochs, n, make_epochs_per_sample(graph.data, epochs), A, B,
        state, 1.0, 1.0, 5.0, parallel=False, move_other=True,
    )
    print(f"umap-learn's descent: {time.process_time() - began:.1f} CPU s", flush=True)
    return y


def ours(folder, init, seed, epochs, threads=2):
    command = [ROOT / "target/release/examples/umap", folder, init, str(threads), str(seed), str(epochs)]
    print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip(), flush=True)
    return tuple(np.fromfile(folder / f, np.float32).reshape(-1, 2) for f in ("layout.f32", "start.f32"))


def parts(label, y, folder):
    """How often the part of a cell is told by its neighbours in the layout of the same label.

    Parts follow the graph, so this is high for every good layout: what counts is that it is no
    higher for ours than for umap-learn's.
    """
    from sklearn.neighbors import NearestNeighbors

    part = np.fromfile(folder / "parts.u32", np.uint32).astype(int)
    rng = np.random.default_rng(0)
    probe = rng.choice(len(y), min(len(y), 20_000), replace=False)
    near = NearestNeighbors(n_neighbors=31).fit(y).kneighbors(y[probe], return_distance=False)[:, 1:]
    same = label[near] == label[probe, None]
    votes = np.stack([((part[near] == p) & same).sum(1) for p in range(part.max() + 1)], 1)
    told = (votes.argmax(1) == part[probe]).mean()
    # By the label alone: the most frequent part of each.
    table = np.zeros((label.max() + 2, part.max() + 1), int)
    np.add.at(table, (label, part), 1)
    return told, (table.argmax(1)[label[probe]] == part[probe]).mean()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("dataset")
    parser.add_argument("--no-reference", action="store_true")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=0)
    parser.add_argument("--init", default="spectral")
    options = parser.parse_args()
    folder = options.output
    folder.mkdir(parents=True, exist_ok=True)
    cache = folder / "data.npz"
    if cache.exists():
        saved = np.load(cache)
        x, label = saved["x"], saved["label"]
        graph = sp.csr_matrix((saved["data"], saved["indices"], saved["indptr"]))
    else:
        x, label = tree(int(options.dataset[5:])) if options.dataset.startswith("tree:") else real(options.dataset)
        graph = graph_of(x)
        np.savez(cache, x=x, label=label, data=graph.data, indices=graph.indices, indptr=graph.indptr)
    graph.indptr.astype(np.uint64).tofile(folder / "indptr.u64")
    graph.indices.astype(np.uint32).tofile(folder / "indices.u32")
    graph.data.astype(np.float32).tofile(folder / "weights.f32")
    init = "spectral"
    if options.init == "pca":
        init = "init"
        rng = np.random.default_rng(0)
        start = x[:, :2] * (10 / np.abs(x[:, :2]).max()) + rng.normal(0, 1e-4, (len(x), 2))
        start.astype(np.float32).tofile(folder / "init.f32")
    n = len(x)
    epochs = options.epochs or (500 if n <= 10000 else 200)
    print(f"{n} cells, {graph.nnz} entries, {epochs} epochs")
    rows, pictures = [], []
    for seed in range(options.seeds):
        y, start = ours(folder, init, seed, epochs)
        rows.append((f"ours {seed}", measures(graph, x, label, y, folder)))
        pictures.append((f"ours {seed}", y))
        if not options.no_reference:
            path = folder / f"reference{seed}-{options.init}-{epochs}.npy"
            if not path.exists():
                np.save(path, reference(graph, start, epochs, seed))
            z = np.load(path)
            rows.append((f"umap-learn {seed}", measures(graph, x, label, z, folder)))
            pictures.append((f"umap-learn {seed}", z))
    print(" " * 14 + " ".join(f"{k:>8}" for k in rows[0][1]))
    for name, row in rows:
        print(f"{name:14}" + " ".join(f"{v:8.4f}" for v in row.values()))
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    pictures = pictures[:2]
    figure, axes = plt.subplots(1, len(pictures), figsize=(9 * len(pictures), 9), squeeze=False)
    for axis, (name, y) in zip(axes[0], pictures):
        axis.scatter(y[:, 0], y[:, 1], c=label, s=max(0.1, 20000 / n / 4), cmap="nipy_spectral", lw=0)
        axis.set_title(name)
        axis.set_aspect("equal")
    figure.tight_layout()
    figure.savefig(folder / "compare.png", dpi=60)


if __name__ == "__main__":
    main()
