"""Totals of cells."""

import warnings
from typing import Any

import dask.array as da
import numpy as np
from anndata import AnnData
from scipy import sparse

from .. import _foreign, _native
from .._engine import Place, place_of
from .._lazy import LazyMatrix, plan_of
from .._matrix import csr_parts, is_foreign, operand, refuse_in_memory
from .._settings import settings
from .._slots import get_x, prepared, set_x


def normalize_total(
    adata: AnnData,
    *,
    target_sum: float | None = None,
    exclude_highly_expressed: bool = False,
    max_fraction: float = 0.05,
    key_added: str | None = None,
    layer: str | None = None,
    obsm: str | None = None,
    inplace: bool = True,
    copy: bool = False,
    engine: Any = None,
) -> AnnData | dict[str, Any] | None:
    """Scale every cell to the same total.

    Parameters
    ----------
    adata
        The annotated matrix, cells x genes.
    target_sum
        The total of every cell afterwards; ``None``: the median of the totals of cells with counts
        (one read of a lazy matrix).
    exclude_highly_expressed
        Whether totals leave out the genes that have more than `max_fraction` of the total of at
        least one cell (one read of a lazy matrix). Without these genes the cells have the target.
    max_fraction
        The fraction.
    key_added
        A column of obs for the factors by which cells were divided.
    layer, obsm
        What to normalise in place of X.
    inplace
        Whether to write to `adata`, or to return ``{"X", "norm_factor"}``.
    copy
        Whether to return a copy of `adata`.
    engine
        Where totals are folded: ``"threads"`` (of this process), ``"dask"`` (the workers of the
        active ``distributed.Client``) or a client; ``None``: as ``cellmill.settings.engine`` says.
        The bits are the same.

    Returns
    -------
    AnnData or dict or None
        Writes X (or the layer): float32 of integers, else the dtype that it had. A lazy matrix
        stays lazy: with `target_sum` given, the call reads nothing and returns at once, and cells
        without counts are not counted.

    Raises
    ------
    ValueError
        For a `target_sum` that is not above 0, a `max_fraction` that is not between 0 and 1, and
        where the target is a median and no cell has counts.

    Notes
    -----
    Matches :func:`scanpy.pp.normalize_total`. A matrix in memory is replaced by a new one; scanpy
    writes into the array itself.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.pp.normalize_total(adata, target_sum=1e4, key_added="factor")
    >>> round(float(adata.X[0].sum()))
    10000
    """
    if copy and not inplace:
        raise ValueError("`copy=True` cannot be used with `inplace=False`.")
    if max_fraction < 0 or max_fraction > 1:
        raise ValueError("Choose max_fraction between 0 and 1.")
    adata = prepared(adata, copy)
    x = get_x(adata, layer, obsm)
    needs_factors = target_sum is None or key_added is not None or not inplace
    factors = None
    place = place_of(engine)
    refuse_in_memory(x, engine)
    genes = without = None
    if exclude_highly_expressed:
        much = _highly_expressed(x, max_fraction, place)
        genes, without = np.flatnonzero(~much).tolist(), np.flatnonzero(much).tolist()
    in_memory = not isinstance(x, da.Array)
    totals = _totals(x, genes, place) if needs_factors or in_memory else None
    if totals is not None and in_memory and not totals.all():
        warnings.warn("Some cells have zero counts", UserWarning, stacklevel=2)
    target, factors = _target(totals, target_sum)
    if is_foreign(x):
        chunks = _foreign.by_cells(x)
        new = chunks.map_blocks(_apply, target, without, dtype=_dtype(x), meta=_meta(x))
    elif (plan := plan_of(x)) is not None:
        new = LazyMatrix.of(plan.normalize_total(target, without))
    else:
        new = _apply(x, target, without)
    if factors is not None:
        factors = factors.astype(_dtype(x))
    if not inplace:
        return {"X": new, "norm_factor": factors}
    if key_added is not None:
        adata.obs[key_added] = factors
    set_x(adata, new, layer, obsm)
    return adata if copy else None


def _highly_expressed(x: Any, max_fraction: float, place: Place) -> np.ndarray:
    if _foreign.folds_elsewhere(x, place):
        return _foreign.highly_expressed(x, max_fraction, place)
    return _native.highly_expressed(settings._machine(), operand(x), max_fraction)


def _totals(x: Any, genes: list[int] | None, place: Place) -> np.ndarray:
    """The total of each cell, of some genes or of all."""
    if _foreign.folds_elsewhere(x, place):
        return _foreign.totals(x if genes is None else _foreign.by_cells(x)[:, genes], place)
    return _native.totals(settings._machine(), operand(x), genes)


def _target(totals: np.ndarray | None, asked: float | None) -> tuple[float, np.ndarray | None]:
    target, factors = _native.norm_factors(np.empty(0) if totals is None else totals, asked)
    return target, None if totals is None else factors


def _dtype(x: Any) -> np.dtype:
    return x.dtype if x.dtype.kind == "f" else np.dtype(np.float32)


def _meta(x: Any) -> Any:
    meta = x._meta.astype(_dtype(x))
    return meta.tocsr() if sparse.issparse(meta) else meta


def _apply(x: Any, target: float, without: list[int] | None = None) -> Any:
    """A matrix in memory, or a chunk, with its cells scaled."""
    if sparse.issparse(x):
        make = sparse.csr_array if isinstance(x, sparse.sparray) else sparse.csr_matrix
    parts = csr_parts(x)
    dtype = _dtype(x)
    values = _native.apply(parts, "normalize_total", target, dtype != np.float64, without)
    new = sparse.csr_matrix((values.astype(dtype, copy=False), parts[1], parts[0]), shape=x.shape)
    return make(new) if sparse.issparse(x) else new.toarray()
