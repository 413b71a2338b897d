"""What a matrix is, and how the native calls are given it."""

from typing import Any

import dask.array as da
import numpy as np
from scipy import sparse

from ._lazy import plan_of


def is_foreign(x: Any) -> bool:
    """Whether `x` is a Dask array without a native plan."""
    return isinstance(x, da.Array) and plan_of(x) is None


def operand(x: Any) -> Any:
    """What the native calls take: a plan, or the parts of a canonical CSR matrix in memory.

    CSR matrices of f32 and f64 are read in place. Integers become f32 (f64 from 2^24 on), dense
    arrays and CSC matrices become CSR: a copy.
    """
    plan = plan_of(x)
    return plan if plan is not None else csr_parts(x)


def refuse_in_memory(x: Any, engine: Any) -> None:
    """Refuses an engine that was asked of a call on a matrix in memory."""
    if not (engine is None or engine == "threads" or isinstance(x, da.Array)):
        raise ValueError(
            "engine has no meaning for a matrix in the memory of this process, which is always "
            "folded on its threads; leave engine out, or read the file with cellmill.read_h5ad"
        )


def csr_parts(x: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """indptr (i64), indices (i32), values (f32 or f64), number of columns."""
    if isinstance(x, np.ndarray) and x.ndim != 2:
        raise ValueError(f"a matrix of two dimensions was expected, and this has {x.ndim}")
    if not sparse.issparse(x):
        x = np.asarray(x)
        if x.dtype.kind not in "biuf":
            raise ValueError(f"a matrix of numbers was expected, and this holds {x.dtype}")
    if not sparse.issparse(x) or x.format != "csr":
        x = sparse.csr_matrix(x)
    if not x.has_canonical_format:
        x = x.copy()
        x.sum_duplicates()
    if x.shape[1] > np.iinfo(np.int32).max:
        raise ValueError(f"a matrix of {x.shape[1]} columns is more than 2^31 - 1")
    return (
        aligned(x.indptr, np.int64),
        aligned(x.indices, np.int32),
        aligned(x.data, _float(x.data)),
        x.shape[1],
    )


def aligned(values: np.ndarray, dtype: Any = None) -> np.ndarray:
    """The array, copied only if it must be: what came in a message may lie crooked in it."""
    return np.require(values, dtype=dtype, requirements=["C", "A"])


def _float(values: np.ndarray) -> Any:
    if values.dtype in (np.float32, np.float64):
        return values.dtype
    if values.dtype.kind in "iu" and values.dtype.itemsize > 2 and values.size:
        wide = max(abs(int(values.max())), abs(int(values.min()))) > 2**24
        return np.float64 if wide else np.float32
    return np.float32
