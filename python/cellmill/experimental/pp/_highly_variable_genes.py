"""Highly variable genes by Pearson residuals."""

from typing import Any

import pandas as pd
from anndata import AnnData

from ... import _genes
from ..._slots import get_x, prepared


def highly_variable_genes(
    adata: AnnData,
    *,
    theta: float = 100,
    clip: float | None = None,
    n_top_genes: int | None = None,
    batch_key: str | None = None,
    chunksize: int = 1000,
    flavor: str = "pearson_residuals",
    check_values: bool = True,
    layer: str | None = None,
    subset: bool = False,
    inplace: bool = True,
    engine: Any = None,
) -> pd.DataFrame | None:
    """Find the genes whose Pearson residuals vary most: two reads of a lazy matrix of counts.

    Parameters
    ----------
    adata
        The annotated matrix of counts, cells x genes.
    theta
        Overdispersion of the negative binomial model, above 0.
    clip
        Bound of the residuals; ``None``: the root of the number of cells (with `batch_key` of the
        first batch, as in scanpy).
    n_top_genes
        How many genes to select; must be given.
    batch_key
        The column of obs with batches. Genes are ranked in each, and those selected that most
        batches agree on.
    chunksize
        Has no meaning here, as nothing is made dense: it raises.
    flavor
        ``"pearson_residuals"``.
    check_values
        Whether to warn where a value is no count.
    layer
        The matrix to use in place of X.
    subset
        Whether to keep the selected genes only.
    inplace
        Whether to write to `adata`, or to return a data frame.
    engine
        Where the folds run: ``"threads"`` (of this process), ``"dask"`` (the workers of the active
        ``distributed.Client``) or a client; ``None``: as ``cellmill.settings.engine`` says. The
        bits are the same.

    Returns
    -------
    pandas.DataFrame or None
        Writes ``var["means"]``, ``var["variances"]``, ``var["residual_variances"]`` (float64),
        ``var["highly_variable_rank"]`` (float32), ``var["highly_variable"]`` (bool) and
        ``uns["hvg"]``; with `batch_key` ``var["highly_variable_nbatches"]`` (int64) and
        ``var["highly_variable_intersection"]`` (bool).

    Raises
    ------
    KeyError
        Where there is no such layer or `batch_key`.
    ValueError
        Where a parameter is out of its range, or a cell has no batch.

    Notes
    -----
    Matches :func:`scanpy.experimental.pp.highly_variable_genes`, and works on Dask arrays too. The
    residual of a zero depends on the total of its cell alone, so zeros cost one residual for each
    total that occurs, and no matrix is made dense.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.experimental.pp.highly_variable_genes(adata, n_top_genes=50)
    >>> int(adata.var["highly_variable"].sum())
    50
    """
    if flavor != "pearson_residuals":
        raise ValueError(
            "This is an experimental API and only `flavor=pearson_residuals` is available."
        )
    if n_top_genes is None:
        raise ValueError(
            "`pp.highly_variable_genes` requires the argument `n_top_genes` for "
            "`flavor='pearson_residuals'`"
        )
    if chunksize != 1000:
        raise ValueError("chunksize has no meaning here, as nothing is made dense; leave it out")
    adata = prepared(adata, copy=False) if inplace else adata
    ask = _genes.asked(
        adata,
        flavor,
        batch_key,
        n_top_genes=n_top_genes,
        theta=float(theta),
        clip=None if clip is None else float(clip),
        check_values=bool(check_values),
    )
    found = _genes.found(get_x(adata, layer), ask, engine)
    names = [
        "means",
        "variances",
        "residual_variances",
        "highly_variable_rank",
        "highly_variable_nbatches",
        "highly_variable_intersection",
        "highly_variable",
    ]
    frame = pd.DataFrame({n: found[n] for n in names if n in found}, index=adata.var_names)
    if not inplace:
        return frame[frame["highly_variable"]] if subset else frame
    adata.uns["hvg"] = {"flavor": flavor, "computed_on": layer if layer else "adata.X"}
    for name in frame:
        adata.var[name] = frame[name]
    if subset:
        adata._inplace_subset_var(found["highly_variable"])
    return None
