"""Highly variable genes."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _genes
from .._slots import get_x, prepared

_CUTOFFS = {"min_disp": 0.5, "max_disp": np.inf, "min_mean": 0.0125, "max_mean": 3}
_FLAVORS = ("seurat", "cell_ranger", "seurat_v3", "seurat_v3_paper")
# The columns of var of each kind of flavour, in scanpy's order.
_DISPERSION = ("highly_variable", "means", "dispersions", "dispersions_norm")
_VARIANCE = ("highly_variable", "highly_variable_rank", "means", "variances", "variances_norm")


def highly_variable_genes(
    adata: AnnData,
    *,
    layer: str | None = None,
    n_top_genes: int | None = None,
    min_disp: float = 0.5,
    max_disp: float = np.inf,
    min_mean: float = 0.0125,
    max_mean: float = 3,
    span: float = 0.3,
    n_bins: int = 20,
    flavor: str = "seurat",
    subset: bool = False,
    inplace: bool = True,
    batch_key: str | None = None,
    filter_unexpressed_genes: bool | None = None,
    check_values: bool = True,
    engine: Any = None,
) -> pd.DataFrame | None:
    """Find the genes that vary more than others of their mean: one or two reads of a lazy matrix.

    Parameters
    ----------
    adata
        The annotated matrix, cells x genes: logarithmised for ``"seurat"`` and ``"cell_ranger"``,
        counts for ``"seurat_v3"`` and ``"seurat_v3_paper"``.
    layer
        The matrix to use in place of X.
    n_top_genes
        How many genes to select; ``None``: those inside the cut-offs, or 2,000 for flavours of
        counts.
    min_disp, max_disp, min_mean, max_mean
        Bounds (exclusive) of normalised dispersion and mean, where `n_top_genes` is ``None``. Raise
        for flavours of counts.
    span
        Share of the genes that a point of the loess fit looks at. Raises for other flavours than
        those of counts.
    n_bins
        Bins of equal width over the means, of flavour ``"seurat"``.
    flavor
        ``"seurat"`` or ``"cell_ranger"``: one read; ``"seurat_v3"`` or ``"seurat_v3_paper"``: two.
    subset
        Whether to keep the selected genes only.
    inplace
        Whether to write to `adata`, or to return a data frame.
    batch_key
        The column of obs with batches. Genes are found in each batch, in the same reads, and those
        selected that most batches agree on. Moments of every gene in every batch (24 bytes) count
        against ``cellmill.settings.memory``.
    filter_unexpressed_genes
        Whether to leave genes out that no cell has; with `batch_key` always so, for flavours of
        counts never.
    check_values
        Whether flavours of counts warn where a value is no count.
    engine
        Where the folds run: ``"threads"`` (of this process), ``"dask"`` (the workers of the active
        ``distributed.Client``) or a client; ``None``: as ``cellmill.settings.engine`` says. The
        bits are the same.

    Returns
    -------
    pandas.DataFrame or None
        Writes ``var["highly_variable"]`` (bool), ``var["means"]`` (float64) and ``uns["hvg"]``; by
        dispersion ``var["dispersions"]`` (float64) and ``var["dispersions_norm"]`` (float32), of
        counts ``var["variances"]``, ``var["variances_norm"]`` (float64) and
        ``var["highly_variable_rank"]`` (float32); with `batch_key`
        ``var["highly_variable_nbatches"]`` (int64) and, by dispersion,
        ``var["highly_variable_intersection"]`` (bool).

    Raises
    ------
    KeyError
        Where there is no such layer or `batch_key`.
    ValueError
        Where no gene can be selected, percentiles of ``"cell_ranger"`` are equal, or the variances
        of a batch cannot be fitted; for parameters that the flavour does not know.
    MemoryError
        Where the moments of all batches do not fit.

    Notes
    -----
    Matches :func:`scanpy.pp.highly_variable_genes`. The flavour ``"seurat"`` undoes the logarithm;
    where the plan of a lazy matrix ends with one, it is not taken in the first place. Batches of
    one cell select no gene, and flavours of counts leave them out, where scanpy ends with an error
    or with NaN.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.pp.normalize_total(adata, target_sum=1e4)
    >>> cm.pp.log1p(adata)
    >>> cm.pp.highly_variable_genes(adata, n_top_genes=50)
    >>> int(adata.var["highly_variable"].sum())
    50
    """
    if flavor not in _FLAVORS:
        raise ValueError(f"flavor is {flavor!r}, and must be one of {', '.join(_FLAVORS)}")
    of_counts = flavor.startswith("seurat_v3")
    cutoffs = {
        "min_disp": min_disp,
        "max_disp": max_disp,
        "min_mean": min_mean,
        "max_mean": max_mean,
    }
    _refuse(flavor, of_counts, cutoffs, n_bins, span, check_values, filter_unexpressed_genes)
    if n_top_genes is not None and cutoffs != _CUTOFFS:
        warnings.warn(
            "If you pass `n_top_genes`, all cutoffs are ignored.", UserWarning, stacklevel=2
        )
    if batch_key is not None and filter_unexpressed_genes is False:
        warnings.warn(
            "filter_unexpressed_genes is set to False, but will ignored for batch-aware "
            f"{flavor=!r} HVG computation",
            UserWarning,
            stacklevel=2,
        )
    adata = prepared(adata, copy=False) if inplace else adata
    ask = _genes.asked(
        adata,
        flavor,
        batch_key,
        n_top_genes=2000 if of_counts and n_top_genes is None else n_top_genes,
        n_bins=n_bins,
        span=float(span),
        filter_unexpressed=bool(filter_unexpressed_genes),
        check_values=bool(check_values),
        **{key: float(value) for key, value in cutoffs.items()},
    )
    found = _genes.found(get_x(adata, layer), ask, engine)
    if not inplace:
        frame = _of_counts(found, adata) if of_counts else _by_dispersion(found, adata, ask)
        return frame[frame["highly_variable"]] if subset else frame
    adata.uns["hvg"] = {"flavor": flavor}
    found["dispersions_norm"] = found.get("dispersions_norm", np.empty(0)).astype(np.float32)
    for key in _VARIANCE if of_counts else _DISPERSION:
        adata.var[key] = found[key]
    for key in ("highly_variable_nbatches", "highly_variable_intersection"):
        if key in found:
            adata.var[key] = found[key]
    if subset:
        adata._inplace_subset_var(found["highly_variable"])
    return None


def _refuse(
    flavor: str,
    of_counts: bool,
    cutoffs: dict[str, float],
    n_bins: int,
    span: float,
    check_values: bool,
    filter_unexpressed_genes: bool | None,
) -> None:
    if of_counts:
        without = {
            "n_bins": n_bins != 20,
            "filter_unexpressed_genes": bool(filter_unexpressed_genes),
            **{key: value != _CUTOFFS[key] for key, value in cutoffs.items()},
        }
    else:
        without = {
            "span": span != 0.3,
            "check_values": check_values is not True,
            "n_bins": flavor == "cell_ranger" and n_bins != 20,
        }
    names = [name for name, given in without.items() if given]
    if names:
        raise ValueError(f"{', '.join(names)} has no meaning for flavor={flavor!r}; leave it out")


def _by_dispersion(found: dict, adata: AnnData, ask: Any) -> pd.DataFrame:
    frame = pd.DataFrame(
        {key: found[key] for key in ("means", "dispersions")}, index=adata.var_names
    )
    if ask.batches is None:
        frame["mean_bin"] = _mean_bins(frame["means"], ask)
    for key in (
        "dispersions_norm",
        "highly_variable",
        "highly_variable_nbatches",
        "highly_variable_intersection",
    ):
        if key in found:
            frame[key] = found[key]
    # scanpy groups by name, and goes back to the order of var only where it sorted.
    return frame.sort_index() if ask.batches is not None and ask.n_top_genes is None else frame


def _mean_bins(means: pd.Series, ask: Any) -> pd.Series:
    """The bin of each gene in words, 0 for genes that were left out."""
    used = means[means > 0] if ask.filter_unexpressed else means
    bins = ask.n_bins
    if ask.flavor == "cell_ranger":
        bins = np.r_[-np.inf, np.percentile(used, np.arange(10, 105, 5)), np.inf]
    bins = pd.cut(used, bins=bins)
    bins = bins.cat.set_categories(bins.cat.categories.astype("string"), rename=True)
    if len(used) == len(means):
        return bins
    return bins.astype(object).reindex(means.index, fill_value=0.0)


def _of_counts(found: dict, adata: AnnData) -> pd.DataFrame:
    frame = pd.DataFrame({key: found[key] for key in ("means", "variances")}, index=adata.var_names)
    frame["gene_name"] = frame.index
    for key in (
        "highly_variable_nbatches",
        "highly_variable_rank",
        "variances_norm",
        "highly_variable",
    ):
        if key in found:
            frame[key] = found[key]
    return frame
