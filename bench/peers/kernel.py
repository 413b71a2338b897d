"""What the kernels of bench/stages.py have in common: their input, their clock, their output.

A script is called as `kernels_NAME.py STAGE TOOL FOLDER`. FOLDER holds the points, our neighbours
of them and the graph; the script writes `STAGE-TOOL.npz` and prints its seconds as JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

N_NEIGHBORS, EPOCHS = 15, 200


class Input:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def points(self) -> np.ndarray:
        return np.load(self.folder / "points.npy")

    @property
    def knn(self) -> tuple[np.ndarray, np.ndarray]:
        """Our neighbours of each point, without itself, and their distances."""
        return np.load(self.folder / "knn.npy"), np.load(self.folder / "distances.npy")

    @property
    def graph(self) -> sp.csr_matrix:
        with np.load(self.folder / "graph.npz") as file:
            n = len(file["indptr"]) - 1
            return sp.csr_matrix((file["data"], file["indices"], file["indptr"]), shape=(n, n))

    @property
    def start(self) -> np.ndarray:
        """Where our layout began."""
        return np.fromfile(self.folder / "start.f32", "<f4").reshape(-1, 2)


class Clock:
    """Wall and CPU seconds of what is done under it."""

    def __enter__(self):
        self._began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self._began[0]
        self.cpu = time.process_time() - self._began[1]


def run(kernels: dict) -> None:
    """Runs the kernel that the command line names: a function of the input that gives its clock,
    its arrays, and perhaps other numbers."""
    stage, tool, folder = sys.argv[1:]
    clock, arrays, *more = kernels[stage, tool](Input(Path(folder)))
    np.savez(Path(folder) / f"{stage}-{tool}.npz", **arrays)
    said = {"seconds": clock.seconds, "cpu": clock.cpu} | (more[0] if more else {})
    print(json.dumps({name: round(value, 3) for name, value in said.items()}))
