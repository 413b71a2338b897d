"""Principal components."""

import warnings
from enum import Enum
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _foreign, _native
from .._engine import place_of
from .._lazy import plan_of
from .._matrix import operand, refuse_in_memory
from .._settings import settings
from .._slots import get_x, prepared


class Empty(Enum):
    """The type of a default that was not given."""

    token = 0

    def __repr__(self) -> str:
        return "_empty"


_empty = Empty.token

# Solvers of scanpy's that are exact: what is computed here agrees with each of them.
_EXACT = (None, "auto", "arpack", "covariance_eigh", "full")
# Without centring, scanpy has the first three only.


def pca(
    data: AnnData | Any,
    n_comps: int | None = None,
    *,
    layer: str | None = None,
    obsm: str | None = None,
    zero_center: bool = True,
    svd_solver: str | None = None,
    chunked: bool = False,
    chunk_size: int | None = None,
    random_state: Any = 0,
    return_info: bool = False,
    mask_var: Any = _empty,
    use_highly_variable: bool | None = None,
    dtype: Any = "float32",
    key_added: str | None = None,
    copy: bool = False,
    engine: Any = None,
    lazy: bool = False,
) -> AnnData | Any | None:
    """Find the principal components of the highly variable genes: one read of a lazy matrix.

    Parameters
    ----------
    data
        The annotated matrix, cells x genes, or a matrix.
    n_comps
        How many components; ``None``: 50, or one less than the smaller side.
    layer
        The matrix to use in place of X.
    obsm
        The element of obsm to use in place of X.
    zero_center
        Whether the mean of each gene is taken off first. Without, the components are the exact
        singular vectors that scikit-learn's ``TruncatedSVD`` approximates.
    chunked, chunk_size
        Have no meaning here: they raise.
    svd_solver
        One of scanpy's exact solvers; all of them give what is computed here.
    random_state
        Has no influence: what is random has a fixed seed, and does not show in the result.
    return_info
        Whether a matrix gives its components and variances as well.
    mask_var
        Genes to use: a column of var, a mask, or ``None`` for all. By default
        ``var["highly_variable"]`` where it is there.
    use_highly_variable
        Deprecated, as in scanpy: use `mask_var`.
    dtype
        Of the scores.
    key_added
        The name in obsm, varm and uns, in place of ``X_pca``, ``PCs`` and ``pca``.
    copy
        Whether to return a copy of `data`.
    engine
        Where the fold runs: ``"threads"`` (of this process), ``"dask"`` (the workers of the active
        ``distributed.Client``) or a client; ``None``: as ``cellmill.settings.engine`` says. The
        bits are the same.
    lazy
        Whether the scores of a lazy matrix stay lazy: a Dask array that projects the cells when it
        is computed, with one more read. The components are found at once.

    Returns
    -------
    AnnData or numpy.ndarray or tuple or None
        Writes ``obsm["X_pca"]`` (cells x components, numpy, or Dask with `lazy`), ``varm["PCs"]``
        (genes x components, zeros outside the mask) and ``uns["pca"]`` (params, variance,
        variance_ratio). With `obsm`, the loadings are ``uns["pca"]["components"]``.

    Raises
    ------
    ValueError
        Where the components are more than cells or genes allow, and with `lazy` where the matrix is
        in memory.
    MemoryError
        Where the Gram matrix, or of more than 4,096 genes the Krylov basis, does not fit
        ``cellmill.settings.memory``.

    Notes
    -----
    Matches :func:`scanpy.pp.pca` in memory: variances have ddof 1 and the largest loading of a
    component is positive, also where scanpy's result on Dask arrays differs (ddof 0, any sign).

    Up to 4,096 genes the components are eigenvectors of the Gram matrix. Of more, they are found by
    randomised block Krylov with a fixed seed, in some twenty to fifty passes over the selected
    genes, until the angle of each component with the exact one is about 1e-7. The genes are kept
    meanwhile (of a Dask array without a cluster they are not: its chunks are computed for each
    pass).

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.pp.normalize_total(adata, target_sum=1e4)
    >>> cm.pp.log1p(adata)
    >>> cm.pp.pca(adata, n_comps=10)
    >>> adata.obsm["X_pca"].shape, adata.varm["PCs"].shape
    ((500, 10), (300, 10))
    """
    _refuse(zero_center, svd_solver, chunked, chunk_size)
    if not isinstance(data, AnnData):
        if layer is not None or obsm is not None or key_added is not None:
            raise ValueError("layer, obsm and key_added need an AnnData, and a matrix was given")
        mask = None if mask_var is _empty or mask_var is None else np.asarray(mask_var, dtype=bool)
        scores, loadings, variance, ratio = _components(
            data, mask, n_comps, zero_center, lazy, engine
        )
        scores = scores.astype(dtype, copy=False)
        return (scores, loadings.T, ratio, variance) if return_info else scores
    if return_info:
        raise ValueError("return_info needs a matrix; with an AnnData, the results are in uns")
    adata = prepared(data, copy)
    if obsm is not None:
        if mask_var is not _empty and mask_var is not None:
            raise ValueError("Argument `mask_var` is incompatible with `obsm`.")
        mask_var = None
    else:
        mask_var = _mask_name(adata, mask_var, use_highly_variable)
    mask = _mask(adata, mask_var)
    x = get_x(adata, layer, obsm)
    scores, loadings, variance, ratio = _components(x, mask, n_comps, zero_center, lazy, engine)
    name = ("X_pca", "PCs", "pca") if key_added is None else (key_added,) * 3
    params = {
        "zero_center": zero_center,
        "use_highly_variable": isinstance(mask_var, str) and mask_var == "highly_variable",
        "mask_var": mask_var,
    }
    if layer is not None:
        params["layer"] = layer
    if obsm is not None:
        params["obsm"] = obsm
    small = np.float32 if x.dtype == np.float32 else np.float64
    if mask is None:
        whole = loadings.astype(small)
    else:
        whole = np.zeros((adata.n_vars, loadings.shape[1]))
        whole[mask] = loadings
    adata.obsm[name[0]] = scores.astype(dtype, copy=False)
    adata.uns[name[2]] = {
        "params": params,
        "variance": variance.astype(small),
        "variance_ratio": ratio.astype(small),
    }
    if obsm is None:
        adata.varm[name[1]] = whole
    else:
        adata.uns[name[2]]["components"] = whole
    return adata if copy else None


def _refuse(
    zero_center: bool, svd_solver: str | None, chunked: bool, chunk_size: int | None
) -> None:
    if svd_solver not in (_EXACT if zero_center else _EXACT[:3]):
        raise ValueError(
            f"svd_solver is {svd_solver!r}, which approximates, and the components here are exact; "
            "leave it out"
        )
    if chunked or chunk_size is not None:
        raise ValueError(
            "chunked and chunk_size have no meaning here, since the matrix is always read in "
            "chunks and the components are exact; leave them out"
        )


def _mask_name(adata: AnnData, mask_var: Any, use_highly_variable: bool | None) -> Any:
    if use_highly_variable is not None:
        warnings.warn(
            "Argument `use_highly_variable` is deprecated, consider using the mask argument.",
            FutureWarning,
            stacklevel=3,
        )
        if mask_var is not _empty:
            raise ValueError("use_highly_variable and mask_var were both given; use mask_var")
        if use_highly_variable and "highly_variable" not in adata.var:
            raise ValueError(
                "Did not find adata.var['highly_variable']. Either your data already only consists "
                "of highly-variable genes or consider running `pp.highly_variable_genes` first."
            )
        return "highly_variable" if use_highly_variable else None
    if mask_var is _empty:
        return "highly_variable" if "highly_variable" in adata.var else None
    return mask_var


def _mask(adata: AnnData, mask_var: Any) -> np.ndarray | None:
    if mask_var is None:
        return None
    if isinstance(mask_var, str):
        if mask_var not in adata.var:
            raise ValueError(
                f"Did not find `adata.var[{mask_var!r}]`. Either add the mask first to "
                "`adata.var`or consider using the mask argument with an array."
            )
        mask_var = adata.var[mask_var].to_numpy()
    mask = np.asarray(mask_var)
    if mask.dtype != bool or mask.shape != (adata.n_vars,):
        raise ValueError(
            f"mask_var must be a boolean mask of the {adata.n_vars} genes, and has dtype "
            f"{mask.dtype} and shape {mask.shape}"
        )
    return mask


def _components(
    x: Any,
    mask: np.ndarray | None,
    n_comps: int | None,
    zero_center: bool,
    lazy: bool,
    engine: Any,
) -> tuple:
    """Scores, loadings, variance, ratio."""
    if isinstance(x, pd.DataFrame):
        x = x.to_numpy()
    plan = plan_of(x)
    if plan is not None and plan.centred and not zero_center:
        raise ValueError(
            "zero_center=False was asked of a lazy matrix that was scaled with zero_center=True, "
            "whose components are those of zero_center=True; leave it out"
        )
    if plan is not None and plan.centred and lazy:
        raise ValueError(
            "lazy=True was asked of a lazy matrix that was scaled with zero_center=True, whose "
            "scores are found at once; leave it out"
        )
    columns = None if mask is None else np.flatnonzero(mask).tolist()
    width = x.shape[1] if columns is None else len(columns)
    n_comps = _native.pca_n_comps(n_comps, x.shape[0], width)
    machine = settings._machine()
    if lazy and not isinstance(x, da.Array):
        raise ValueError("lazy=True needs a lazy matrix, and this one is in memory; leave it out")
    place = place_of(engine)
    elsewhere = _foreign.folds_elsewhere(x, place)
    if not elsewhere:
        refuse_in_memory(x, engine)
    if lazy and elsewhere:
        found = _foreign.components(machine, x, columns, n_comps, zero_center, place)
    elif lazy:
        found = _native.pca_components(machine, operand(x), columns, n_comps, zero_center)
    elif elsewhere:
        return _foreign.pca(machine, x, columns, n_comps, zero_center, place)
    else:
        return _native.pca(machine, operand(x), columns, n_comps, zero_center)
    mean, loadings, variance, ratio = found
    return _foreign.scores(x, columns, mean, loadings), loadings, variance, ratio
