"""Where a call runs: on the threads of this process, or on the workers of a Dask cluster."""

import sys
from typing import Any, NamedTuple

import dask.base


class Place(NamedTuple):
    """Where a call runs."""

    client: Any
    """The cluster, or None for this process."""
    scheduler: str | None = None
    """Dask's scheduler for chunks in this process; None: as Dask is configured."""


def place_of(engine: Any = None) -> Place:
    """Where a call runs.

    Parameters
    ----------
    engine
        ``"threads"``; ``"dask"``: the active client, which must be there; a client; ``None``: as
        ``cellmill.settings.engine`` says, by default the active client where there is one.

    Raises
    ------
    ValueError
        With ``"dask"`` where no client is active, and for anything else than the above.
    """
    from ._settings import settings

    engine = settings.engine if engine is None else check_engine(engine)
    if engine is None:
        return Place(_active())
    if isinstance(engine, str):
        if engine == "threads":
            return Place(None, "threads")
        client = _active()
        if client is None:
            raise ValueError(
                "engine is 'dask', and no distributed.Client is active here; make one, such as "
                "distributed.Client(address), or use engine='threads'"
            )
        return Place(client)
    return Place(engine)


def check_engine(engine: Any) -> Any:
    """The engine itself, if it is one."""
    if engine is None or (isinstance(engine, str) and engine in ("threads", "dask")):
        return engine
    distributed = sys.modules.get("distributed")
    if distributed is not None and isinstance(engine, distributed.Client):
        if engine.asynchronous:
            raise ValueError("engine is an asynchronous client, and must be one that waits")
        return engine
    raise ValueError(
        f"engine is {engine!r}, and must be None, 'threads', 'dask' or a distributed.Client"
    )


def _active() -> Any | None:
    """The client that Dask itself would compute on: what ``dask.config`` says comes first."""
    distributed = sys.modules.get("distributed")
    if distributed is None or _on_a_worker(distributed):
        return None
    try:
        distributed.Client.current(allow_global=True)
    except ValueError:
        return None
    owner = getattr(dask.base.get_scheduler(), "__self__", None)
    return owner if isinstance(owner, distributed.Client) else None


def _on_a_worker(distributed: Any) -> bool:
    """Whether this is a task already, whose thread must not wait for other tasks."""
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True
