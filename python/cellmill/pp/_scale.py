"""Genes of unit variance."""

import warnings
from typing import Any

import dask.array as da
import numpy as np
from anndata import AnnData
from scipy import sparse

from .. import _native
from .._engine import Place, place_of
from .._foreign import by_cells
from .._groups import NONE, over_groups
from .._lazy import LazyMatrix, plan_of
from .._matrix import csr_parts, refuse_in_memory
from .._slots import get_x, mask_of, prepared, set_x


def scale(
    data: Any,
    *,
    zero_center: bool = True,
    max_value: float | None = None,
    copy: bool = False,
    layer: str | None = None,
    obsm: str | None = None,
    mask_obs: Any = None,
    engine: Any = None,
) -> Any:
    """Scale every gene to unit variance and, by default, zero mean.

    Of a lazy matrix, one read gives means and variances. Centred it is kept as its entries and one
    row of what stands where there is none, so that :func:`cellmill.pp.pca` folds it sparse; chunks
    that are computed are dense.

    Parameters
    ----------
    data
        The annotated matrix, cells x genes, or a matrix.
    zero_center
        Whether means are subtracted.
    max_value
        Values are at most this, and with `zero_center` at least its negative.
    copy
        Whether to return a copy of `data`.
    layer, obsm
        What to scale in place of X.
    mask_obs
        Cells that are scaled, and that means and variances are of: a boolean mask or the name of
        such a column of obs. Of a matrix in memory only.
    engine
        Where the fold runs: ``"threads"`` (of this process), ``"dask"`` (the workers of the active
        ``distributed.Client``) or a client; ``None``: as ``cellmill.settings.engine`` says.

    Returns
    -------
    AnnData or matrix or None
        Writes X (or the layer): floats keep their dtype, integers become float64; with
        `zero_center` it is dense, and of a sparse matrix in memory float64. Writes ``var["mean"]``
        and ``var["std"]``, float64 (with a mask that is a column, ``"mean of …"``, ``"std of …"``;
        with another, ``"mean with mask"``, ``"std with mask"``). Of a matrix, the scaled one.

    Raises
    ------
    NotImplementedError
        With `mask_obs` on a lazy matrix or a Dask array, and with `mask_obs` and `zero_center` on a
        sparse matrix.

    Notes
    -----
    Matches :func:`scanpy.pp.scale`; values within rounding of the dtype. Constant genes are divided
    by 1. A matrix in memory is replaced by a new one. Behind a centred lazy matrix, only
    selections, PCA and what reads chunks work; other calls say so.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.pp.normalize_total(adata, target_sum=1e4)
    >>> cm.pp.log1p(adata)
    >>> cm.pp.scale(adata, zero_center=False, max_value=10)
    >>> float(adata.X.max())
    10.0
    """
    if not isinstance(data, AnnData):
        for name, given in (("layer", layer), ("obsm", obsm)):
            if given is not None:
                raise ValueError(f"`{name}` argument inappropriate for value of type {type(data)}")
        keep = mask_of(data, mask_obs, "obs")
        return _scaled(data, zero_center, max_value, keep, engine)[0]
    adata = prepared(data, copy)
    keep = mask_of(adata, mask_obs, "obs")
    names = ("mean", "std")
    if mask_obs is not None:
        of = f" of {mask_obs}" if isinstance(mask_obs, str) else " with mask"
        names = (f"mean{of}", f"std{of}")
    x = get_x(adata, layer, obsm)
    new, mean, std = _scaled(x, zero_center, max_value, keep, engine)
    adata.var[names[0]], adata.var[names[1]] = mean, std
    set_x(adata, new, layer, obsm)
    return adata if copy else None


def _scaled(
    x: Any, center: bool, limit: float | None, keep: np.ndarray | None, engine: Any
) -> tuple[Any, np.ndarray, np.ndarray]:
    lazy = isinstance(x, da.Array)
    if keep is not None and lazy:
        raise NotImplementedError(
            "mask_obs scales some cells and not others, which a matrix that is not in memory "
            "cannot hold; select the cells first, as adata[mask].copy()"
        )
    if keep is not None and center and sparse.issparse(x):
        raise NotImplementedError(
            "mask_obs with zero_center=True would leave a sparse matrix whose rows are dense; use "
            "zero_center=False, or X.toarray()"
        )
    if not lazy:
        refuse_in_memory(x, engine)
    place = place_of(engine if lazy else None)
    if center and (sparse.issparse(x) or (lazy and sparse.issparse(x._meta) and not plan_of(x))):
        warnings.warn(
            "zero-centering a sparse array/matrix densifies it.", UserWarning, stacklevel=3
        )
    mean, std = _moments(x, keep, place)
    numbers = (std, mean if center else None, limit)
    plan = plan_of(x)
    if plan is not None:
        return LazyMatrix.of(plan.scale_genes(*numbers)), mean, std
    if lazy:
        meta = _meta(x, center)
        new = by_cells(x).map_blocks(_apply, *numbers, narrow=True, dtype=meta.dtype, meta=meta)
        return new, mean, std
    if keep is None:
        return _apply(x, *numbers), mean, std
    new = x.astype(_dtype(x))
    new = new.tocsr() if sparse.issparse(x) else new
    new[keep] = _apply(new[keep], *numbers)
    return new, mean, std


def _moments(x: Any, keep: np.ndarray | None, place: Place) -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations of the genes; that of a constant gene is 1."""
    ids = np.zeros(x.shape[0]) if keep is None else np.where(keep, 0, NONE)
    found = over_groups(x, 1, ids, place, dof=1)
    std = np.sqrt(found["var"][0])
    std[std == 0] = 1
    return found["mean"][0], std


def _dtype(x: Any) -> np.dtype:
    return x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)


def _meta(x: da.Array, center: bool) -> Any:
    if center:
        return np.empty((0, 0), dtype=_dtype(x))
    return x._meta.astype(_dtype(x))


def _apply(
    x: Any, std: np.ndarray, mean: np.ndarray | None, limit: float | None, narrow: bool = False
) -> Any:
    """A matrix in memory, or a chunk (`narrow`: of the dtype that it had), scaled."""
    parts, dtype = csr_parts(x), _dtype(x)
    if mean is not None and sparse.issparse(x) and not narrow:
        dtype = np.dtype(np.float64)
    values = _native.scale_genes(parts, std, mean, limit, dtype != np.float64)
    values = values.astype(dtype, copy=False)
    if mean is not None:
        return values
    new = sparse.csr_matrix((values, parts[1], parts[0]), shape=x.shape)
    if not sparse.issparse(x):
        return new.toarray()
    new = sparse.csr_array(new) if isinstance(x, sparse.sparray) else new
    return new.asformat(x.format)
