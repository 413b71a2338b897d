"""What scanpy 1.12.4 gives, computed by scanpy itself, and kept where computing it takes long."""

import hashlib
import inspect
import os
import pickle
from importlib.metadata import version
from pathlib import Path

import anndata as ad
import numpy as np
import scanpy as sc
from scipy import sparse

from datasets import CACHE

PACKAGES = ["scanpy", "anndata", "umap-learn", "igraph", "scikit-learn", "numpy", "scipy", "numba"]


def digest(*parts) -> str:
    """A key for inputs of any kind: files by their bytes, arrays and matrices by their values."""
    state = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            state.update(part.read_bytes())
        elif sparse.issparse(part):
            for array in (part.data, part.indices, part.indptr):
                state.update(np.ascontiguousarray(array).tobytes())
        elif isinstance(part, np.ndarray):
            state.update(np.ascontiguousarray(part).tobytes())
        else:
            state.update(repr(part).encode())
    return state.hexdigest()[:20]


def kept(compute, *inputs):
    """`compute(*inputs)`, read back if the same inputs, code and packages gave it before."""
    versions = [version(p) for p in PACKAGES]
    key = digest(*inputs, versions, inspect.getsource(inspect.getmodule(compute)))
    path = CACHE / f"{compute.__name__}-{key}.pickle"
    if path.exists():
        return pickle.loads(path.read_bytes())
    value = compute(*inputs)
    CACHE.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(pickle.dumps(value))
    part.rename(path)
    return value


def logged(x, target_sum=1e4, base=None, dtype=np.float64) -> ad.AnnData:
    """Counts, normalised and logged by scanpy in the given precision."""
    adata = ad.AnnData(sparse.csr_matrix(x, dtype=dtype, copy=True))
    sc.pp.normalize_total(adata, target_sum=target_sum)
    sc.pp.log1p(adata, base=base)
    return adata


def variable(x, target_sum=1e4, base=None, dtype=np.float64, **options) -> ad.AnnData:
    """The same, with scanpy's highly variable genes."""
    adata = logged(x, target_sum, base, dtype)
    sc.pp.highly_variable_genes(adata, **options)
    return adata


def genes(path: Path, target_sum, base, dtype: str, options: tuple):
    """var after scanpy's highly_variable_genes on the counts of a file."""
    from datasets import counts

    return variable(counts(path), target_sum, base, np.dtype(dtype), **dict(options)).var


def components(path: Path, n_top_genes: int, n_comps: int) -> dict:
    """scanpy's PCA on float64 data."""
    from datasets import counts

    adata = variable(counts(path), n_top_genes=n_top_genes)
    sc.pp.pca(adata, n_comps=n_comps, dtype="float64")
    return {
        "mask": adata.var["highly_variable"].to_numpy(),
        "scores": adata.obsm["X_pca"],
        "loadings": adata.varm["PCs"],
        "variance": adata.uns["pca"]["variance"],
        "variance_ratio": adata.uns["pca"]["variance_ratio"],
    }


def exact_neighbors(points: np.ndarray, k: int, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest other points of each point, by float64 search: ids and distances."""
    from sklearn.neighbors import NearestNeighbors

    points = np.asarray(points, dtype=np.float64)
    model = NearestNeighbors(n_neighbors=k + 1, metric=metric, algorithm="brute").fit(points)
    distance, index = model.kneighbors(points)
    rows = np.arange(len(points))
    ids, distances = np.empty((len(points), k), np.int64), np.empty((len(points), k))
    for i in rows:
        others = index[i] != i
        if others.all():
            others[-1] = False
        ids[i], distances[i] = index[i][others], distance[i][others]
    return ids, distances


def graph(connectivities) -> "object":
    """The graph that scanpy gives to igraph."""
    from scanpy import _utils

    return _utils.get_igraph_from_adjacency(sparse.csr_matrix(connectivities), directed=False)


def leiden_runs(connectivities, resolution: float, seeds: int) -> list[np.ndarray]:
    """scanpy's igraph flavour, once a seed."""
    adata = ad.AnnData(sparse.csr_matrix((connectivities.shape[0], 1), dtype=np.float32))
    adata.obsp["connectivities"] = connectivities
    adata.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "distances_key": "connectivities",
        "params": {},
    }
    runs = []
    for seed in range(seeds):
        sc.tl.leiden(
            adata,
            resolution=resolution,
            flavor="igraph",
            n_iterations=2,
            directed=False,
            random_state=seed,
        )
        runs.append(adata.obs["leiden"].astype(int).to_numpy())
    return runs


def layouts(connectivities, points: np.ndarray, seeds: int) -> list[np.ndarray]:
    """scanpy's umap on a given graph, once a seed."""
    adata = ad.AnnData(sparse.csr_matrix((connectivities.shape[0], 1), dtype=np.float32))
    adata.obsm["X_pca"] = points
    adata.obsp["connectivities"] = connectivities
    adata.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "distances_key": "connectivities",
        "params": {"method": "umap", "n_neighbors": 15, "metric": "euclidean"},
    }
    runs = []
    for seed in range(seeds):
        sc.tl.umap(adata, random_state=seed)
        runs.append(np.array(adata.obsm["X_umap"]))
    return runs
