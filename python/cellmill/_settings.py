"""What every long call runs in: memory, threads, scratch, and what is said meanwhile."""

import os
import re
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from . import _native
from ._engine import check_engine
from ._progress import Watch, in_notebook

_UNITS = {"": 1, "B": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {"KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


def _size(value: int | float | str) -> int:
    """Bytes of a size: a number, or a string such as ``"8G"``, ``"1.5GB"``, ``"512MiB"``."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
    else:
        found = re.fullmatch(r"\s*([0-9.]+)\s*([KMGT]?I?)B?\s*", str(value).upper())
        if found is None:
            raise ValueError(f"memory is {value!r}, and must be a size such as '8G' or '512MiB'")
        number = float(found[1]) * _UNITS[found[2]]
    if number < 1:
        raise ValueError(f"memory is {value!r}, and must be above 0")
    return int(number)


class Settings:
    """The surroundings of every long call. No result depends on any of them."""

    def __init__(self) -> None:
        self._memory: int | None = None
        self._threads = 0
        self._scratch: Path | None = None
        self._verbosity = 1
        self._progress = "auto"
        self._figdir = Path("figures")
        self._engine: Any = None

    @property
    def engine(self) -> Any:
        """Where folds and searches run: ``None`` (on the active ``distributed.Client`` where there
        is one), ``"threads"``, ``"dask"`` (a client must be active), or a client."""
        return self._engine

    @engine.setter
    def engine(self, value: Any) -> None:
        self._engine = check_engine(value)

    @property
    def memory(self) -> int:
        """Bytes a call may reserve: a number, ``"8G"``, or ``None`` for 70 % of the machine."""
        return _native.default_memory() if self._memory is None else self._memory

    @memory.setter
    def memory(self, value: int | float | str | None) -> None:
        self._memory = None if value is None else _size(value)

    @property
    def threads(self) -> int:
        """Threads of a call; 0 is one for each core."""
        return self._threads

    @threads.setter
    def threads(self, value: int) -> None:
        if value < 0:
            raise ValueError(f"threads is {value}, and must be at least 0")
        self._threads = int(value)

    @property
    def scratch(self) -> Path:
        """The folder for scratch files; ``None``: the system's folder for temporary files."""
        return Path(tempfile.gettempdir()) if self._scratch is None else self._scratch

    @scratch.setter
    def scratch(self, value: str | os.PathLike[str] | None) -> None:
        if value is not None and not Path(value).is_dir():
            raise FileNotFoundError(f"the scratch folder {value} does not exist")
        self._scratch = None if value is None else Path(value)

    @property
    def verbosity(self) -> int:
        """0: errors only; 1: warnings; 2: notes as well."""
        return self._verbosity

    @verbosity.setter
    def verbosity(self, value: int) -> None:
        self._verbosity = int(value)

    @property
    def progress(self) -> str:
        """Where progress is shown: ``"terminal"``, ``"notebook"`` or ``"off"``.

        ``"auto"``, the default, is whichever the program runs in, else ``"off"``.
        """
        return self._progress

    @progress.setter
    def progress(self, value: str) -> None:
        if value not in ("auto", "terminal", "notebook", "off"):
            raise ValueError(
                f"progress is {value!r}, and must be 'auto', 'terminal', 'notebook' or 'off'"
            )
        self._progress = value

    @property
    def figdir(self) -> Path:
        """The folder for figures that ``save=`` writes; it is made when one is saved."""
        return self._figdir

    @figdir.setter
    def figdir(self, value: str | os.PathLike[str]) -> None:
        self._figdir = Path(value)

    def __repr__(self) -> str:
        return (
            f"memory={self.memory}, threads={self.threads}, scratch={str(self.scratch)!r}, "
            f"verbosity={self.verbosity}, progress={self.progress!r}, figdir={str(self.figdir)!r}"
        )

    def _machine(self) -> SimpleNamespace:
        """What the native calls take."""
        return SimpleNamespace(
            memory=self.memory,
            threads=self.threads,
            scratch=self.scratch,
            observe=Watch(self._shows(), self._verbosity),
        )

    def _shows(self) -> str:
        """Where progress is shown now."""
        if self._progress != "auto":
            return self._progress
        if in_notebook():
            return "notebook"
        return "terminal" if sys.stderr.isatty() else "off"


settings = Settings()
