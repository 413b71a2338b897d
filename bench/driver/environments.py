"""Virtual environments of the peers, found or made, and the command itself, built if missing."""

import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "bench" / "peers"
PYTHON = "3.13"


def find_python() -> str:
    """A Python of the version that the pins are for, on PATH or of pyenv."""
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{PYTHON}*/bin/python"))
    for candidate in [f"python{PYTHON}", *map(str, pyenv), "python3", "python"]:
        found = shutil.which(candidate)
        test = f"import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, {PYTHON[2:]}))"
        if found and subprocess.run([found, "-c", test], capture_output=True).returncode == 0:
            return found
    sys.exit(f"no Python {PYTHON} with venv was found on PATH or under ~/.pyenv/versions")


def environment(name: str, work: Path) -> Path:
    """The Python of the environment that bench/peers/NAME.txt pins. Raises RuntimeError."""
    pins = (PEERS / f"{name}.txt").read_bytes()
    folder = work / "env" / name
    python, stamp = folder / "bin" / "python", folder / ".stamp"
    checksum = str(zlib.crc32(pins))
    if python.exists() and stamp.exists() and stamp.read_text() == checksum:
        return python
    print(f"making {folder} from bench/peers/{name}.txt", flush=True)
    subprocess.run([find_python(), "-m", "venv", "--clear", folder], check=True)
    quiet = ["--quiet", "--disable-pip-version-check"]
    pip = [python, "-m", "pip", "install", *quiet, "-r", PEERS / f"{name}.txt"]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"pip could not install bench/peers/{name}.txt: {done.stderr[-400:]}")
    stamp.write_text(checksum)
    return python


def version(python: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip()


def cellmill() -> Path:
    """The command in target/release, built if it is missing."""
    command = ROOT / "target" / "release" / "cellmill"
    if not command.exists():
        cargo("build", "--release", "--locked", "-p", "cellmill-cli")
    return command


def example(name: str, package: str = "cellmill-graph") -> Path:
    """An example program of a crate, of the code as it is."""
    cargo("build", "--release", "--locked", "--quiet", "-p", package, "--example", name)
    return ROOT / "target" / "release" / "examples" / name


def cargo(*arguments: str) -> None:
    # HDF5 is built with the cmake that ./test and ./demo install.
    tools = f"{ROOT / '.tools' / 'build' / 'bin'}:{os.environ['PATH']}"
    subprocess.run(["cargo", *arguments], check=True, cwd=ROOT, env=os.environ | {"PATH": tools})
