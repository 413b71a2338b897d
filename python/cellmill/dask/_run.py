"""``cellmill run --dask ADDRESS``: the parts of a run that a cluster takes."""

import os

import numpy as np

from .. import _foreign, _native
from .._engine import Place
from .._lazy import LazyMatrix
from .._matrix import aligned
from .._settings import settings
from ._neighbors import search


class Cluster:
    """A cluster, as the Rust half of the command calls it."""

    def __init__(self, address: str) -> None:
        from distributed import Client

        self._place = Place(Client(address, set_as_default=False))

    def counts(self, path: os.PathLike, address: str, block_rows: int | None) -> bytes:
        """The state of the first read."""
        x = LazyMatrix.of(_native.Matrix.open(path, address, block_rows))
        return _foreign.fold("run", "run", x, place=self._place)[0]

    def components(
        self,
        matrix: tuple,
        target_sum: float,
        base: float | None,
        selected: list[int],
        n_comps: int,
    ) -> tuple:
        """Scores, loadings, variance and its ratio."""
        plan = _native.Matrix.open(*matrix).normalize_total(target_sum).log1p(base)
        x, machine = LazyMatrix.of(plan), settings._machine()
        found = _foreign.pca(machine, x, list(selected), n_comps, True, self._place)
        return tuple(map(aligned, found))

    def knn(self, points: np.ndarray, n_neighbors: int, metric: str, seed: int) -> tuple:
        """What the search found, before it is put in order: of rows, or of places."""
        return search(settings._machine(), points, n_neighbors, metric, seed, self._place)[2]
