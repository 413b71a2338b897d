"""A part of an atlas, by masks or names."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .._slots import prepared


def subset(
    adata: AnnData, *, cells: Any = None, genes: Any = None, copy: bool = False
) -> AnnData | None:
    """Keep some cells and genes: reads nothing, and a lazy matrix stays lazy.

    Parameters
    ----------
    adata
        The annotated matrix, cells x genes.
    cells
        The cells that stay: a boolean mask with an entry for each cell, or names of obs in any
        order; ``None``: all.
    genes
        The genes that stay, likewise.
    copy
        Whether to return the part, and leave `adata` as it is.

    Returns
    -------
    AnnData or None
        Keeps the order of `adata`.

    Raises
    ------
    KeyError
        Where a name is not there; the first few are listed.
    ValueError
        Where a mask has another length.

    Notes
    -----
    There is no ``scanpy.pp.subset``; ``adata[cells, genes].copy()`` does the same and keeps the
    order of the names.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.pp.subset(adata, genes=adata.var_names[:10])
    >>> adata.shape
    (500, 10)
    """
    rows = _mask(adata.obs_names, cells, "cells", "obs")
    columns = _mask(adata.var_names, genes, "genes", "var")
    if copy:
        return adata[rows, columns].copy()
    adata = prepared(adata, copy=False)
    if cells is not None:
        adata._inplace_subset_obs(rows)
    if genes is not None:
        adata._inplace_subset_var(columns)
    return None


def _mask(names: pd.Index, chosen: Any, what: str, frame: str) -> np.ndarray:
    if chosen is None:
        return np.ones(len(names), dtype=bool)
    if isinstance(chosen, str) or not isinstance(chosen, Iterable):
        raise TypeError(f"{what} is {chosen!r}, and must be a mask or names of {frame}")
    chosen = np.asarray(list(chosen) if not hasattr(chosen, "dtype") else chosen)
    if chosen.dtype == bool:
        if chosen.shape != (len(names),):
            raise ValueError(
                f"{what} is a mask of {chosen.size}, and there are {len(names)} {what}"
            )
        return np.asarray(chosen)
    unknown = ~np.isin(chosen, names)
    if unknown.any():
        first = ", ".join(map(str, chosen[unknown][:5]))
        raise KeyError(f"{unknown.sum()} of {len(chosen)} {what} are not in {frame}: {first}")
    return np.asarray(names.isin(chosen))
