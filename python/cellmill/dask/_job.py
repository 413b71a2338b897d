"""The tasks of one call: their names, the tree of merges, submission, cancellation."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import dask
from dask.delayed import Delayed

from .. import _native
from .._engine import Place
from . import _tasks
from ._watch import Terms


class Job:
    """The tasks of one call, on a cluster, or on Dask's scheduler in this process.

    Keys are ``cellmill-WHAT-STEP-…``: the dashboard groups them by the words before the token.
    """

    def __init__(self, what: str, place: Place, shared: bool = False) -> None:
        import cellmill

        self._terms = Terms(cellmill.__version__, shared)
        self._what = what
        self._client: Any = place.client
        self._scheduler = place.scheduler
        self._token = uuid.uuid4().hex
        self._futures: list[Any] = []

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Lets go of every future; what still runs or waits after an error is cancelled."""
        if kind is not None and self._futures:
            self._client.cancel(self._futures, force=True)
        for future in self._futures:
            future.release()
        self._futures = []

    def _key(self, step: str, i: int) -> str:
        return f"cellmill-{self._what}-{step}-{self._token}-{i}"

    def value(self, step: str, value: Any) -> Delayed:
        """A value that many tasks read: it is sent once."""
        return dask.delayed(value, name=self._key(step, 0), traverse=False)

    def on_spans(
        self,
        step: str,
        i: int,
        function: Callable,
        plan: Any,
        spans: tuple[int, int],
        *arguments: Any,
    ) -> Delayed:
        """The task of the spans of a file from one to another."""
        return dask.delayed(_tasks.on_spans, pure=False)(
            function, self._terms, plan, spans, *arguments, dask_key_name=self._key(step, i)
        )

    def on_chunk(self, step: str, i: int, function: Callable, chunk: Any, *rest: Any) -> Delayed:
        """The task of a chunk that someone else made."""
        return dask.delayed(_tasks.on_chunk, pure=False)(
            function, self._terms, chunk, *rest, dask_key_name=self._key(step, i)
        )

    def add(self, step: str, i: int, function: Callable, *arguments: Any) -> Delayed:
        """A task of what other tasks made."""
        return dask.delayed(_tasks.on_values, pure=False)(
            function, self._terms, *arguments, dask_key_name=self._key(step, i)
        )

    def merged(self, states: Sequence[Delayed], function: Callable, *arguments: Any) -> Delayed:
        """The state of all, along the tree that the number of states fixes."""
        nodes = list(states)
        for left, right, node in _native.merge_tree(len(nodes)):
            nodes.append(
                self.add(
                    "merge", node - len(states), function, *arguments, nodes[left], nodes[right]
                )
            )
        return nodes[-1]

    def submit(self, nodes: Sequence[Delayed]) -> list[Any]:
        """Futures of the nodes, held until the job ends."""
        futures: list[Any] = self._client.compute(list(nodes))
        self._futures += futures
        return futures

    def gather(self, futures: Sequence[Any]) -> list[Any]:
        """What futures hold; they are let go of."""
        found: list[Any] = self._client.gather(list(futures))
        for future in futures:
            future.release()
        self._futures = [f for f in self._futures if not any(f is g for g in futures)]
        return found

    def run(self, nodes: Sequence[Delayed]) -> list[Any]:
        """The values of the nodes."""
        if self._client is None:
            return list(dask.compute(*nodes, scheduler=self._scheduler))
        return self.gather(self.submit(nodes))
