"""Square roots of counts."""

from typing import Any

import numpy as np
from anndata import AnnData

from .._each import each_value
from .._lazy import LazyMatrix, plan_of
from .._slots import get_x, prepared, set_x


def sqrt(
    data: AnnData | Any,
    *,
    copy: bool = False,
    chunked: bool = False,
    chunk_size: int | None = None,
) -> AnnData | Any | None:
    """Take the square root of every value.

    Parameters
    ----------
    data
        The annotated matrix, cells x genes, or a matrix.
    copy
        Whether to return a copy of the AnnData.
    chunked, chunk_size
        Have no meaning here: every lazy matrix is worked on in chunks.

    Returns
    -------
    AnnData or matrix or None
        Writes X. Floats keep their dtype, integers of one or two bytes become float32, others
        float64. A lazy matrix stays lazy, and the call returns at once. A matrix that is given in
        place of an AnnData is returned as a new one.

    Raises
    ------
    ValueError
        Where a value is below 0 (of a lazy matrix once it is read), or with `chunked` or
        `chunk_size`.

    Notes
    -----
    Matches :func:`scanpy.pp.sqrt`, to the last bit, but that it makes NaN of what is below 0, and
    of integers of one byte float16 where they are dense and an error where they are sparse.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> most = float(adata.X.max())
    >>> cm.pp.sqrt(adata)
    >>> abs(float(adata.X.max()) ** 2 - most) < 1e-4 * most
    True
    """
    if chunked or chunk_size is not None:
        raise ValueError(
            "chunked and chunk_size have no meaning here, since a lazy matrix is always worked on "
            "in chunks; leave them out"
        )
    if not isinstance(data, AnnData):
        return _sqrt(data)
    adata = prepared(data, copy)
    set_x(adata, _sqrt(get_x(adata)))
    return adata if copy else None


def _sqrt(x: Any) -> Any:
    plan = plan_of(x)
    if plan is not None:
        return LazyMatrix.of(plan.sqrt())
    x = x if hasattr(x, "dtype") else np.asarray(x)
    return each_value(x, "sqrt", None, _dtype)


def _dtype(of: np.dtype) -> np.dtype:
    if of.kind == "f":
        return of
    return np.dtype(np.float32 if of.itemsize <= 2 else np.float64)
