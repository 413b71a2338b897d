"""Numbers of cells and genes, of a matrix of any kind: one read."""

from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
from scipy import sparse

from . import _native
from ._engine import place_of
from ._foreign import by_cells
from ._lazy import plan_of
from ._matrix import is_foreign, operand
from ._settings import settings
from .dask import _tasks
from .dask._job import Job

Columns = dict[str, np.ndarray]


def asked(
    x: Any,
    *,
    expr_type: str = "counts",
    var_type: str = "genes",
    qc_vars: list[tuple[str, list[int]]] | None = None,
    percent_top: list[int] | None = None,
    log1p: bool = False,
    positive: bool = False,
) -> SimpleNamespace:
    """What the native calls take."""
    return SimpleNamespace(
        expr_type=expr_type,
        var_type=var_type,
        qc_vars=qc_vars or [],
        percent_top=percent_top or [],
        log1p=log1p,
        positive=positive,
        dtype=str(x.dtype),
    )


def quality(x: Any, what: SimpleNamespace) -> tuple[Columns, Columns]:
    """The columns of obs and of var that scanpy writes, for `x` and what was asked."""
    if is_foreign(x):
        return _native.quality_frames(x.shape[1], what, _fold(x, what))
    return _native.quality(settings._machine(), operand(x), what)


def is_csr(x: Any) -> bool:
    """Whether scanpy counts cells' genes in the dtype of CSR indices; Dask's CSC it refuses."""
    if isinstance(x, da.Array):
        return plan_of(x) is not None or bool(sparse.issparse(x._meta))
    return bool(sparse.issparse(x) and x.format == "csr")


def _fold(x: da.Array, what: SimpleNamespace) -> bytes:
    with Job("quality", place_of()) as job:
        chunks = by_cells(x).to_delayed().ravel()
        states = [job.on_chunk("chunk", i, _tasks.quality, c, what) for i, c in enumerate(chunks)]
        (state,) = job.run([job.merged(states, _tasks.merge_quality, x.shape[1], what)])
    found: bytes = state
    return found
