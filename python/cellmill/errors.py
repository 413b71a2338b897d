"""The exceptions of cellmill: each is an :class:`Error`, and the one of Python's that it is like.

``except cm.Error`` catches whatever a file, its data, the memory budget or the numbers asked for
made fail in the Rust half; ``except ValueError`` and the like catch the same. Arguments that are
refused before any work starts, such as an unknown flavour, raise Python's own exceptions, as in
scanpy.
"""

__all__ = [
    "BudgetError",
    "DataError",
    "Error",
    "ExistsError",
    "FileError",
    "MissingElementError",
    "NotFoundError",
    "ParameterError",
    "UnsupportedError",
]


class Error(Exception):
    """What every exception of cellmill's own is; by itself: a bug, please report it."""


class DataError(Error, ValueError):
    """The data, or a file's contents, do not allow what was asked for."""


class ParameterError(Error, ValueError):
    """A parameter is out of its range, or does not fit the data."""


class FileError(Error, OSError):
    """A file could not be read or written."""


class NotFoundError(FileError, FileNotFoundError):
    """There is no such file."""


class ExistsError(FileError, FileExistsError):
    """The file to write is there already."""


class MissingElementError(Error, KeyError):
    """A file has no such element."""

    __str__ = Exception.__str__


class UnsupportedError(Error, NotImplementedError):
    """A file's element is sound, but is not read by this version."""


class BudgetError(Error, MemoryError):
    """What is needed does not fit ``cellmill.settings.memory``."""
