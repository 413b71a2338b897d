"""Simulated atlases: made once, and read into the page cache before each run."""

import subprocess
from pathlib import Path

from driver.environments import cellmill


def simulated(path: Path, cells: int, genes: int, *more) -> Path:
    """The atlas at `path`, made if it is not there; `more` is said to `cellmill simulate`."""
    if not path.exists():
        print(f"simulating {cells:,} cells x {genes:,} genes", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        size = ["--cells", cells, "--genes", genes, *more]
        command = [cellmill(), "simulate", path, "--quiet", *size]
        subprocess.run(list(map(str, command)), check=True)
    return path


def cached(path: Path) -> Path:
    """The same file, read into the page cache."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass
    return path
