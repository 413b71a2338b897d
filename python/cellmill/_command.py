"""The ``cellmill`` command of the wheel."""

import signal
import sys

from . import _native


def main() -> int:
    """Run the command with the program's arguments; return its exit code."""
    # The command has its own handling of Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.run_command(["cellmill", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
