"""Folds over a Dask array that someone else made: each chunk is folded in a task of its own.

States travel as bytes and are merged in the tree that the number of chunks fixes, so the result
does not depend on the order in which chunks are ready.
"""

from typing import Any

import dask
import dask.array as da
import numpy as np

from . import _native
from ._matrix import csr_parts


def by_cells(x: da.Array) -> da.Array:
    """The array, checked to be chunked along cells only."""
    if x.ndim != 2:
        raise ValueError(f"a matrix of two dimensions was expected, and this has {x.ndim}")
    if len(x.chunks[1]) > 1:
        raise ValueError(
            f"this Dask array is chunked along genes ({len(x.chunks[1])} chunks), and its chunks "
            "must hold all genes; use x.rechunk({1: -1})"
        )
    return x


@dask.delayed
def _fold(name: str, chunk: Any, columns: np.ndarray | None, base: float | None) -> bytes:
    return _native.fold_chunk(name, csr_parts(_columns(chunk, columns)), base)


@dask.delayed
def _merge(name: str, n_cols: int, left: bytes, right: bytes) -> bytes:
    return _native.merge_states(name, n_cols, left, right)


@dask.delayed
def _project(chunk: Any, columns: np.ndarray | None, mean: Any, loadings: Any) -> np.ndarray:
    parts = csr_parts(_columns(chunk, columns))
    parts = (parts[0], parts[1], parts[2].astype(np.float32, copy=False), parts[3])
    return _native.project_chunk(parts, mean, loadings)


def _columns(chunk: Any, columns: np.ndarray | None) -> Any:
    return chunk if columns is None else chunk[:, columns]


def _chunks(x: da.Array) -> list:
    return list(by_cells(x).to_delayed().ravel())


def fold(
    name: str, x: da.Array, columns: np.ndarray | None = None, base: float | None = None
) -> tuple[bytes, int]:
    """The state of all cells and the number of columns: one pass over the chunks."""
    n_cols = x.shape[1] if columns is None else len(columns)
    nodes = [_fold(name, chunk, columns, base) for chunk in _chunks(x)]
    for left, right, _ in _native.merge_tree(len(nodes)):
        nodes.append(_merge(name, n_cols, nodes[left], nodes[right]))
    return nodes[-1].compute(), n_cols


def totals(x: da.Array) -> np.ndarray:
    """The total of each cell."""
    return _native.read_totals(fold("totals", x)[0])


def highly_variable_genes(x: da.Array, asked: Any) -> dict:
    """As the native call of that name."""
    state, n_cols = fold("moments", x, base=asked.base)
    return _native.read_moments(n_cols, state, asked)


def pca(machine: Any, x: da.Array, columns: list[int] | None, n_comps: int) -> tuple:
    """As the native call of that name; two passes over the chunks."""
    picked = None if columns is None else np.asarray(columns)
    state, n_cols = fold("gram", x, picked)
    mean, loadings, variance, ratio, _ = _native.solve_gram(machine, n_cols, state, n_comps)
    scores = [_project(chunk, picked, mean, loadings) for chunk in _chunks(x)]
    return np.concatenate(dask.compute(*scores)), loadings, variance, ratio
