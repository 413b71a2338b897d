"""The `cellmill` command as a user meets it: arguments in, exit code, text and files out."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARY = Path(os.environ.get("CELLMILL", ROOT / "target/release/cellmill"))


@dataclass
class Done:
    """A command that has ended."""

    arguments: list[str]
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def json(self):
        return json.loads(self.out)


def words(arguments) -> list[str]:
    return [str(BINARY), *map(str, arguments)]


def cellmill(*arguments, cwd=None, timeout=600, **options) -> Done:
    """Runs the command to its end, whatever the end is."""
    done = subprocess.run(
        words(arguments),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        **options,
    )
    return Done([str(a) for a in arguments], done.returncode, done.stdout, done.stderr)


def ok(*arguments, **options) -> Done:
    """Runs the command, which must succeed."""
    done = cellmill(*arguments, **options)
    assert done.code == 0, f"{done.arguments} ended with {done.code}:\n{done.text}"
    return done


def start(*arguments, **options) -> subprocess.Popen:
    """Starts the command and does not wait."""
    return subprocess.Popen(
        words(arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def message(done: Done) -> str:
    """The one sentence of a refusal: the only line of stderr that begins with `error: `."""
    assert done.code == 2, f"{done.arguments} ended with {done.code}, not 2:\n{done.text}"
    lines = [line for line in done.err.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, f"one error line was expected:\n{done.err}"
    assert lines[-1] == errors[0], f"the error is one line, and the last:\n{done.err}"
    for trace in ("panicked", "RUST_BACKTRACE", "unwrap", "HDF5-DIAG", "thread '"):
        assert trace not in done.text, f"{trace} in:\n{done.text}"
    return errors[0].removeprefix("error: ")


def refused(*arguments, names=(), leaves: Path | None = None, **options) -> str:
    """Runs the command, which must refuse.

    `names` are words that the sentence must hold (a tuple inside: one of them); `leaves` is a
    folder that must hold after the refusal what it held before.
    """
    before = listing(leaves) if leaves else None
    sentence = message(cellmill(*arguments, **options))
    for name in names:
        choices = name if isinstance(name, tuple) else (name,)
        assert any(c.lower() in sentence.lower() for c in choices), f"{choices} not in: {sentence}"
    if leaves:
        assert listing(leaves) == before, f"left behind after: {sentence}"
    return sentence


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder, with its size and time of change."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def events(path: Path) -> list[dict]:
    """The lines of an `--events` file."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
