"""Folds as Dask tasks: over the chunks that someone else made, and over the spans of a file.

Chunks are folded wherever Dask computes; spans, where a ``distributed.Client`` is given. States
travel as bytes and are merged in the tree that their number fixes, so the result does not depend on
the order in which they are ready, and spans give the bits of the native calls.
"""

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np

from . import _native
from ._engine import Place
from ._lazy import plan_of
from ._matrix import aligned, csr_parts, is_foreign
from .dask import _tasks
from .dask._check import check_workers
from .dask._cut import spans_of_a_task
from .dask._job import Job

HERE = Place(None)


def folds_elsewhere(x: Any, place: Place) -> bool:
    """Whether the folds over `x` are Dask tasks: chunks are always, files are with a client."""
    return is_foreign(x) or (place.client is not None and plan_of(x) is not None)


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


def _leaves(
    job: Job, x: da.Array, step: str, spans: int, function: Any, *arguments: Any, genes: Any = None
) -> list:
    """The task of each chunk, or of so many `spans`; `genes` is cut to the cells of a chunk, and
    comes last."""
    plan = plan_of(x)
    if plan is None:
        chunks = by_cells(x).to_delayed().ravel()
        if genes is not None:
            parts = _parts(genes, x)
            return [
                job.on_chunk(step, i, function, c, *arguments, parts[i])
                for i, c in enumerate(chunks)
            ]
        return [job.on_chunk(step, i, function, c, *arguments) for i, c in enumerate(chunks)]
    text = job.value("plan", plan.to_json())
    n_spans = _native.fold_size("totals", plan)[0]
    if genes is not None:
        arguments = (*arguments, job.value("genes", genes))
    return [
        job.on_spans(step, i, function, text, part, *arguments)
        for i, part in enumerate(_groups(n_spans, spans))
    ]


def _groups(n_spans: int, size: int) -> list[tuple[int, int]]:
    """Consecutive spans, so many at a time."""
    return [(start, min(start + size, n_spans)) for start in range(0, n_spans, size)]


def _no_cells() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A matrix without cells: chunks come in any size, so only states can be asked about before."""
    return np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32)


def _parts(genes: Any, x: da.Array) -> list:
    """What folds for highly variable genes need of each chunk."""
    if genes.n_groups is None:
        return [genes] * x.numblocks[0]
    ends = np.cumsum(x.chunks[0]).tolist()
    return [
        SimpleNamespace(**{**vars(genes), "groups": genes.groups[start:end]})
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


def _without_cells(genes: Any) -> Any:
    """The same, for states: what is known of cells stays behind."""
    if genes is None:
        return None
    return SimpleNamespace(**{**vars(genes), "groups": np.empty(0, dtype=np.uint32)})


def _spans(place: Place, what: str, x: da.Array, n_spans: int, needed: Callable) -> int:
    """Looks at the workers; the spans that a task takes. `needed` says the bytes of so many."""
    if place.client is None:
        return 1
    plan = plan_of(x)
    text = None if plan is None else plan.to_json()
    workers = check_workers(place.client, what, needed(1), text)
    return 1 if plan is None else spans_of_a_task(workers, n_spans, x.shape[0], needed)


def _check(
    place: Place, what: str, x: da.Array, name: str, genes: Any = None, columns: int | None = None
) -> tuple[int, int]:
    """The columns of a state, and the spans that a task takes; refuses what does not fit."""
    of: Any = plan_of(x)
    if of is None:
        # Chunks come in any size, so that only the states can be asked about beforehand.
        of, genes = (*_no_cells(), x.shape[1]), _without_cells(genes)
    n_spans, n_cols, one = _native.fold_size(name, of, genes, columns)

    def needed(spans: int) -> int:
        # Only what is kept grows with the spans of a task.
        return _native.fold_size(name, of, genes, columns, spans)[2] if name == "kept" else one

    return n_cols, _spans(place, what, x, n_spans, needed)


def fold(
    what: str, name: str, x: da.Array, genes: Any = None, place: Place = HERE
) -> tuple[bytes, int]:
    """The state of all cells and its number of columns: one pass. `what` names the tasks.

    `genes` is what folds for highly variable genes need, with the batches of all cells.
    """
    n_cols, spans = _check(place, what, x, name, genes)
    with Job(what, place) as job:
        step = "span" if plan_of(x) is not None else "chunk"
        arguments = (name,) if genes is not None else (name, None)
        states = _leaves(job, x, step, spans, _tasks.fold, *arguments, genes=genes)
        rest = job.value("states", _without_cells(genes))
        (state,) = job.run([job.merged(states, _tasks.merge, name, n_cols, rest)])
    return state, n_cols


def totals(x: da.Array, place: Place = HERE) -> np.ndarray:
    """The total of each cell."""
    return _native.read_totals(fold("totals", "totals", x, place=place)[0])


def highly_expressed(x: da.Array, max_fraction: float, place: Place = HERE) -> np.ndarray:
    """As the native call of that name: one pass."""
    asked = SimpleNamespace(n_groups=None, max_fraction=max_fraction)
    state, n_cols = fold("expressed", "highly_expressed", x, asked, place)
    return _native.read_highly_expressed(n_cols, state)


def over_cells(name: str, x: da.Array, what: Any, place: Place = HERE) -> Any:
    """As `what`, which knows something of each cell, does of other matrices: one pass."""
    plan = plan_of(x)
    if plan is None:
        chunks, ends = by_cells(x).to_delayed().ravel(), np.cumsum(x.chunks[0]).tolist()
        n_spans, n_cols, needed = what.rows(0, 0).size((*_no_cells(), x.shape[1]))
    else:
        n_spans, n_cols, needed = what.size(plan)
    spans = _spans(place, name, x, n_spans, lambda _: needed)
    with Job(name, place) as job:
        if plan is None:
            parts = [what.rows(i, j) for i, j in zip([0, *ends], ends, strict=False)]
            nodes = [
                job.on_chunk("chunk", i, _tasks.over_cells, chunk, part)
                for i, (chunk, part) in enumerate(zip(chunks, parts, strict=True))
            ]
        else:
            text, whole = job.value("plan", plan.to_json()), job.value("groups", what)
            nodes = [
                job.on_spans("span", i, _tasks.over_cells, text, part, whole)
                for i, part in enumerate(_groups(n_spans, spans))
            ]
        # A merge needs to know how many groups there are, and of no cell which is its own.
        merge = job.merged(nodes, _tasks.merge_over_cells, what.rows(0, 0), n_cols)
        (state,) = job.run([merge])
    return what.finish(n_cols, state)


def highly_variable_genes(machine: Any, x: da.Array, ask: Any, place: Place = HERE) -> dict:
    """As the native call of that name; two passes for flavours of counts."""
    n_groups, groups = None, np.empty(0, dtype=np.uint32)
    if ask.batches is not None:
        n_groups, groups = _native.hvg_groups(*ask.batches)
    genes = SimpleNamespace(
        flavor=ask.flavor, base=ask.base, n_groups=n_groups, groups=groups, second=b""
    )
    if ask.flavor in ("seurat", "cell_ranger"):
        state, n_cols = fold("hvg", "moments", x, genes, place)
        return _native.read_moments(n_cols, state, ask, plan_of(x))
    counts, n_cols = fold("hvg", "counts", x, genes, place)
    genes.second = _native.hvg_second_read(machine, n_cols, counts, ask)
    sums, _ = fold("hvg", "sums", x, genes, place)
    return _native.read_sums(machine, n_cols, counts, genes.second, sums, ask)


def pca(
    machine: Any,
    x: da.Array,
    columns: list[int] | None,
    n_comps: int,
    zero_center: bool,
    place: Place = HERE,
) -> tuple:
    """As the native call of that name.

    On a cluster each span or chunk is read once, and what is kept of it stays with the workers for
    the scores. In one process kept columns would fill its memory, so chunks are computed twice.
    """
    if place.client is None:
        return _pca_in_two_passes(machine, x, columns, n_comps, zero_center, place)
    kept_columns = x.shape[1] if columns is None else len(columns)
    n_cols, spans = _check(place, "pca", x, "kept", None, kept_columns)
    with Job("pca", place) as job:
        nodes = _leaves(job, x, "keep", spans, _tasks.keep, columns)
        if _native.pca_makes_gram(n_cols):
            grams = [job.add("gram", i, _tasks.gram, n_cols, k) for i, k in enumerate(nodes)]
            merged = job.merged(grams, _tasks.merge, "gram", n_cols, None)
            *kept, last = job.submit([*nodes, merged])
            (state,) = job.gather([last])
            found = _native.solve_gram(machine, n_cols, state, n_comps, zero_center)
        else:
            kept = job.submit(nodes)
            found = _of_kept(machine, kept, n_cols, n_comps, zero_center, place)
        mean, loadings, variance, ratio = found
        components = job.value("components", (mean, loadings))
        scores = job.run(
            [job.add("project", i, _tasks.project, k, components) for i, k in enumerate(kept)]
        )
    return np.concatenate(scores), loadings, variance, ratio


def components(
    machine: Any,
    x: da.Array,
    columns: list[int] | None,
    n_comps: int,
    zero_center: bool,
    place: Place = HERE,
) -> tuple:
    """As the native call ``pca_components``: one pass; of many genes block Krylov.

    Its passes go over columns that the workers keep, or in one process over the chunks themselves,
    which are computed for each of them.
    """
    picked = x if columns is None else by_cells(x)[:, np.asarray(columns)]
    if not _native.pca_makes_gram(picked.shape[1]):
        return _components_of_many(machine, picked, n_comps, zero_center, place)
    state, n_cols = fold("pca", "gram", picked, place=place)
    return _native.solve_gram(machine, n_cols, state, n_comps, zero_center)


def _components_of_many(
    machine: Any, x: da.Array, n_comps: int, zero_center: bool, place: Place
) -> tuple:
    if place.client is not None:
        n_cols, spans = _check(place, "pca", x, "kept", None, x.shape[1])
        with Job("pca", place) as job:
            kept = job.submit(_leaves(job, x, "keep", spans, _tasks.keep, None))
            return _of_kept(machine, kept, n_cols, n_comps, zero_center, place)

    def fold(job: Job, step: Any) -> list:
        return _leaves(job, x, "chunk", 1, _tasks.pass_chunk, step)

    return _block_krylov(machine, fold, x.shape[1], n_comps, zero_center, place)


def _of_kept(
    machine: Any, kept: list, n_cols: int, n_comps: int, zero_center: bool, place: Place
) -> tuple:
    """Components of many genes, from kept columns that are futures."""

    def fold(job: Job, step: Any) -> list:
        return [job.add("krylov", i, _tasks.pass_kept, k, step) for i, k in enumerate(kept)]

    return _block_krylov(machine, fold, n_cols, n_comps, zero_center, place)


def _block_krylov(
    machine: Any, fold: Any, n_cols: int, n_comps: int, zero_center: bool, place: Place
) -> tuple:
    """Passes until the components have settled; each is a job, whose leaves `fold` makes."""
    solver = _native.BlockKrylov(machine, n_cols, n_comps, zero_center)
    while True:
        with Job("pca", place) as job:
            step = job.value("pass", solver.next_pass())
            (state,) = job.run([job.merged(fold(job, step), _tasks.merge_passes, step)])
        found = solver.advance(machine, state)
        if found is not None:
            return found


def _pca_in_two_passes(
    machine: Any, x: da.Array, columns: Any, n_comps: int, zero_center: bool, place: Place
) -> tuple:
    picked = x if columns is None else by_cells(x)[:, np.asarray(columns)]
    found = components(machine, x, columns, n_comps, zero_center, place)
    mean, loadings, variance, ratio = found
    with Job("pca", place) as job:
        nodes = _leaves(job, picked, "project", 1, _project_chunk, mean, loadings)
        scores = job.run(nodes)
    return np.concatenate(scores), loadings, variance, ratio


def _project_chunk(task: Any, chunk: Any, _: Any, mean: Any, loadings: Any) -> np.ndarray:
    narrow = (chunk[0], chunk[1], chunk[2].astype(np.float32, copy=False), chunk[3])
    return _native.project_chunk(narrow, aligned(mean), aligned(loadings))


def scores(
    x: da.Array, columns: list[int] | None, mean: np.ndarray, loadings: np.ndarray
) -> da.Array:
    """The scores of all cells, lazily: one pass over the chunks when they are computed."""
    x = by_cells(x) if columns is None else by_cells(x)[:, columns]
    project = functools.partial(_project, mean=mean, loadings=loadings)
    return x.map_blocks(
        project,
        dtype=np.float32,
        chunks=(x.chunks[0], (loadings.shape[1],)),
        meta=np.empty((0, 0), dtype=np.float32),
    )


def _project(chunk: Any, mean: np.ndarray, loadings: np.ndarray) -> np.ndarray:
    return _project_chunk(None, csr_parts(chunk), None, mean, loadings)
