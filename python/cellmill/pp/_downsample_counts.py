"""Fewer counts."""

from typing import Any

import dask.array as da
import numpy as np
from anndata import AnnData
from scipy import sparse

from .. import _native
from .._foreign import by_cells
from .._lazy import LazyMatrix, plan_of
from .._slots import get_x, prepared, seed_of


def downsample_counts(
    adata: AnnData,
    counts_per_cell: Any = None,
    total_counts: int | None = None,
    *,
    random_state: Any = 0,
    replace: bool = False,
    copy: bool = False,
) -> AnnData | None:
    """Keep a sample of the counts of each cell, or of the matrix.

    Parameters
    ----------
    adata
        The annotated matrix, cells x genes, with counts in X.
    counts_per_cell
        The most that a cell may have afterwards: one number, or one for each cell. Of a lazy matrix
        this reads nothing now.
    total_counts
        The most that the matrix may have: of a matrix in memory only.
    random_state
        The seed, a whole number.
    replace
        Whether a molecule may be drawn more than once.
    copy
        Whether to return a copy of `adata`.

    Returns
    -------
    AnnData or None
        Writes X, in the dtype that it had. A lazy matrix stays lazy.

    Raises
    ------
    ValueError
        Unless one of `counts_per_cell` and `total_counts` is given, for numbers that do not fit the
        cells, and for values that are not whole numbers of at least 0 (of a lazy matrix once they
        are read).
    NotImplementedError
        With `total_counts` on a lazy matrix or a Dask array: it draws from all counts at once.

    Notes
    -----
    Matches :func:`scanpy.pp.downsample_counts`, number by number: the random numbers are those of
    its seed. As there, every cell begins with the same seed. A matrix in memory is replaced by a
    new one.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.pp.downsample_counts(adata, 50)
    >>> float(adata.X.sum(axis=1).max())
    50.0
    """
    if (counts_per_cell is None) is (total_counts is None):
        raise ValueError("Must specify exactly one of `total_counts` or `counts_per_cell`.")
    adata = prepared(adata, copy)
    x = get_x(adata)
    seed = seed_of(random_state) % 2**32
    if total_counts is None:
        counts = _per_cell(counts_per_cell, adata.n_obs)
        adata.X = _cells(x, counts, seed, replace)
    else:
        if isinstance(x, da.Array):
            raise NotImplementedError(
                "total_counts draws from the counts of all cells at once, which a matrix that is "
                "not in memory cannot give; use counts_per_cell"
            )
        if total_counts < 0:
            raise ValueError(f"total_counts is {total_counts}, and must be at least 0")
        adata.X = _sampled(x, np.array([int(total_counts)]), seed, replace, whole=True)
    return adata if copy else None


def _per_cell(asked: Any, n_obs: int) -> np.ndarray:
    """The numbers: one, or one for each cell."""
    counts = np.atleast_1d(np.asarray(asked)).astype(np.int64)
    if np.ndim(asked) and counts.shape != (n_obs,):
        raise ValueError(
            "If provided, 'counts_per_cell' must be either an integer, or one number for each of "
            f"the {n_obs} cells, and has shape {counts.shape}"
        )
    if counts.min(initial=0) < 0:
        raise ValueError("counts_per_cell has numbers below 0")
    return counts


def _cells(x: Any, counts: np.ndarray, seed: int, replace: bool) -> Any:
    plan = plan_of(x)
    if plan is not None:
        return LazyMatrix.of(plan.downsample_counts(counts.tolist(), seed, replace))
    if not isinstance(x, da.Array):
        return _sampled(x, counts, seed, replace)
    each = np.broadcast_to(counts, x.shape[0])[:, None]
    each = da.from_array(np.array(each), chunks=(by_cells(x).chunks[0], 1))
    return da.map_blocks(
        _chunk, x, each, seed, replace, dtype=x.dtype, chunks=x.chunks, meta=x._meta
    )


def _chunk(chunk: Any, counts: np.ndarray, seed: int, replace: bool) -> Any:
    return _sampled(chunk, counts[:, 0], seed, replace)


def _sampled(x: Any, counts: np.ndarray, seed: int, replace: bool, whole: bool = False) -> Any:
    """A matrix in memory with a sample of its counts: of each row, or of the whole."""
    rows = x.tocsr() if sparse.issparse(x) else sparse.csr_matrix(x)
    starts = np.array([0, rows.nnz]) if whole else rows.indptr
    values = rows.data.astype(np.float64)
    values = _native.downsample_counts(
        starts.astype(np.int64), values, counts.tolist(), seed, replace
    )
    parts = (values.astype(x.dtype), rows.indices.copy(), rows.indptr.copy())
    if not sparse.issparse(x):
        return sparse.csr_matrix(parts, shape=x.shape).toarray()
    new = type(rows)(parts, shape=x.shape)
    new.eliminate_zeros()
    return new.asformat(x.format)
