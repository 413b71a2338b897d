"""Pseudobulk."""

import warnings
from collections.abc import Collection, Iterable
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from .._engine import place_of
from .._groups import NONE, over_groups
from .._lazy import plan_of
from .._matrix import refuse_in_memory
from .._slots import get_x, mask_of

# In the order of scanpy's layers.
_FUNCS = ("sum", "mean", "count_nonzero", "var")


def aggregate(
    adata: AnnData,
    by: str | Collection[str],
    func: str | Iterable[str],
    *,
    axis: Any = None,
    mask: Any = None,
    dof: int = 1,
    layer: str | None = None,
    obsm: str | None = None,
    varm: str | None = None,
    engine: Any = None,
) -> AnnData:
    """Take the cells of each group together: pseudobulk.

    One read of the matrix, for any number of groups and functions; the file's matrix is never in
    memory, the result is (groups x genes).

    Parameters
    ----------
    adata
        The annotated matrix, cells x genes.
    by
        A column of obs, or several: their combinations that there are.
    func
        ``"sum"``, ``"mean"``, ``"var"``, ``"count_nonzero"``, or several of them.
    axis
        ``0`` or ``"obs"``; ``None`` is the same. Groups of genes are refused.
    mask
        Cells to use: a boolean mask or the name of such a column of obs.
    dof
        Degrees of freedom of the variance: it is divided by cells - `dof`.
    layer
        The layer to use in place of X.
    obsm, varm
        Refused: an array in memory is scanpy's to aggregate.
    engine
        Where the fold runs: ``"threads"`` (of this process), ``"dask"`` (the workers of the active
        ``distributed.Client``) or a client; ``None``: as ``cellmill.settings.engine`` says.
        The bits are the same.

    Returns
    -------
    AnnData
        Groups x genes, with a layer for each function. obs has the columns of `by` (categorical)
        and ``n_obs_aggregated``; its index is ``"a_b"`` of the groups' values; var is that of
        `adata`. Layers are float64; of sparse matrices ``count_nonzero`` is int64, and the ``sum``
        of integers is. Sums of counts are exact.

    Raises
    ------
    KeyError
        Where a column or a layer is not there.
    ValueError
        For a function or a mask that is none, or where two groups get the same name.
    NotImplementedError
        With ``axis=1``, `obsm`, `varm` or the function ``"median"``.

    Notes
    -----
    Matches :func:`scanpy.get.aggregate`: sums of counts to the last bit, means and variances within
    rounding (merged centred moments in place of Welford's).

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> bulk = cm.get.aggregate(adata, by="cell_type", func=["sum", "count_nonzero"])
    >>> list(bulk.layers)
    ['sum', 'count_nonzero']
    """
    if not isinstance(adata, AnnData):
        raise NotImplementedError(f"an AnnData was expected, and this is {type(adata).__name__}")
    _refuse(axis, obsm, varm)
    funcs = _checked({func} if isinstance(func, str) else set(func), dof)
    x = get_x(adata, layer)
    if not isinstance(x, da.Array):
        refuse_in_memory(x, engine)
    keep = mask_of(adata, mask, "obs")
    codes, labels = _combined(adata.obs, [by] if isinstance(by, str) else list(by))
    ids = np.where((codes < 0) if keep is None else (codes < 0) | ~keep, NONE, codes)
    n_groups = len(labels)
    cells = np.bincount(ids[ids != NONE], minlength=n_groups)
    labels["n_obs_aggregated"] = cells
    place = place_of(None if not isinstance(x, da.Array) else engine)
    found = over_groups(x, n_groups, ids, place, dof if "var" in funcs else None)
    if "var" in funcs:
        # scanpy's mean beside a variance is 0 where there is no cell, and not NaN.
        found["mean"][cells == 0] = 0
        if (few := labels.index[cells <= dof].tolist()) and dof:
            warnings.warn(
                f"groups {few} have no more cells than dof={dof}: their variances are NaN",
                RuntimeWarning,
                stacklevel=2,
            )
    layers = {name: _typed(found[name], name, x) for name in _order(funcs)}
    return AnnData(layers=layers, obs=labels, var=adata.var)


def _refuse(axis: Any, obsm: str | None, varm: str | None) -> None:
    for name, given in (("obsm", obsm), ("varm", varm)):
        if given is not None:
            raise NotImplementedError(
                f"cellmill.get.aggregate takes X or a layer and not {name}, whose arrays are in "
                f"memory already; use scanpy.get.aggregate({name}={given!r})"
            )
    if axis in (1, "var"):
        raise NotImplementedError(
            "cellmill.get.aggregate takes cells together (axis=0) and not genes (axis=1); use "
            "scanpy.get.aggregate on a matrix in memory"
        )
    if axis not in (None, 0, "obs"):
        raise ValueError(f"`axis` must be either 0, 1, 'obs', or 'var', was {axis!r}")


def _checked(funcs: set[str], dof: int) -> set[str]:
    if "median" in funcs:
        raise NotImplementedError(
            "the median of a group needs all of its values at once, which a fold does not have; "
            "use scanpy.get.aggregate on a matrix in memory"
        )
    if unknown := funcs - set(_FUNCS):
        raise ValueError(f"func {sorted(unknown)} is not one of {list(_FUNCS)}")
    if dof < 0:
        raise ValueError(f"dof is {dof}, and must be at least 0")
    return funcs


def _order(funcs: set[str]) -> list[str]:
    names = ("sum", "count_nonzero", "var", "mean") if "var" in funcs else _FUNCS
    return [name for name in names if name in funcs]


def _combined(obs: pd.DataFrame, by: list[str]) -> tuple[np.ndarray, pd.DataFrame]:
    """The group of each cell (-1 for none), and the columns of the groups that there are."""
    for column in by:
        if column not in obs:
            raise KeyError(f"obs has no column {column!r}; it has {list(obs)}")
    columns = {c: pd.Categorical(obs[c]).remove_unused_categories() for c in by}
    shape = [len(column.categories) for column in columns.values()]
    codes = np.stack([column.codes for column in columns.values()]).astype(np.int64)
    known = (codes >= 0).all(axis=0)
    if not known.any():
        raise ValueError(f"no cell has a value in {by}")
    places, groups = np.unique(
        np.ravel_multi_index(tuple(codes[:, known]), shape), return_inverse=True
    )
    group = np.full(len(obs), -1, dtype=np.int64)
    group[known] = groups
    labels = {
        name: pd.Categorical.from_codes(place, column.categories)
        for (name, column), place in zip(
            columns.items(), np.unravel_index(places, shape), strict=True
        )
    }
    index = pd.Index(["_".join(map(str, values)) for values in zip(*labels.values(), strict=True)])
    if not index.is_unique:
        twice = index[index.duplicated()].unique().tolist()
        raise ValueError(f"several groups of {by} have the same name: {twice}; rename their values")
    return group, pd.DataFrame(labels, index=index)


def _typed(found: np.ndarray, name: str, x: Any) -> np.ndarray:
    """In scanpy's dtype: a sparse matrix is summed in the kind that it has."""
    of_chunks = isinstance(x, da.Array) and (plan_of(x) is not None or sparse.issparse(x._meta))
    if not (of_chunks or sparse.issparse(x)):
        return found.astype(np.float64, copy=False)
    whole = name == "count_nonzero" or (name == "sum" and np.issubdtype(x.dtype, np.integer))
    return found.astype(np.int64 if whole else np.float64, copy=False)
