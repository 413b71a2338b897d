"""What is seen of a long call: a line in a terminal, a bar in a notebook, warnings, notes."""

import html
import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

# Seconds between two pictures of the same stage.
_PAUSE = 0.1


def in_notebook() -> bool:
    """Whether the program runs in a kernel whose front end shows HTML."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class Watch:
    """Takes the events of one call, as the native calls send them: JSON texts.

    `shows` is ``"terminal"``, ``"notebook"`` or ``"off"``.
    """

    def __init__(self, shows: str, verbosity: int) -> None:
        self._show: _Terminal | _Notebook | None = None
        if shows != "off":
            self._show = _Notebook() if shows == "notebook" else _Terminal()
        self._verbosity = verbosity
        self._total, self._unit = 0, ""
        self._begun = self._shown = 0.0

    def __call__(self, text: str) -> None:
        event = json.loads(text)
        handle: Callable[[dict], None] | None = getattr(self, "_" + event["event"], None)
        if handle is not None:
            handle(event)

    def _stage_started(self, event: dict) -> None:
        self._total, self._unit = event["total"], event["unit"]
        self._begun = self._shown = time.monotonic()

    def _progress(self, event: dict) -> None:
        now = time.monotonic()
        if self._show is None or now - self._shown < _PAUSE:
            return
        self._shown = now
        seconds = now - self._begun
        self._show.now(event["stage"], event["done"], self._total, self._rest(event, seconds))

    def _rest(self, event: dict, seconds: float) -> str:
        """What is done, how fast, and how long it will take."""
        done, total = event["done"], self._total
        if not total or not done or not seconds:
            return f"{done:,} {self._unit}"
        rate = done / seconds
        left = _span((total - done) / rate)
        return f"{100 * done // total} %, {_rate(rate)} {self._unit}/s, {left} left"

    def _stage_finished(self, event: dict) -> None:
        if self._show is not None:
            seconds = event["seconds"]
            text = f"{event['stage']}: {_span(seconds)}"
            if self._total and seconds:
                text += f", {_rate(self._total / seconds)} {self._unit}/s"
            self._show.end(text)

    def _warning(self, event: dict) -> None:
        if self._verbosity >= 1:
            warnings.warn(event["text"], UserWarning, stacklevel=4)

    def _note(self, event: dict) -> None:
        if self._verbosity >= 2:
            print(event["text"], file=sys.stderr)


class _Terminal:
    """One line that is written over."""

    def __init__(self) -> None:
        self._width = 0

    def now(self, stage: str, done: int, total: int, rest: str) -> None:
        self._put(f"{stage}: {rest}", end="")

    def end(self, text: str) -> None:
        self._put(text, end="\n")
        self._width = 0

    def _put(self, text: str, end: str) -> None:
        print("\r" + text.ljust(self._width), end=end, file=sys.stderr, flush=True)
        self._width = len(text)


class _Notebook:
    """A bar for each stage, which becomes a line of text when the stage is done."""

    def __init__(self) -> None:
        self._handle: Any = None

    def now(self, stage: str, done: int, total: int, rest: str) -> None:
        known = f'value="{done}" max="{total}"' if total else ""
        self._put(
            f'{html.escape(stage)} <progress {known} style="width: 20em"></progress> {rest}',
            f"{stage}: {rest}",
        )

    def end(self, text: str) -> None:
        self._put(html.escape(text), text)
        self._handle = None

    def _put(self, bar: str, text: str) -> None:
        from IPython.display import display

        pictures = {"text/html": f"<div>{bar}</div>", "text/plain": text}
        if self._handle is None:
            self._handle = display(pictures, raw=True, display_id=True)
        else:
            self._handle.update(pictures, raw=True)


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def _span(seconds: float) -> str:
    """A length of time: ``0.3 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
