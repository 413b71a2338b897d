"""The lazy matrix: a Dask array of CSR chunks that remembers its native plan.

The plan travels in the array's graph, on the layer that bears the array's name. So it is found in
an AnnData view and after unpickling, and it is not found where Dask has put computed chunks in the
layer's place (``persist``): then the chunks that are there are used.
"""

import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import dask.array as da
import numpy as np
from anndata._core.views import DaskArrayView, as_view
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from scipy import sparse

from . import _native

try:
    from dask._task_spec import Task

    def _task(key: tuple, function: Any, *arguments: Any) -> Any:
        return Task(key, function, *arguments)
except ImportError:

    def _task(key: tuple, function: Any, *arguments: Any) -> Any:
        return (function, *arguments)


def chunk_class() -> type:
    """The class of chunks, as anndata's settings ask for."""
    import anndata

    arrays = getattr(anndata.settings, "use_sparse_array_on_read", False)
    chosen: type = sparse.csr_array if arrays else sparse.csr_matrix
    return chosen


def read_block(plan: _native.Matrix, i: int) -> Any:
    """Chunk `i` of a matrix, as scipy CSR, or dense where genes were centred: a task of Dask's."""
    shape = plan.shape
    if plan.centred:
        return plan.read_dense(i) if plan.block_rows else np.empty((0, shape[1]), plan.dtype)
    make = chunk_class()
    if not plan.block_rows:
        return make((0, shape[1]), dtype=plan.dtype)
    indptr, indices, values = plan.read_block(i)
    if values.dtype != plan.dtype:
        values = values.astype(plan.dtype)
    chunk = make((plan.block_rows[i], shape[1]), dtype=plan.dtype)
    chunk.data, chunk.indices, chunk.indptr = values, indices, indptr.astype(np.int32)
    chunk.has_sorted_indices = chunk.has_canonical_format = True
    return chunk


class PlanLayer(MaterializedLayer):
    """The layer of a lazy matrix: its tasks, and the plan that they are parts of."""

    def __init__(
        self,
        mapping: Mapping,
        annotations: Mapping | None = None,
        collection_annotations: Mapping | None = None,
        plan: _native.Matrix | None = None,
    ) -> None:
        super().__init__(mapping, annotations, collection_annotations)
        self.plan = plan


class LazyMatrix(da.Array):
    """A matrix of files: an ordinary Dask array whose selections and concatenations stay native."""

    __slots__ = ()

    @classmethod
    def of(cls, plan: _native.Matrix) -> "LazyMatrix":
        """The array of a native plan."""
        _refuse_query_planning()
        name = "cellmill-" + hashlib.sha256(plan.to_json().encode()).hexdigest()[:32]
        n_cols = plan.shape[1]
        rows = tuple(plan.block_rows) or (0,)
        tasks = {(name, i, 0): _task((name, i, 0), read_block, plan, i) for i in range(len(rows))}
        graph = HighLevelGraph({name: PlanLayer(tasks, plan=plan)}, {name: set()})
        make = np.empty if plan.centred else chunk_class()
        meta = make((0, 0), dtype=plan.dtype)
        return cls._made(graph, name, (rows, (n_cols,)), meta)

    @classmethod
    def _made(cls, graph: Any, name: str, chunks: Any, meta: Any) -> "LazyMatrix":
        made: LazyMatrix = super().__new__(cls, graph, name, chunks, dtype=meta.dtype, meta=meta)
        return made

    def __reduce__(self) -> tuple:
        plan = plan_of(self)
        return super().__reduce__() if plan is None else (LazyMatrix.of, (plan,))

    def copy(self) -> "LazyMatrix":
        """Another array of the same graph: no chunk is copied."""
        return LazyMatrix._made(self.dask, self.name, self.chunks, self._meta)

    def __copy__(self) -> "LazyMatrix":
        return self.copy()

    def __deepcopy__(self, memo: dict) -> "LazyMatrix":
        return self.copy()

    def __getitem__(self, index: Any) -> da.Array:
        plan = plan_of(self)
        selected = None if plan is None else _select(plan, self.shape, index)
        return super().__getitem__(index) if selected is None else LazyMatrix.of(selected)

    def __array_function__(self, func: Any, types: Any, args: tuple, kwargs: dict) -> Any:
        if func is np.concatenate:
            plan = _concatenation(*args, **kwargs)
            if plan is not None:
                return LazyMatrix.of(plan)
        return super().__array_function__(func, types, args, kwargs)

    def map_blocks(self, func: Any, *args: Any, **kwargs: Any) -> da.Array:
        """As Dask's; anndata's joining of genes to those of other parts stays native."""
        plan, joined = plan_of(self), _joined_genes(func)
        if plan is None or joined is None or args or plan.centred:
            return super().map_blocks(func, *args, **kwargs)
        return LazyMatrix.of(plan.arrange_columns([None if j < 0 else int(j) for j in joined]))


class LazyMatrixView(DaskArrayView, LazyMatrix):
    """The lazy matrix of an AnnData view: the view becomes an AnnData of its own when it is set."""


@as_view.register(LazyMatrix)
def _as_view(array: LazyMatrix, view_args: tuple) -> LazyMatrixView:
    return LazyMatrixView(array, view_args=view_args)


def _let_anndata_write() -> None:
    """Has anndata write a lazy matrix as it writes any Dask array: it goes by the exact class."""
    from anndata._io.specs.registry import _REGISTRY

    classes = {da.Array: LazyMatrix, DaskArrayView: LazyMatrixView}

    def ours(source: Any) -> Any:
        if isinstance(source, tuple):
            return (classes[source[0]], *source[1:]) if source[0] in classes else None
        return classes.get(source)

    for source, spec in list(_REGISTRY.write_specs.items()):
        if ours(source) is not None:
            _REGISTRY.write_specs.setdefault(ours(source), spec)
    for (target, source, modifiers), write in list(_REGISTRY.write.items()):
        if ours(source) is not None:
            _REGISTRY.write.setdefault((target, ours(source), modifiers), write)


_let_anndata_write()


def _refuse_query_planning() -> None:
    if getattr(da, "ARRAY_EXPR_ENABLED", False):
        raise NotImplementedError(
            "Dask's array query planning is on, and cellmill's lazy matrices do not work with it; "
            "set dask.config.set({'array.query-planning': False}) before dask.array is imported"
        )


def plan_of(x: Any) -> _native.Matrix | None:
    """The native plan of an array, or None where it has none (any more)."""
    if not isinstance(x, da.Array):
        return None
    layer = getattr(x.dask, "layers", {}).get(x.name)
    return layer.plan if isinstance(layer, PlanLayer) else None


def _concatenation(arrays: Any, axis: int = 0, **others: Any) -> _native.Matrix | None:
    """The plan of matrices one below the other, or None where one of them has none."""
    plans = [plan for plan in map(plan_of, arrays) if plan is not None]
    if axis != 0 or others or len(plans) < len(arrays) or any(plan.centred for plan in plans):
        return None
    if len({plan.shape[1] for plan in plans}) != 1:
        return None
    return _native.Matrix.concat(plans)


def _joined_genes(func: Any) -> np.ndarray | None:
    """The old column (or -1) of each new one, where `func` is anndata's joining of genes."""
    from anndata._core.merge import Reindexer

    if not isinstance(func, functools.partial):
        return None
    joining = getattr(func.func, "__self__", None)
    if not isinstance(joining, Reindexer) or func.func.__name__ != "_apply_to_sparse":
        return None
    options = func.keywords
    return joining.idx if (options.get("axis"), options.get("fill_value")) == (1, 0) else None


def _select(plan: _native.Matrix, shape: tuple[int, int], index: Any) -> _native.Matrix | None:
    """The plan of a selection, or None where only Dask can make it."""
    if not isinstance(index, tuple):
        index = (index,)
    if any(i is Ellipsis for i in index):
        index = tuple(i for i in index if i is not Ellipsis)
    if len(index) > 2 or any(i is None for i in index):
        return None
    picked = []
    both = (*index, *[slice(None)] * (2 - len(index)))
    for axis, (one, n) in enumerate(zip(both, shape, strict=True)):
        positions = _positions(one, n)
        if positions is not None and axis == 0 and not _increases(positions):
            return None
        if positions is None:
            return None
        if axis == 1 and plan.centred and not _increases(positions):
            return None
        picked.append(positions)
    rows, columns = picked
    if rows is not Ellipsis:
        mask = np.zeros(shape[0], dtype=bool)
        mask[rows] = True
        plan = plan.select_cells(mask)
    if columns is not Ellipsis:
        plan = plan.arrange_columns(columns.tolist())
    return plan


def _positions(index: Any, n: int) -> Any:
    """Different positions, Ellipsis for all, None for what is no such selection."""
    if isinstance(index, slice):
        start, stop, step = index.indices(n)
        return Ellipsis if (start, stop, step) == (0, n, 1) else np.arange(start, stop, step)
    if not isinstance(index, (np.ndarray, list)):
        return None
    index = np.asarray(index)
    if index.ndim != 1:
        return None
    if index.dtype == bool:
        if len(index) != n:
            raise IndexError(f"a mask of {len(index)} was given for an axis of {n}")
        return np.flatnonzero(index)
    if index.size == 0:
        return np.empty(0, dtype=np.int64)
    if index.dtype.kind not in "iu":
        return None
    index = np.where(index < 0, index + n, index)
    if index.min() < 0 or index.max() >= n:
        raise IndexError(f"an index outside an axis of {n}")
    return index if len(np.unique(index)) == len(index) else None


def _increases(positions: Any) -> bool:
    return positions is Ellipsis or bool(np.all(np.diff(positions) > 0))
