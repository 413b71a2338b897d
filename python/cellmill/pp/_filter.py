"""Filters of cells and genes by what they hold."""

from typing import Any

import numpy as np
from anndata import AnnData

from .._quality import asked, quality
from .._slots import get_x, prepared


def filter_cells(
    data: Any,
    *,
    min_counts: int | None = None,
    min_genes: int | None = None,
    max_counts: int | None = None,
    max_genes: int | None = None,
    inplace: bool = True,
    copy: bool = False,
) -> AnnData | tuple[np.ndarray, np.ndarray] | None:
    """Keep the cells within one bound: one read of a lazy matrix, and no entry is copied.

    Parameters
    ----------
    data
        The annotated matrix, cells x genes, or the matrix alone: lazy, a Dask array chunked along
        cells, sparse or dense.
    min_counts, max_counts
        Bounds (inclusive) of a cell's total.
    min_genes, max_genes
        Bounds (inclusive) of the number of a cell's genes whose value is above 0. Exactly one of
        the four is given.
    inplace
        Whether to write to `data` and keep the cells there, or to return the mask and the numbers.
    copy
        Whether to return a filtered copy.

    Returns
    -------
    AnnData or tuple or None
        Writes ``obs["n_counts"]`` (of the matrix's dtype; int64 of integers) or ``obs["n_genes"]``
        (int64) and keeps the cells within the bound: a lazy matrix stays lazy and notes the
        selection. With ``inplace=False``, and of a matrix alone, the mask (True for cells that
        stay) and the numbers.

    Raises
    ------
    ValueError
        Unless exactly one bound is given.

    Notes
    -----
    Matches :func:`scanpy.pp.filter_cells`.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.pp.filter_cells(adata, min_genes=40)
    >>> bool(adata.obs["n_genes"].min() >= 40)
    True
    """
    return _filter(
        data, "cells", "genes", (min_counts, min_genes), (max_counts, max_genes), inplace, copy
    )


def filter_genes(
    data: Any,
    *,
    min_counts: int | None = None,
    min_cells: int | None = None,
    max_counts: int | None = None,
    max_cells: int | None = None,
    inplace: bool = True,
    copy: bool = False,
) -> AnnData | tuple[np.ndarray, np.ndarray] | None:
    """Keep the genes within one bound: one read of a lazy matrix, and no entry is copied.

    Parameters
    ----------
    data
        The annotated matrix, cells x genes, or the matrix alone: lazy, a Dask array chunked along
        cells, sparse or dense.
    min_counts, max_counts
        Bounds (inclusive) of a gene's sum.
    min_cells, max_cells
        Bounds (inclusive) of the number of cells in which a gene's value is above 0. Exactly one
        of the four is given.
    inplace
        Whether to write to `data` and keep the genes there, or to return the mask and the numbers.
    copy
        Whether to return a filtered copy.

    Returns
    -------
    AnnData or tuple or None
        Writes ``var["n_counts"]`` (of the matrix's dtype; int64 of integers) or ``var["n_cells"]``
        (int64) and keeps the genes within the bound: a lazy matrix stays lazy and notes the
        selection. With ``inplace=False``, and of a matrix alone, the mask (True for genes that
        stay) and the numbers.

    Raises
    ------
    ValueError
        Unless exactly one bound is given.

    Notes
    -----
    Matches :func:`scanpy.pp.filter_genes`.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.pp.filter_genes(adata, min_cells=3)
    >>> bool(adata.var["n_cells"].min() >= 3)
    True
    """
    return _filter(
        data, "genes", "cells", (min_counts, min_cells), (max_counts, max_cells), inplace, copy
    )


def _filter(
    data: Any,
    kept: str,
    counted: str,
    least: tuple[int | None, int | None],
    most: tuple[int | None, int | None],
    inplace: bool,
    copy: bool,
) -> AnnData | tuple[np.ndarray, np.ndarray] | None:
    given: list[tuple[int, int, np.ufunc]]
    given = [(bound, i, np.greater_equal) for i, bound in enumerate(least) if bound is not None]
    given += [(bound, i, np.less_equal) for i, bound in enumerate(most) if bound is not None]
    if len(given) != 1:
        raise ValueError(
            "Only provide one of the optional parameters `min_counts`, "
            f"`min_{counted}`, `max_counts`, `max_{counted}` per call."
        )
    ((bound, by_number, inside),) = given
    if not isinstance(data, AnnData):
        return _within(data, kept, bound, bool(by_number), inside)
    adata = prepared(data, copy) if inplace else data
    mask, number = _within(get_x(adata), kept, bound, bool(by_number), inside)
    if not inplace:
        return mask, number
    name = f"n_{counted}" if by_number else "n_counts"
    if kept == "cells":
        adata.obs[name] = number
        adata._inplace_subset_obs(mask)
    else:
        adata.var[name] = number
        adata._inplace_subset_var(mask)
    return adata if copy else None


def _within(
    x: Any, kept: str, bound: float, by_number: bool, inside: Any
) -> tuple[np.ndarray, np.ndarray]:
    obs, var = quality(x, asked(x, positive=True))
    if kept == "cells":
        number = obs["n_genes_by_counts"] if by_number else obs["total_counts"]
    else:
        number = var["n_cells_by_counts"] if by_number else var["total_counts"]
    if by_number:
        number = number.astype(np.int64)
    return inside(number, bound), number
