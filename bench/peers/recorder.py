"""What every peer's script has in common: the clock of its stages and the file of its results.

A script is called as `run_NAME.py ATLAS FOLDER`: it writes the seconds of its stages into
`FOLDER/stages.jsonl` as they begin and end, and what it found into `FOLDER/found.npz`.
"""

import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

# One choice of parameters for every tool. A cell is not its own neighbour in what is saved, so that
# scanpy's 15 neighbours, which count the cell itself, are 14 here, and everybody finds 14.
TARGET_SUM, N_GENES, N_COMPS, N_NEIGHBORS = 1e4, 2000, 50, 15


class Recorder:
    def __init__(self) -> None:
        self.atlas, folder = sys.argv[1], Path(sys.argv[2])
        self.folder = folder
        self._lines = (folder / "stages.jsonl").open("w", buffering=1)

    @contextmanager
    def stage(self, name: str):
        """Times what is done under it. Stages of one name add up."""
        self.begin(name)
        start = time.perf_counter()
        yield
        self.end(name, time.perf_counter() - start)

    def begin(self, name: str) -> None:
        self._lines.write(json.dumps({"started": name}) + "\n")

    def end(self, name: str, seconds: float) -> None:
        self._lines.write(json.dumps({"stage": name, "seconds": seconds}) + "\n")

    def counts(self) -> str:
        """Where the counts are: raw/X where there is one, as CELLxGENE has them."""
        with h5py.File(self.atlas, "r") as file:
            return "raw/X" if "raw/X" in file else "X"

    def save(self, *, pca, umap, labels, genes, knn, graph=None, missing=None) -> None:
        """Writes the result: scores, layout, clusters, names of genes, neighbours (n x k, without
        the cell itself), the graph that was clustered (scipy CSR), and why something is missing."""
        arrays = {
            "X_pca": np.asarray(pca, np.float32),
            "X_umap": np.asarray(umap, np.float32),
            "labels": np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int32),
            "genes": np.asarray(genes, str),
            "knn": np.asarray(knn, np.int64),
        }
        if graph is not None:
            arrays |= {"data": graph.data, "indices": graph.indices, "indptr": graph.indptr}
        np.savez(self.folder / "found.npz", missing=json.dumps(missing or {}), **arrays)
