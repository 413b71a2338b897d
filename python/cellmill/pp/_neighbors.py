"""The graph of nearest neighbours."""

import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import dask.array as da
import numpy as np
from anndata import AnnData
from scipy import sparse

from .. import _native
from .._engine import place_of
from .._settings import settings
from .._slots import prepared, seed_of
from ..dask import _neighbors as _cluster
from ._pca import pca

_N_PCS = 50


def neighbors(
    adata: AnnData,
    n_neighbors: int = 15,
    n_pcs: int | None = None,
    *,
    distances: Any = None,
    use_rep: str | None = None,
    knn: bool = True,
    method: str = "umap",
    transformer: Any = None,
    metric: Any = None,
    metric_kwds: Mapping[str, Any] = MappingProxyType({}),
    random_state: Any = 0,
    key_added: str | None = None,
    copy: bool = False,
    engine: Any = None,
) -> AnnData | None:
    """Find the nearest neighbours of every cell, and their fuzzy set.

    Parameters
    ----------
    adata
        The annotated matrix; ``obsm["X_pca"]`` is what neighbours are found in.
    n_neighbors
        Neighbours of a cell, the cell itself counted.
    n_pcs
        Components to use; ``0`` is X itself.
    distances
        Not there yet.
    use_rep
        An element of obsm, or ``"X"``, in place of the components.
    knn, method
        ``knn=False`` and methods other than ``"umap"`` are not there yet.
    transformer
        An object with ``fit_transform(X)`` that gives a sparse matrix of distances, as
        scikit-learn's ``KNeighborsTransformer``; the fuzzy set is then made of its neighbours.
    metric
        ``"euclidean"`` or ``"cosine"``; others need a `transformer`.
    metric_kwds
        Not there yet.
    random_state
        Seed of the approximate search.
    key_added
        Names the slots.
    copy
        Whether to return a copy of `adata`.
    engine
        Where the search runs: ``"threads"`` (of this process), ``"dask"`` (the workers of the
        active ``distributed.Client``) or a client; ``None``: as ``cellmill.settings.engine`` says.
        The bits are the same.

    Returns
    -------
    AnnData or None
        Writes ``obsp["distances"]`` and ``obsp["connectivities"]`` (CSR, cells x cells) and
        ``uns["neighbors"]``. Distances are float64 (cosine: float32) in order of distance where the
        search is exact (below 8,192 cells, or 4,096 with another metric), else float32 in order of
        column, with ``n_neighbors - 1`` entries a row.

    Notes
    -----
    Matches :func:`scanpy.pp.neighbors`. Above the exact range scanpy stores two more entries a row
    (the cell itself, and one that it does not use).

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.pp.normalize_total(adata, target_sum=1e4)
    >>> cm.pp.log1p(adata)
    >>> cm.pp.pca(adata, n_comps=10)
    >>> cm.pp.neighbors(adata)
    >>> adata.obsp["connectivities"].shape
    (500, 500)
    >>> adata.uns["neighbors"]["params"]["n_neighbors"]
    15
    """
    if distances is not None:
        raise NotImplementedError("neighbors(distances=…) is not there yet; use a transformer")
    if not knn:
        raise NotImplementedError("neighbors(knn=False) is not there yet")
    if method != "umap":
        raise NotImplementedError(f"neighbors(method={method!r}) is not there yet")
    if metric_kwds:
        raise NotImplementedError("neighbors(metric_kwds=…) is not there yet; use a transformer")
    if isinstance(transformer, str):
        raise NotImplementedError(
            f"neighbors(transformer={transformer!r}) is not there yet; leave it out for "
            "cellmill's own search, or give an object with fit_transform"
        )
    metric = "euclidean" if metric is None else metric
    if transformer is None and metric not in ("euclidean", "cosine"):
        raise NotImplementedError(
            f"neighbors(metric={metric!r}) is not there yet; euclidean and cosine are, and a "
            "transformer may use any other"
        )
    seed = seed_of(random_state)
    adata = prepared(adata, copy)
    x = _representation(adata, use_rep, n_pcs, engine)
    n = adata.n_obs
    machine = settings._machine()
    if transformer is None:
        points = np.ascontiguousarray(x, dtype=np.float32)
        place = place_of(engine)
        if place.client is None:
            result = _native.neighbors(machine, points, n_neighbors, metric, seed)
        else:
            result = _cluster.neighbors(machine, points, n_neighbors, metric, seed, place)
        found, weights, n_neighbors = result
        indptr, indices, values = found
        if metric != "euclidean":
            # scikit-learn keeps the points' dtype for all other metrics.
            values = values.astype(np.float32)
        stored = sparse.csr_matrix((values, indices, indptr.astype(np.int32)), shape=(n, n))
    else:
        stored = sparse.csr_matrix(transformer.fit_transform(x))
        weights = _native.connectivities(machine, *_nearest(stored, n_neighbors))
    indptr, indices, values = weights
    connectivities = sparse.csr_matrix((values, indices, indptr), shape=(n, n))
    prefix = "" if key_added is None else f"{key_added}_"
    params = {
        "n_neighbors": n_neighbors,
        "method": method,
        "random_state": random_state,
        "metric": metric,
    }
    if use_rep is not None:
        params["use_rep"] = use_rep
    if n_pcs is not None:
        params["n_pcs"] = n_pcs
    adata.uns[key_added or "neighbors"] = {
        "connectivities_key": f"{prefix}connectivities",
        "distances_key": f"{prefix}distances",
        "params": params,
    }
    adata.obsp[f"{prefix}distances"] = stored
    adata.obsp[f"{prefix}connectivities"] = connectivities
    return adata if copy else None


def _representation(adata: AnnData, use_rep: str | None, n_pcs: int | None, engine: Any) -> Any:
    """scanpy's choice of what neighbours are found in."""
    if use_rep is None and n_pcs == 0:
        use_rep = "X"
    if use_rep is None and adata.n_vars <= _N_PCS:
        use_rep = "X"
    if use_rep == "X":
        x = adata.X
        x = x.compute() if isinstance(x, da.Array) else x
        return x.toarray() if sparse.issparse(x) else x
    if use_rep is None:
        if "X_pca" not in adata.obsm:
            warnings.warn(
                f"You\N{RIGHT SINGLE QUOTATION MARK}re trying to run this on {adata.n_vars} "
                "dimensions of `.X`, if you really want this, set `use_rep='X'`.\n         "
                "Falling back to preprocessing with `sc.pp.pca` and default params.",
                UserWarning,
                stacklevel=3,
            )
            pca(adata, n_comps=_N_PCS if n_pcs is None else n_pcs, engine=engine)
        use_rep = "X_pca"
    if use_rep not in adata.obsm:
        raise ValueError(f"Did not find {use_rep} in `.obsm.keys()`. You need to compute it first.")
    x = adata.obsm[use_rep]
    if n_pcs is not None and n_pcs > x.shape[1]:
        raise ValueError(
            f"{use_rep} does not have enough Dimensions ({x.shape[1]}). Provide a Representation "
            "with equal or more dimensions than `n_pcs` or lower `n_pcs` "
        )
    x = x if n_pcs is None else x[:, :n_pcs]
    if isinstance(x, da.Array):
        x = x.compute()
    return x.toarray() if sparse.issparse(x) else np.asarray(x)


def _nearest(distances: sparse.csr_matrix, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of a transformer's neighbours: n x k indices and distances, itself left out."""
    n = distances.shape[0]
    rows = np.repeat(np.arange(n), np.diff(distances.indptr))
    other = distances.indices != rows
    rows, columns, values = rows[other], distances.indices[other], distances.data[other]
    counts = np.bincount(rows, minlength=n)
    k = min(n_neighbors - 1, int(counts.min(initial=n)))
    if k < 1:
        raise ValueError("the transformer found no neighbour for some cells")
    order = np.lexsort((columns, values, rows))
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    take = order[starts[:, None] + np.arange(k)]
    return columns[take].astype(np.int32), values[take].astype(np.float64)
