"""The graph of nearest neighbours."""

import importlib
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
# Below so many cells scanpy has scikit-learn compare all pairs by a metric that is not euclidean.
_EXACT_BELOW = 4096


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
        Distances of neighbours, or of all pairs, that are known already (cells x cells, sparse or
        numpy): only their fuzzy set is made.
    use_rep
        An element of obsm, or ``"X"``, in place of the components.
    knn, method
        ``knn=False`` and methods other than ``"umap"`` are not there: they raise.
    transformer
        An object with ``fit_transform(X)`` that gives a sparse matrix of distances, as
        scikit-learn's ``KNeighborsTransformer``; the fuzzy set is then made of its neighbours.
        ``"sklearn"`` and ``"pynndescent"`` are scanpy's, where these packages are installed.
    metric
        ``"euclidean"`` and ``"cosine"`` are searched here. Any other is left to scikit-learn (below
        4,096 cells) or pynndescent, as scanpy does, where they are installed.
    metric_kwds
        Parameters of such another metric.
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
    if method not in ("umap", "gauss", "jaccard", "rapids"):
        raise ValueError(f"method is {method!r}, and must be 'umap', 'gauss' or 'jaccard'")
    if method != "umap" or not knn:
        asked = f"method={method!r}" if knn else "knn=False"
        raise NotImplementedError(
            f"neighbors({asked}) is not there; scanpy.pp.neighbors has it, and works on the "
            "components that cellmill.pp.pca writes"
        )
    if distances is not None and callable(metric):
        raise TypeError("`metric` must be a string if `distances` is given.")
    if distances is None and metric is None:
        metric = "euclidean"
    seed = seed_of(random_state)
    adata = prepared(adata, copy)
    n = adata.n_obs
    machine = settings._machine()
    if distances is not None:
        _warn_of_ignored(use_rep, n_pcs, metric_kwds, random_state)
        random_state = 0
        stored, known = _known(distances)
        weights = _native.connectivities(machine, *_nearest(known, n_neighbors))
    elif transformer is None and metric in ("euclidean", "cosine") and not metric_kwds:
        x = _representation(adata, use_rep, n_pcs, engine)
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
        if hasattr(transformer, "get_params"):
            n_neighbors = transformer.get_params().get("n_neighbors", n_neighbors)
        elif n_neighbors > n:
            n_neighbors = 1 + n // 2
        exact = transformer == "sklearn" or (transformer is None and n < _EXACT_BELOW)
        if transformer is None or isinstance(transformer, str):
            transformer = _scanpys(transformer, n, n_neighbors, metric, metric_kwds, random_state)
        found = transformer.fit_transform(_representation(adata, use_rep, n_pcs, engine))
        stored = sparse.csr_matrix(found)
        if exact:
            stored = _first(stored, n_neighbors)
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
    if metric_kwds:
        params["metric_kwds"] = metric_kwds
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


def _scanpys(
    name: str | None, n: int, n_neighbors: int, metric: Any, metric_kwds: Any, random_state: Any
) -> Any:
    """The transformer that scanpy takes for a name, or for a metric."""
    if name == "sklearn" or (name is None and n < _EXACT_BELOW):
        neighbors = _imported("sklearn.neighbors", "scikit-learn", name, metric)
        return neighbors.KNeighborsTransformer(
            algorithm="brute",
            n_neighbors=min(n - 1, n_neighbors),
            metric=metric,
            metric_params=dict(metric_kwds),
        )
    if name == "rapids":
        raise NotImplementedError(
            "neighbors(transformer='rapids') is not there; leave it out for cellmill's own search"
        )
    if name not in (None, "pynndescent"):
        raise ValueError(
            f"transformer is {name!r}, and must be 'sklearn', 'pynndescent' or an object with "
            "fit_transform"
        )
    # As umap asks, where scanpy chose it by itself.
    umaps = {"n_trees": min(64, 5 + round(n**0.5 / 20.0)), "n_iters": max(5, round(np.log2(n)))}
    pynndescent = _imported("pynndescent", "pynndescent", name, metric)
    return pynndescent.PyNNDescentTransformer(
        n_neighbors=n_neighbors,
        metric=metric,
        metric_kwds=dict(metric_kwds),
        random_state=random_state,
        **({} if name else umaps),
    )


def _imported(module: str, package: str, name: str | None, metric: Any) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        asked = f"metric={metric!r}" if name is None else f"transformer={name!r}"
        raise ImportError(
            f"neighbors({asked}) needs {package}; install it, or use the metric 'euclidean' or "
            "'cosine', which need nothing"
        ) from error


def _first(distances: sparse.csr_matrix, n_neighbors: int) -> sparse.csr_matrix:
    """The first of a constant number of neighbours in order of distance, without the cell itself.

    The transformer counts the cell beside `n_neighbors`, and scanpy counts it among them.
    """
    n = distances.shape[0]
    shape = (n, distances.nnz // n)
    parts = (distances.indices, distances.data)
    indices, values = (part.reshape(shape)[:, 1:n_neighbors] for part in parts)
    indptr = np.arange(n + 1) * indices.shape[1]
    return sparse.csr_matrix((values.ravel(), indices.ravel(), indptr), shape=(n, n))


def _known(distances: Any) -> tuple[Any, sparse.csr_matrix]:
    """Distances as they are stored, without those of cells to themselves, and as CSR."""
    if sparse.issparse(distances):
        stored = distances.tocsr(copy=True)
        stored.setdiag(0)
        stored.eliminate_zeros()
        return stored, stored
    stored = np.array(distances)
    np.fill_diagonal(stored, 0)
    n = len(stored)
    rows, columns = np.nonzero(~np.eye(n, dtype=bool))
    return stored, sparse.csr_matrix((stored[rows, columns], (rows, columns)), shape=(n, n))


def _warn_of_ignored(use_rep: Any, n_pcs: Any, metric_kwds: Any, random_state: Any) -> None:
    given = {
        "use_rep": use_rep is not None,
        "n_pcs": n_pcs is not None,
        "metric_kwds": bool(metric_kwds),
        "random_state": random_state != 0,
    }
    ignored = [name for name, is_given in given.items() if is_given]
    if ignored:
        warnings.warn(
            f"Parameter(s) ignored if `distances` is given: {', '.join(ignored)}",
            UserWarning,
            stacklevel=3,
        )


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
