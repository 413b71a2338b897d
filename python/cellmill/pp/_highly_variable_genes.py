"""Highly variable genes."""

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _foreign, _native
from .._engine import place_of
from .._matrix import operand, refuse_in_memory
from .._settings import settings
from .._slots import get_x, prepared

_CUTOFFS = {"min_disp": 0.5, "max_disp": np.inf, "min_mean": 0.0125, "max_mean": 3}


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
    """Find the genes whose dispersion is high for their mean: one read of a lazy matrix.

    Parameters
    ----------
    adata
        The annotated matrix, cells x genes, logarithmised.
    layer
        The matrix to use in place of X.
    n_top_genes
        How many genes to select; ``None``: those inside the cut-offs.
    min_disp, max_disp, min_mean, max_mean
        Bounds (exclusive) of normalised dispersion and mean, where `n_top_genes` is ``None``.
    span, check_values
        Of the flavour ``seurat_v3``, which is not there yet.
    n_bins
        Bins of equal width over the means.
    flavor
        ``"seurat"``; others are not there yet.
    subset
        Whether to keep the selected genes only.
    inplace
        Whether to write to `adata`, or to return a data frame.
    batch_key, filter_unexpressed_genes
        Not there yet.
    engine
        Where the fold runs: ``"threads"`` (of this process), ``"dask"`` (the workers of the active
        ``distributed.Client``) or a client; ``None``: as ``cellmill.settings.engine`` says. The
        bits are the same.

    Returns
    -------
    pandas.DataFrame or None
        Writes ``var["highly_variable"]`` (bool), ``var["means"]``, ``var["dispersions"]``
        (float64), ``var["dispersions_norm"]`` (float32) and ``uns["hvg"]``.

    Raises
    ------
    NotImplementedError
        For another flavour, and with `batch_key`.
    ValueError
        Where no gene can be selected.

    Notes
    -----
    Matches :func:`scanpy.pp.highly_variable_genes`. The flavour undoes the logarithm; where the
    plan of a lazy matrix ends with one, it is not taken in the first place.

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
    if flavor not in ("seurat", "cell_ranger", "seurat_v3", "seurat_v3_paper"):
        raise ValueError(f"flavor is {flavor!r}, and must be one of scanpy's: 'seurat', …")
    if flavor != "seurat":
        raise NotImplementedError(
            f"highly_variable_genes(flavor={flavor!r}) is not there yet; "
            "scanpy.pp.highly_variable_genes works on these arrays"
        )
    if batch_key is not None:
        raise NotImplementedError(
            "highly_variable_genes(batch_key=…) is not there yet; "
            "scanpy.pp.highly_variable_genes works on these arrays"
        )
    if filter_unexpressed_genes:
        raise NotImplementedError(
            "highly_variable_genes(filter_unexpressed_genes=True) is not there yet"
        )
    if span != 0.3 or check_values is not True:
        raise ValueError(f"span and check_values have no meaning for flavor={flavor!r}")
    cutoffs = {
        "min_disp": min_disp,
        "max_disp": max_disp,
        "min_mean": min_mean,
        "max_mean": max_mean,
    }
    if n_top_genes is not None and cutoffs != _CUTOFFS:
        warnings.warn(
            "If you pass `n_top_genes`, all cutoffs are ignored.", UserWarning, stacklevel=2
        )
    adata = prepared(adata, copy=False) if inplace else adata
    x = get_x(adata, layer)
    base = adata.uns.get("log1p", {}).get("base")
    asked = SimpleNamespace(
        n_top_genes=n_top_genes,
        n_bins=n_bins,
        base=None if base is None else float(base),
        **{key: float(value) for key, value in cutoffs.items()},
    )
    place = place_of(engine)
    if _foreign.folds_elsewhere(x, place):
        found = _foreign.highly_variable_genes(x, asked, place)
    else:
        refuse_in_memory(x, engine)
        found = _native.highly_variable_genes(settings._machine(), operand(x), asked)
    for text in found.pop("warnings"):
        warnings.warn(text, UserWarning, stacklevel=2)
    if not inplace:
        return _frame(found, adata, n_bins, subset)
    adata.uns["hvg"] = {"flavor": flavor}
    for key in ("highly_variable", "means", "dispersions", "dispersions_norm"):
        adata.var[key] = found[key]
    if subset:
        adata._inplace_subset_var(found["highly_variable"])
    return None


def _frame(found: dict, adata: AnnData, n_bins: int, subset: bool) -> pd.DataFrame:
    frame = pd.DataFrame(
        {key: found[key] for key in ("means", "dispersions")}, index=adata.var_names
    )
    frame["mean_bin"] = pd.cut(frame["means"], bins=n_bins)
    frame["dispersions_norm"] = found["dispersions_norm"]
    frame["highly_variable"] = found["highly_variable"]
    return frame[found["highly_variable"]] if subset else frame
