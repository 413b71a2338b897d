"""What workers run: one span, one chunk, one merge, one range, each on the calling thread."""

from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from .. import _native
from .._matrix import aligned, csr_parts
from ._watch import Terms, name_of, running, worker

# The first of consecutive spans, and the one behind the last.
Spans = tuple[int, int]


@lru_cache(maxsize=4)
def _opened(plan: str) -> _native.Matrix:
    """The matrix of a plan; its file's tables stay for the next tasks of this worker."""
    return _native.Matrix.from_json(plan)


def opened(plan: str) -> _native.Matrix:
    """The matrix of a plan, or an error that names the worker that cannot open it."""
    try:
        return _opened(plan)
    except (OSError, ValueError, KeyError) as error:
        here = worker()
        if here is None:
            raise
        raise type(error)(f"{name_of(here)} cannot use the file: {error}") from None


def on_spans(function: Callable, terms: Terms, plan: str, spans: Spans, *arguments: Any) -> Any:
    """A function of a task, a matrix and spans, of consecutive spans of a file."""
    with running(terms) as task:
        return function(task, opened(plan), spans, *arguments)


def on_chunk(function: Callable, terms: Terms, chunk: Any, *arguments: Any) -> Any:
    """The same, of a chunk that someone else made."""
    with running(terms) as task:
        return function(task, csr_parts(chunk), (0, 1), *arguments)


def on_values(function: Callable, terms: Terms, *arguments: Any) -> Any:
    """A function of a task and of what other tasks made."""
    with running(terms) as task:
        return function(task, *arguments)


def fold(task: _native.Task, x: Any, spans: Spans, name: str, genes: Any) -> bytes:
    """The state of spans or a chunk."""
    return _native.fold_chunk(name, x, genes, spans, task)


def merge(
    task: _native.Task, name: str, n_cols: int, genes: Any, left: bytes, right: bytes
) -> bytes:
    """The state of two neighbours."""
    return _native.merge_states(name, n_cols, left, right, genes)


def quality(task: _native.Task, x: Any, _: Spans, what: SimpleNamespace) -> bytes:
    """The state of quality control of a chunk."""
    return _native.quality_chunk(x, what, task)


def merge_quality(
    _: _native.Task, n_cols: int, what: SimpleNamespace, left: bytes, right: bytes
) -> bytes:
    """The state of two neighbours, of the same."""
    return _native.quality_merge(n_cols, what, left, right)


def over_cells(task: _native.Task, x: Any, spans: Spans, what: Any) -> bytes:
    """The state of spans or a chunk, of whose cells `what` knows something."""
    state: bytes = what.of_spans(x, spans, task)
    return state


def merge_over_cells(
    task: _native.Task, what: Any, n_cols: int, left: bytes, right: bytes
) -> bytes:
    """The state of two neighbours, of the same."""
    state: bytes = what.merge(n_cols, left, right)
    return state


def keep(task: _native.Task, x: Any, spans: Spans, columns: list[int] | None) -> list[bytes]:
    """The columns of each span, or of a chunk, that the next tasks read."""
    return [_native.keep_chunk(task, x, columns, span) for span in range(*spans)]


def gram(task: _native.Task, n_cols: int, kept: list[bytes]) -> bytes:
    """The Gram state of kept columns."""
    return _native.fold_kept(task, n_cols, kept)


def pass_kept(task: _native.Task, kept: list[bytes], step: bytes) -> bytes:
    """The state of a pass of block Krylov over kept columns."""
    return _native.pass_kept(task, kept, step)


def pass_chunk(task: _native.Task, x: Any, _: Spans, step: bytes) -> bytes:
    """The same over a chunk."""
    narrow = (x[0], x[1], x[2].astype(np.float32, copy=False), x[3])
    return _native.pass_chunk(task, narrow, step)


def merge_passes(_: _native.Task, step: bytes, left: bytes, right: bytes) -> bytes:
    """The state of two neighbours."""
    return _native.merge_passes(step, left, right)


def project(task: _native.Task, kept: list[bytes], components: tuple) -> np.ndarray:
    """The scores of kept columns."""
    components = tuple(map(aligned, components))
    return np.concatenate([_native.project_kept(task, part, *components) for part in kept])
