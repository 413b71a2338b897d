"""The neighbour search as tasks: exact by ranges of points, else by the cells of its plan."""

import sys
from typing import Any

import numpy as np

from .. import _native
from .._engine import Place
from .._matrix import aligned
from .._settings import settings
from ._check import check_workers, common_kernel
from ._job import Job

# Points of up to so many bytes travel in the graph, which Dask keeps; more are scattered.
_SMALL = 4 << 20
# Points that a task takes, and the most tasks of a stage.
_POINTS, _PARTS = 512, 64
# How often the points are scattered again where the workers that held them were lost.
_TRIES = 3


def neighbors(
    machine: Any,
    points: np.ndarray,
    n_neighbors: int,
    metric: str,
    seed: int,
    place: Place,
    kernel: str | None = None,
) -> tuple:
    """As the native call of that name, with the same bits.

    `kernel` forces the instruction set; None is the best that every worker has. All of them give
    the same bits.
    """
    k, exact, found = search(machine, points, n_neighbors, metric, seed, place, kernel)
    if exact:
        indices, distances = found
        return _native.knn_of_rows(machine, indices, distances, k)
    return _native.knn_of_keys(machine, points, metric, *found)


def search(
    machine: Any,
    points: np.ndarray,
    n_neighbors: int,
    metric: str,
    seed: int,
    place: Place,
    kernel: str | None = None,
) -> tuple[int, bool, tuple]:
    """The number of neighbours found for each point, whether all pairs were looked at, and what was
    found: indices and distances of all points, or order, keys and scale of all places."""
    n, d = points.shape
    k, exact, needed = _native.knn_decide(machine, n, d, n_neighbors, metric)
    workers = check_workers(place.client, "neighbors", 0 if exact else needed, shared=True)
    if exact:
        return k, True, _exact(points, k, metric, place)
    kernel = common_kernel(workers) if kernel is None else kernel
    if settings.verbosity >= 2:
        print(f"neighbors: the kernel {kernel} on {len(workers)} workers", file=sys.stderr)
    found = _with_points(
        place, points, lambda job, sent: _search(job, sent, n, k, metric, seed, kernel)
    )
    return k, False, found


def _parts(n: int) -> int:
    return max(1, min(_PARTS, n // _POINTS))


def _ranges(n: int) -> list[tuple[int, int]]:
    parts = _parts(n)
    return [(n * i // parts, n * (i + 1) // parts) for i in range(parts)]


def _exact(points: np.ndarray, k: int, metric: str, place: Place) -> tuple:
    def rows(job: Job, sent: Any) -> list:
        ranges = enumerate(_ranges(len(points)))
        return job.run([job.add("exact", i, _rows, sent, k, metric, *r) for i, r in ranges])

    found = _with_points(place, points, rows)
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


def _search(
    job: Job, points: Any, n: int, k: int, metric: str, seed: int, kernel: str
) -> tuple[np.ndarray, np.ndarray, float]:
    plan = job.add("plan", 0, _plan, kernel, points, k, metric, seed)
    parts = _parts(n)
    cells = [job.add("cells", i, _cells, kernel, plan, i, parts) for i in range(parts)]
    lists = job.add("lists", 0, _of_all, job.merged(cells, _join, kernel), n)
    pulled = [job.add("pull", i, _pull, kernel, plan, lists, *r) for i, r in enumerate(_ranges(n))]
    (order, scale), *keys = job.run([job.add("order", 0, _order, plan), *pulled])
    return aligned(order), np.concatenate(keys), scale


def _with_points(place: Place, points: np.ndarray, work: Any) -> Any:
    """What `work` makes of a job and of the points, sent once."""
    from distributed import CancelledError

    for attempt in range(_TRIES):
        with Job("neighbors", place, shared=True) as job:
            if points.nbytes <= _SMALL:
                return work(job, job.value("points", points))
            # Two more copies, so that a lost worker does not take the points with it.
            sent = place.client.scatter(points, hash=False, broadcast=3)
            try:
                return work(job, sent)
            except CancelledError:
                if attempt + 1 == _TRIES:
                    raise
            finally:
                sent.release()
    raise AssertionError("every attempt returns or raises")


def _rows(task: Any, points: Any, k: int, metric: str, start: int, end: int) -> tuple:
    return _native.knn_exact(task, aligned(points), k, metric, start, end)


def _plan(task: Any, kernel: str, points: Any, k: int, metric: str, seed: int) -> Any:
    return _native.KnnSearch.plan(task, kernel, aligned(points), k, metric, seed)


def _cells(task: Any, kernel: str, search: Any, part: int, parts: int) -> Any:
    return search.search(task, kernel, part, parts)


def _join(_: Any, kernel: str, left: Any, right: Any) -> Any:
    return left.join(kernel, right)


def _of_all(_: Any, lists: Any, n: int) -> Any:
    return lists.of_all(n)


def _pull(task: Any, kernel: str, search: Any, lists: Any, start: int, end: int) -> Any:
    return search.pull(task, kernel, lists, start, end)


def _order(_: Any, search: _native.KnnSearch) -> tuple:
    return search.order()
