"""What colours the cells: a column of obs, or one gene of X, a layer or raw."""

from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from .. import _native
from .._lazy import plan_of
from .._settings import settings
from .._slots import get_x

FALSE_TRUE = ("False", "True")


def values_of(
    adata: AnnData,
    key: str,
    *,
    layer: str | None,
    use_raw: bool,
    gene_symbols: str | None,
    mask: np.ndarray | None,
    groups: Sequence[str] | None,
) -> pd.Categorical | np.ndarray:
    """A category or a number for each cell; what is missing or masked is NaN."""
    if key in adata.obs.columns:
        values = of_obs(adata.obs[key])
    else:
        values = _gene(adata, key, layer, use_raw, gene_symbols)
    if mask is not None:
        values = values.copy()
        values[~mask] = np.nan
    if groups and isinstance(values, pd.Categorical):
        values = values.remove_categories(values.categories.difference(list(groups)))
    return values


def of_obs(column: pd.Series) -> pd.Categorical | np.ndarray:
    """A column of obs as categories or numbers."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return pd.Categorical(column)
    if pd.api.types.is_bool_dtype(dtype):
        codes = column.astype("Int8").fillna(-1).to_numpy(np.int8)
        return pd.Categorical.from_codes(codes, list(FALSE_TRUE)).remove_unused_categories()
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype):
        wide = np.float32 if dtype == np.float32 else np.float64
        return column.to_numpy(dtype=wide, na_value=np.nan)
    raise TypeError(
        f"obs[{column.name!r}] holds {dtype}, and a colour takes categories, booleans or numbers; "
        "make it categorical"
    )


def _gene(
    adata: AnnData, key: str, layer: str | None, use_raw: bool, gene_symbols: str | None
) -> np.ndarray:
    frame = adata.raw if use_raw else adata
    where = "raw.var_names" if use_raw else "var_names"
    name = key
    if gene_symbols is not None and key not in adata.var_names:
        if gene_symbols not in adata.var:
            raise KeyError(f"var has no column {gene_symbols!r}; it has {list(adata.var)}")
        found = adata.var_names[(adata.var[gene_symbols] == key).to_numpy(bool)]
        if len(found) == 0:
            raise KeyError(f"color {key!r} is neither a column of obs nor in var[{gene_symbols!r}]")
        name = found[0]
    if name not in frame.var_names:
        raise KeyError(f"color {key!r} is neither a column of obs nor in {where}")
    at = frame.var_names.get_loc(name)
    if not isinstance(at, int):
        raise ValueError(f"color {key!r} is in {where} several times; make the names unique")
    return column_of(adata.raw.X if use_raw else get_x(adata, layer), at, key)


def column_of(x: Any, at: int, name: str) -> np.ndarray:
    """Column `at` of a matrix: of a lazy one, one read within the budget."""
    plan = plan_of(x)
    if plan is not None:
        return _native.column(settings._machine(), plan, at, f"gene {name}")
    part = x[:, at : at + 1]
    if isinstance(part, da.Array):
        part = part.compute()
    if sparse.issparse(part):
        part = part.toarray()
    part = np.asarray(part).ravel()
    return part if part.dtype in (np.float32, np.float64) else part.astype(np.float64)
