"""What a task runs in: a version, a budget, and an end when nobody wants it any more."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from .. import _native

# Of a worker's memory, what its tasks may reserve together; the rest is Dask's, for values at rest.
SHARE = 0.6
# Seconds between two looks at whether the task is still wanted.
_LOOK = 0.1


def worker() -> Any | None:
    """The worker that this thread belongs to, or None outside of a cluster."""
    import sys

    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.get_worker()
    except ValueError:
        return None


def name_of(here: Any) -> str:
    """A worker as errors name it."""
    import socket

    return f"worker {here.address} ({socket.gethostname()})"


def check_version(version: str, here: Any) -> None:
    """Refuses work of another version of cellmill."""
    import cellmill

    if version != cellmill.__version__:
        raise RuntimeError(
            f"{name_of(here)} has cellmill {cellmill.__version__}, and the client has {version}; "
            "install the same version on all machines"
        )


class Terms(NamedTuple):
    """What every task of a call is told."""

    version: str
    """cellmill's version at the client."""
    shared: bool
    """Whether what tasks hold is shared by all threads of a worker, and not each one's own."""


def _budget(here: Any, shared: bool) -> int | None:
    """Bytes that a task on this worker may reserve."""
    limit = here.memory_manager.memory_limit
    threads = 1 if shared else here.state.nthreads
    return None if not limit else int(limit * SHARE / threads)


@contextmanager
def running(terms: Terms) -> Iterator[Any]:
    """The native surroundings of a task, which end it between two blocks when Dask has dropped it.

    A dropped task asks Dask to run it again: Dask does so only if somebody wants it again.
    """
    here = worker()
    if here is None:
        yield _native.Task()
        return
    from distributed import Reschedule

    check_version(terms.version, here)
    key = here.get_current_task()
    task = _native.Task(_budget(here, terms.shared))
    ended, dropped = threading.Event(), threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK):
            state = here.state.tasks.get(key)
            if state is None or state.state == "cancelled":
                dropped.set()
                task.cancel()
                return

    threading.Thread(target=look, name="cellmill-watch", daemon=True).start()
    try:
        yield task
    except KeyboardInterrupt:
        if not dropped.is_set():
            raise
        raise Reschedule from None
    finally:
        ended.set()
