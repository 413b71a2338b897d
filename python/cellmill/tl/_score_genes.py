"""Scores of gene sets."""

import warnings
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _foreign, _native
from .._engine import Place, place_of
from .._groups import gene_means
from .._matrix import operand, refuse_in_memory
from .._settings import settings
from .._slots import get_x, prepared, seed_of


def score_genes(
    adata: AnnData,
    gene_list: Sequence[str] | pd.Index,
    *,
    ctrl_as_ref: bool = True,
    ctrl_size: int = 50,
    gene_pool: Sequence[str] | pd.Index | None = None,
    n_bins: int = 25,
    score_name: str = "score",
    random_state: Any = 0,
    copy: bool = False,
    use_raw: bool | None = None,
    layer: str | None = None,
    engine: Any = None,
) -> AnnData | None:
    """Score every cell for a set of genes, against genes of similar expression.

    Of a lazy matrix, one read gives the means of all genes, and one each the cells' means over the
    genes of the list and over their controls.

    Parameters
    ----------
    adata
        The annotated matrix, cells x genes.
    gene_list
        Names of genes; those that are not there are left out, and said.
    ctrl_as_ref
        Whether genes of the list count in a bin from which controls are drawn (they are never
        controls themselves).
    ctrl_size
        Controls that are drawn from each bin.
    gene_pool
        Genes that may be controls; ``None``: all.
    n_bins
        Bins of mean expression.
    score_name
        The column of obs.
    random_state
        The seed, a whole number; ``None``: numpy's global state.
    copy
        Whether to return a copy of `adata`.
    use_raw
        Whether to read ``adata.raw``; ``None``: where it is there and no `layer` is given.
    layer
        The layer to use in place of X.
    engine
        Where the folds run: ``"threads"`` (of this process), ``"dask"`` (the workers of the active
        ``distributed.Client``) or a client; ``None``: as ``cellmill.settings.engine`` says.
        The bits are the same.

    Returns
    -------
    AnnData or None
        Writes ``obs[score_name]``, float64.

    Raises
    ------
    ValueError
        Where no gene of the list or of the pool is there, where names of genes are there twice, and
        where a sparse matrix holds values that are not finite.
    KeyError
        Where a gene of the list is not in the pool.
    RuntimeError
        Where no bin has a control.

    Notes
    -----
    Matches :func:`scanpy.tl.score_genes`: the same controls, drawn from the same random numbers,
    and scores within rounding. A dense array in memory may hold NaN, as there.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.tl.score_genes(adata, adata.var_names[:5], score_name="five")
    >>> str(adata.obs["five"].dtype)
    'float64'
    """
    adata = prepared(adata, copy)
    if use_raw is None:
        use_raw = layer is None and adata.raw is not None
    if use_raw and layer is not None:
        raise ValueError("use_raw=True and layer were both given; only one of them can be used")
    x = adata.raw.X if use_raw else get_x(adata, layer)
    if not isinstance(x, da.Array):
        refuse_in_memory(x, engine)
        engine = None
    place = place_of(engine)
    names = adata.raw.var_names if use_raw else adata.var_names
    if not names.is_unique:
        raise ValueError(
            "names of genes are there twice, so that a list of names may mean several genes; "
            "call adata.var_names_make_unique() first"
        )
    wanted = _present(gene_list, names)
    pool = names if gene_pool is None else pd.Index(gene_pool).intersection(names)
    if len(pool) == 0:
        raise ValueError("No valid genes were passed for reference set.")
    if missing := wanted.difference(pool, sort=False).tolist():
        raise KeyError(f"gene_pool does not hold {missing}, which gene_list does")
    rng = None if random_state is None else np.random.RandomState(seed_of(random_state))
    means = pd.Series(_gene_means(x, place)[names.get_indexer(pool)], index=pool)
    controls = _controls(means, wanted, ctrl_as_ref, ctrl_size, n_bins, rng)
    score = _cell_means(x, names.get_indexer(wanted), place)
    score = score - _cell_means(x, names.get_indexer(controls), place)
    adata.obs[score_name] = pd.Series(score, index=adata.obs_names, dtype="float64")
    return adata if copy else None


def _present(gene_list: Any, names: pd.Index) -> pd.Index:
    """The genes of the list that are there."""
    asked = pd.Index([gene_list] if isinstance(gene_list, str) else gene_list)
    if missing := asked.difference(names, sort=False).tolist():
        text = f"genes are not in var_names and ignored: {missing}"
        warnings.warn(text, UserWarning, stacklevel=3)
    found = asked.intersection(names)
    if len(found) == 0:
        raise ValueError("No valid genes were passed for scoring.")
    return found


def _controls(
    means: pd.Series, wanted: pd.Index, as_ref: bool, size: int, n_bins: int, rng: Any
) -> pd.Index:
    """Controls: of each bin of mean expression that holds a gene of the list, at most `size`."""
    means = means[np.isfinite(means)]
    per_bin = int(np.round(len(means) / (n_bins - 1)))
    bins = means.rank(method="min") // per_bin
    candidates = bins if as_ref else bins[~bins.index.isin(wanted)]
    controls = pd.Index([], dtype=means.index.dtype)
    for number in np.unique(bins.loc[wanted]):
        drawn = candidates.index[candidates == number]
        if size < len(drawn):
            drawn = drawn.to_series().sample(size, random_state=rng).index
        controls = controls.union(drawn.difference(wanted))
    if len(controls) == 0:
        hint = " Try setting `ctrl_as_ref=False`." if as_ref else ""
        raise RuntimeError(f"No control genes found in any cut.{hint}")
    return controls


def _gene_means(x: Any, place: Place) -> np.ndarray:
    """The mean of each gene; of a dense array numpy's, whose rounding decides ties as in scanpy."""
    return np.nanmean(x, axis=0) if isinstance(x, np.ndarray) else gene_means(x, place)


def _cell_means(x: Any, columns: np.ndarray, place: Place) -> np.ndarray:
    """The mean of each cell over these genes."""
    picked = x[:, columns]
    if isinstance(x, np.ndarray):
        return np.nanmean(picked, axis=1, dtype="float64")
    if _foreign.folds_elsewhere(picked, place):
        totals = _foreign.totals(picked, place)
    else:
        totals = _native.totals(settings._machine(), operand(picked))
    return totals / len(columns)
