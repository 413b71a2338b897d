"""Logarithms of counts."""

import warnings
from typing import Any

import numpy as np
from anndata import AnnData

from .._each import each_value
from .._lazy import LazyMatrix, plan_of
from .._slots import get_x, prepared, set_x


def log1p(
    data: AnnData | Any,
    *,
    base: float | None = None,
    copy: bool = False,
    chunked: bool | None = None,
    chunk_size: int | None = None,
    layer: str | None = None,
    obsm: str | None = None,
) -> AnnData | Any | None:
    """Take ln(1 + x) of every value.

    Parameters
    ----------
    data
        The annotated matrix, cells x genes, or a matrix.
    base
        Base of the logarithm; ``None``: natural.
    copy
        Whether to return a copy of the AnnData.
    chunked, chunk_size
        Have no meaning here: every lazy matrix is worked on in chunks.
    layer, obsm
        What to work on in place of X.

    Returns
    -------
    AnnData or matrix or None
        Writes X (or the layer) and ``uns["log1p"] = {"base": base}``. Integers become float64,
        floats keep their dtype. A lazy matrix stays lazy, and the call returns at once. A matrix
        that is given in place of an AnnData is returned as a new one.

    Raises
    ------
    ValueError
        Where a value is -1 or less, or with `chunked` or `chunk_size`.

    Notes
    -----
    Matches :func:`scanpy.pp.log1p`.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.pp.log1p(adata)
    >>> adata.uns["log1p"]
    {'base': None}
    """
    if chunked or chunk_size is not None:
        raise ValueError(
            "chunked and chunk_size have no meaning here, since a lazy matrix is always worked on "
            "in chunks; leave them out"
        )
    if not isinstance(data, AnnData):
        if layer is not None or obsm is not None:
            raise ValueError("layer and obsm need an AnnData, and a matrix was given")
        return _log1p(data, base)
    adata = prepared(data, copy)
    if "log1p" in adata.uns:
        warnings.warn("adata.X seems to be already log-transformed.", UserWarning, stacklevel=2)
    set_x(adata, _log1p(get_x(adata, layer, obsm), base), layer, obsm)
    adata.uns["log1p"] = {"base": base}
    return adata if copy else None


def _log1p(x: Any, base: float | None) -> Any:
    plan = plan_of(x)
    if plan is not None:
        return LazyMatrix.of(plan.log1p(base))
    x = x if hasattr(x, "dtype") else np.asarray(x)
    return each_value(x, "log1p", base, _dtype)


def _dtype(of: np.dtype) -> np.dtype:
    return of if of.kind == "f" else np.dtype(np.float64)
