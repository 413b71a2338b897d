"""Ops that work on each value by itself, of a matrix that has no native plan."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from . import _native
from ._foreign import by_cells
from ._matrix import csr_parts, is_foreign


def each_value(
    x: Any, op: str, parameter: float | None, dtype_of: Callable[[np.dtype], np.dtype]
) -> Any:
    """A matrix in memory, or each chunk of a Dask array, with the op done."""
    dtype = dtype_of(x.dtype)
    if is_foreign(x):
        meta = x._meta.astype(dtype)
        return by_cells(x).map_blocks(_apply, op, parameter, dtype, dtype=dtype, meta=meta)
    return _apply(x, op, parameter, dtype)


def _apply(x: Any, op: str, parameter: float | None, dtype: np.dtype) -> Any:
    csc = sparse.issparse(x) and x.format == "csc"
    rows = x.T if csc else x
    parts = csr_parts(rows)
    values = _native.apply(parts, op, parameter, dtype != np.float64)
    new = sparse.csr_matrix(
        (values.astype(dtype, copy=False), parts[1], parts[0]), shape=rows.shape
    )
    if not sparse.issparse(x):
        return new.toarray()
    new = new.T if csc else new
    if isinstance(x, sparse.sparray):
        return sparse.csc_array(new) if csc else sparse.csr_array(new)
    return new
