"""The ``cellmill`` command of the wheel."""

import signal
import sys
from typing import Any

from . import _native


def main() -> int:
    """Run the command with the program's arguments; return its exit code."""
    # The command has its own handling of Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.run_command(["cellmill", *sys.argv[1:]], _connect)


def _connect(address: str) -> Any:
    """The cluster of ``cellmill run --dask ADDRESS``."""
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise RuntimeError(
            '--dask needs Dask\'s distributed: pip install "cellmill[cluster]"'
        ) from None
    from .dask._run import Cluster

    return Cluster(address)


if __name__ == "__main__":
    sys.exit(main())
