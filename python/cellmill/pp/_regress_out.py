"""What genes have beyond numbers of the cells."""

from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _foreign, _native
from .._engine import Place, place_of
from .._matrix import aligned, csr_parts, operand, refuse_in_memory
from .._settings import settings
from .._slots import get_x, prepared, set_x


def regress_out(
    adata: AnnData,
    keys: str | Sequence[str],
    *,
    layer: str | None = None,
    n_jobs: int | None = None,
    copy: bool = False,
    engine: Any = None,
) -> AnnData | None:
    """Replace every gene by the residuals of its regression on numbers of the cells.

    One read gives the coefficients. Residuals are dense: select the genes first (of 2,000 genes a
    million cells take 8 GB of float32). A lazy matrix becomes a Dask array whose chunks are
    computed when they are asked for, block by block; :func:`cellmill.pp.pca` folds these.

    Parameters
    ----------
    adata
        The annotated matrix, cells x genes.
    keys
        Columns of obs: numbers, one or several, or one categorical column. With a categorical one,
        a gene is regressed on its mean in the category of each cell.
    layer
        What to work on in place of X.
    n_jobs
        Has no meaning here: ``cellmill.settings.threads`` says how many threads work.
    copy
        Whether to return a copy of `adata`.
    engine
        Where the fold runs: ``"threads"`` (of this process), ``"dask"`` (the workers of the active
        ``distributed.Client``) or a client; ``None``: as ``cellmill.settings.engine`` says.

    Returns
    -------
    AnnData or None
        Writes X (or the layer), dense: floats keep their dtype, integers become float32, those of
        eight bytes float64. In memory it is float64 with a categorical key, and with keys of which
        one follows from the others, as scanpy has it.

    Raises
    ------
    KeyError
        Where obs has no such column.
    ValueError
        For a column that holds no numbers, or one that is not finite; for a categorical one among
        several; with `n_jobs`.

    Notes
    -----
    Matches :func:`scanpy.pp.regress_out`, which takes no Dask array. Keys of which one follows from
    the others have the residuals of the others; scanpy inverts their singular matrix where rounding
    lets it.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> adata.obs["total"] = adata.X.sum(axis=1)
    >>> cm.pp.regress_out(adata, ["total"])
    >>> bool(abs(adata.X.mean(axis=0)).max() < 1e-5)
    True
    """
    if n_jobs is not None:
        raise ValueError(
            "n_jobs has no meaning here; cellmill.settings.threads says how many threads work"
        )
    keys = [keys] if isinstance(keys, str) else list(keys)
    adata = prepared(adata, copy)
    x = get_x(adata, layer)
    if not isinstance(x, da.Array):
        refuse_in_memory(x, engine)
    place = place_of(engine if isinstance(x, da.Array) else None)
    what = _regressors(adata, keys)
    table = _table(x, what, place)
    dtype = _dtype(x)
    if isinstance(x, da.Array):
        cells = da.from_array(what.cells, chunks=(_foreign.by_cells(x).chunks[0], -1))
        new = da.map_blocks(
            _residuals,
            x,
            cells,
            table,
            dtype,
            dtype=dtype,
            chunks=x.chunks,
            meta=np.empty((0, 0), dtype=dtype),
        )
    else:
        new = _residuals(x, what.cells, table, dtype if what.full_rank else np.dtype(np.float64))
    set_x(adata, new, layer)
    return adata if copy else None


def _regressors(adata: AnnData, keys: list[str]) -> _native.Regressors:
    if not keys:
        raise ValueError("keys names no column of obs to regress on")
    for key in keys:
        if key not in adata.obs:
            raise KeyError(f"obs has no column {key!r}; it has {list(adata.obs)}")
    # As scanpy does to a matrix: columns of strings become categorical.
    adata.strings_to_categoricals()
    columns = [adata.obs[key] for key in keys]
    if isinstance(columns[0].dtype, pd.CategoricalDtype):
        if len(keys) > 1:
            raise ValueError(
                "If providing categorical variable, only a single one is allowed. For this one we "
                "regress on the mean for each category."
            )
        codes, n = columns[0].cat.codes.to_numpy(), len(columns[0].cat.categories)
        ids = np.where(codes < 0, n, codes).astype(np.uint32)
        return _native.Regressors(ids[:, None], n)
    for key, column in zip(keys, columns, strict=True):
        if column.dtype.kind not in "iuf":
            raise ValueError(
                f"obs[{key!r}] has dtype {column.dtype}; regress on columns of numbers, or on one "
                "categorical column alone"
            )
    numbers = [column.to_numpy(dtype=np.float64, na_value=np.nan) for column in columns]
    return _native.Regressors.of_numbers(numbers, adata.n_obs)


def _table(x: Any, what: _native.Regressors, place: Place) -> np.ndarray:
    """Coefficients of each gene."""
    if _foreign.folds_elsewhere(x, place):
        table: np.ndarray = _foreign.over_cells("regress", x, what, place)
        return table
    return what.of_matrix(settings._machine(), operand(x))


def _dtype(x: Any) -> np.dtype:
    dtype: np.dtype = x.dtype
    if dtype.kind == "f":
        return dtype
    return np.dtype(np.float32 if dtype.itemsize <= 4 else np.float64)


def _residuals(x: Any, cells: np.ndarray, table: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A matrix in memory, or a chunk, without what the cells' numbers explain."""
    narrow = dtype != np.float64
    found = _native.residuals(csr_parts(x), aligned(cells), aligned(table), narrow)
    return found.astype(dtype, copy=False)
