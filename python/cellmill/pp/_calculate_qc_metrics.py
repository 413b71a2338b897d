"""Quality control of cells and genes."""

import warnings
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from .._quality import asked, is_csr, quality
from .._slots import get_x, prepared


def calculate_qc_metrics(
    adata: AnnData,
    *,
    expr_type: str = "counts",
    var_type: str = "genes",
    qc_vars: Collection[str] | str = (),
    percent_top: Collection[int] | None = (50, 100, 200, 500),
    layer: str | None = None,
    use_raw: bool = False,
    inplace: bool = False,
    log1p: bool = True,
    parallel: bool | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Find the numbers that say how good cells and genes are: one read of a lazy matrix.

    Parameters
    ----------
    adata
        The annotated matrix, cells x genes: counts.
    expr_type, var_type
        What values and columns are, in the names of the new columns.
    qc_vars
        Boolean columns of var, such as ``"mt"``: sets of genes whose share is taken, 32 at most.
    percent_top
        Numbers of highest genes whose share is taken; ``None``: none.
    layer
        The layer to use in place of X.
    use_raw
        Whether to use ``adata.raw.X``.
    inplace
        Whether to write to `adata`, or to return two data frames.
    log1p
        Whether to add columns of log(1 + x).
    parallel
        Has no effect, as in scanpy.

    Returns
    -------
    tuple of pandas.DataFrame or None
        Writes ``obs["n_genes_by_counts"]`` (an integer: values that are not 0),
        ``obs["total_counts"]``, ``obs["pct_counts_in_top_50_genes"]`` (float64) and so on,
        ``obs["total_counts_mt"]`` and ``obs["pct_counts_mt"]`` for each of `qc_vars`,
        ``var["n_cells_by_counts"]``, ``var["mean_counts"]``, ``var["pct_dropout_by_counts"]``
        (float64), ``var["total_counts"]``, and their logarithms. Sums, means and shares are float32
        of a float32 matrix, float64 of a float64 one; sums of integers are integers.

    Raises
    ------
    IndexError
        Where `percent_top` asks for more genes than there are.

    Notes
    -----
    Matches :func:`scanpy.pp.calculate_qc_metrics`. Sums are taken in float64 and rounded once;
    scanpy's are taken in the matrix's dtype. scanpy removes explicit zeros from the matrix; here
    they count as zeros, and the matrix stays as it is.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> adata.var["few"] = adata.var_names.isin(adata.var_names[:5])
    >>> obs, var = cm.pp.calculate_qc_metrics(adata, qc_vars=["few"], percent_top=None)
    >>> list(obs.columns)[-1], list(var.columns)[0]
    ('pct_counts_few', 'n_cells_by_counts')
    """
    if parallel is not None:
        warnings.warn(
            "Argument `parallel` is deprecated, and currently has no effect.",
            FutureWarning,
            stacklevel=2,
        )
    if use_raw and layer is not None:
        raise ValueError("Only one of `layer`, or `use_raw` can be specified.")
    if inplace:
        adata = prepared(adata, copy=False)
    if use_raw:
        if adata.raw is None:
            raise ValueError("use_raw is True, and this AnnData has no raw")
        x = adata.raw.X
    else:
        x = get_x(adata, layer)
    if inplace and use_raw and x.shape[1] != adata.n_vars:
        raise ValueError(
            f"raw has {x.shape[1]} genes and var has {adata.n_vars}; with use_raw the genes must "
            "be the same, or take inplace=False on adata.raw.to_adata()"
        )
    names = [qc_vars] if isinstance(qc_vars, str) else list(qc_vars)
    tops = sorted(percent_top) if percent_top else []
    if tops and not (tops[-1] <= x.shape[1] and tops[0] > 0):
        raise IndexError(
            f"Positions outside range of features: percent_top is {tuple(tops)}, and there are "
            f"{x.shape[1]} genes"
        )
    what = asked(
        x,
        expr_type=expr_type,
        var_type=var_type,
        qc_vars=[(name, _members(adata, name, x.shape[1])) for name in names],
        percent_top=[int(n) for n in dict.fromkeys(tops)],
        log1p=log1p,
    )
    obs, var = quality(x, what)
    _as_scanpy_counts(x, obs, f"n_{var_type}_by_{expr_type}", var, f"n_cells_by_{expr_type}")
    obs_frame = pd.DataFrame(obs, index=adata.obs_names)
    var_frame = pd.DataFrame(var, index=adata.var_names)
    if not inplace:
        return obs_frame, var_frame
    adata.obs[obs_frame.columns] = obs_frame
    adata.var[var_frame.columns] = var_frame
    return None


def _members(adata: AnnData, name: str, n_vars: int) -> list[int]:
    """The genes of a boolean column of var."""
    if name not in adata.var:
        raise KeyError(f"qc_vars names {name!r}, and var has no such column: {list(adata.var)}")
    mask = adata.var[name].to_numpy()
    if mask.dtype != bool:
        raise ValueError(
            f"var[{name!r}] holds {mask.dtype}, and must hold booleans: which genes belong to it"
        )
    if len(mask) != n_vars:
        raise ValueError(f"var[{name!r}] has {len(mask)} genes and the matrix has {n_vars}")
    return np.flatnonzero(mask).tolist()


def _as_scanpy_counts(x: Any, obs: dict, cells: str, var: dict, genes: str) -> None:
    """Gives numbers of genes and cells the integer type that scanpy gives them."""
    if not is_csr(x):
        obs[cells] = obs[cells].astype(np.int64)
    elif sparse.issparse(x):
        obs[cells] = obs[cells].astype(x.indptr.dtype)
    if sparse.issparse(x) and x.format == "csc":
        var[genes] = var[genes].astype(x.indptr.dtype)
