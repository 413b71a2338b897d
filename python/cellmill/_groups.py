"""Every gene over groups of cells, of a matrix of any kind: one read."""

from typing import Any

import numpy as np

from . import _foreign, _native
from ._engine import Place
from ._matrix import operand
from ._settings import settings

NONE = 2**32 - 1
"""The group of a cell that belongs to none."""


def over_groups(
    x: Any, n_groups: int, ids: np.ndarray, place: Place, dof: int | None = None
) -> dict[str, np.ndarray]:
    """``sum``, ``count_nonzero``, ``mean`` and, with a `dof`, ``var``: groups x genes, in f64."""
    what = _native.Aggregation(n_groups, ids.astype(np.uint32), dof)
    if _foreign.folds_elsewhere(x, place):
        found: dict[str, np.ndarray] = _foreign.over_cells("aggregate", x, what, place)
        return found
    return what.of_matrix(settings._machine(), operand(x))


def gene_means(x: Any, place: Place) -> np.ndarray:
    """The mean of each gene over all cells."""
    means: np.ndarray = over_groups(x, 1, np.zeros(x.shape[0]), place)["mean"][0]
    return means
