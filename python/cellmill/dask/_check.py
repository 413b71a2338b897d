"""A look at the workers before the first task: versions, the file, memory, kernels."""

import socket
from typing import Any

import dask

from .. import _native
from ._tasks import opened
from ._watch import SHARE, check_version


def _look(version: str, plan: str | None, dask_worker: Any) -> dict:
    """What a worker is, and what is wrong with it."""
    found = {
        "kernels": _native.kernels(),
        "limit": dask_worker.memory_manager.memory_limit,
        "threads": dask_worker.state.nthreads,
        "error": None,
    }
    try:
        check_version(version, dask_worker)
        if plan is not None:
            opened(plan)
    except Exception as error:
        text = str(error)
        if dask_worker.address not in text:
            text = f"worker {dask_worker.address} ({socket.gethostname()}): {text}"
        found["error"] = (type(error), text)
    return found


def check_workers(
    client: Any, what: str, needed: int, plan: str | None = None, shared: bool = False
) -> list[dict]:
    """Refuses a call that some worker cannot take part in; returns what the workers are.

    Parameters
    ----------
    client
        The cluster.
    what
        The call, for the error.
    needed
        Bytes that one task reserves; with `shared`, what the tasks of a worker hold together.
    plan
        The matrix that every worker must be able to open.

    Raises
    ------
    FileNotFoundError, ValueError, RuntimeError, MemoryError
        Naming the worker: for a file that it does not see or that changed, for another version of
        cellmill, and where its memory is too little.
    """
    import cellmill

    where = _annotated(client)
    found = client.run(_look, cellmill.__version__, plan, workers=where, on_error="return")
    for address, look in found.items():
        if isinstance(look, OSError) and type(look).__module__.startswith("distributed"):
            # It left the cluster between the question and the answer; others go on.
            continue
        if isinstance(look, BaseException):
            raise RuntimeError(
                f"worker {address} cannot run cellmill: {type(look).__name__}: {look}; install "
                f"cellmill {cellmill.__version__} on all machines"
            )
        if look["error"] is not None:
            kind, text = look["error"]
            raise kind(text)
        limit, threads = look["limit"], 1 if shared else look["threads"]
        if limit and needed > limit * SHARE / threads:
            raise MemoryError(_too_little(address, what, needed, limit, threads, shared))
    return [look for look in found.values() if isinstance(look, dict)]


def _too_little(
    address: str, what: str, needed: int, limit: int, threads: int, shared: bool
) -> str:
    least = needed * threads / SHARE / 2**20
    each = "" if shared else f" on each of its {threads} threads"
    fewer = "" if shared or threads == 1 else "fewer threads to a worker, or "
    return (
        f"{what} needs {needed / 2**20:.0f} MiB{each}, and worker {address} has "
        f"{limit / 2**20:.0f} MiB, of which {SHARE:.0%} are for tasks; use {fewer}workers with a "
        f"memory limit of {least:.0f} MiB or more"
    )


def common_kernel(workers: list[dict]) -> str:
    """The best kernel that every worker has (this machine's best where there is no worker yet)."""
    best = _native.kernels()
    for look in workers:
        if best[0] not in look["kernels"]:
            best = [kernel for kernel in look["kernels"] if kernel in best] or ["portable"]
    return best[0]


def _annotated(client: Any) -> list[str] | None:
    """The workers that ``dask.annotate`` limits tasks to, or None for all."""
    asked = dask.get_annotations().get("workers")
    if not asked or callable(asked):
        return None
    asked = [asked] if isinstance(asked, str) else list(asked)
    known = client.scheduler_info(n_workers=-1)["workers"]
    return [
        address
        for address, info in known.items()
        if address in asked or info["name"] in asked or info["host"] in asked
    ]
