"""How many consecutive spans of a file a task takes: a node of the merge tree, so the bits stay."""

from collections.abc import Callable

from ._watch import SHARE

# Of so many cells a task may be of several spans: a span of a large matrix has as many.
_CELLS = 65_536
# Tasks for each thread of the workers, so that none waits long for the last.
_TASKS = 4


def spans_of_a_task(
    workers: list[dict], n_spans: int, n_cells: int, needed: Callable[[int], int]
) -> int:
    """The number of spans, a power of two.

    Parameters
    ----------
    workers
        What ``check_workers`` found.
    n_spans, n_cells
        Of the matrix.
    needed
        The bytes that a task of so many spans reserves.
    """
    tasks = _TASKS * max(1, sum(worker["threads"] for worker in workers))
    room = min(
        (w["limit"] * SHARE / w["threads"] for w in workers if w["limit"]), default=float("inf")
    )
    spans = 1
    while (
        2 * spans * n_cells <= _CELLS * n_spans
        and -(-n_spans // (2 * spans)) >= tasks
        and needed(2 * spans) <= room
    ):
        spans *= 2
    return spans
