"""Some of the cells, or of the genes."""

from typing import Any

import dask.array as da
import numpy as np
from anndata import AnnData
from scipy import sparse

from .._lazy import plan_of
from .._slots import mask_of


def sample(
    data: Any,
    fraction: float | None = None,
    *,
    n: int | None = None,
    rng: Any = None,
    copy: bool = False,
    replace: bool = False,
    axis: Any = "obs",
    p: Any = None,
) -> Any:
    """Draw cells or genes.

    Parameters
    ----------
    data
        The annotated matrix, cells x genes, or a matrix.
    fraction, n
        How many are drawn, as a share of all or as a number: one of the two.
    rng
        The seed, or a generator of numpy's.
    copy
        Whether to return a new AnnData.
    replace
        Whether one may be drawn more than once: not of a lazy matrix.
    axis
        ``"obs"`` or 0: cells; ``"var"`` or 1: genes.
    p
        Probabilities that sum to 1, or a mask, as an array or as the name of a column.

    Returns
    -------
    None or AnnData or (matrix, numpy.ndarray)
        ``None`` where `data` is an AnnData that is changed; the new one with ``copy=True``; of a
        matrix, what was drawn of it and the places of that (int64).

    Raises
    ------
    TypeError
        Unless one of `fraction` and `n` is given, and for what is no matrix.
    ValueError
        For numbers out of their range, and for a `p` that does not fit.
    NotImplementedError
        With ``replace=True`` where a matrix is lazy.

    Notes
    -----
    Matches :func:`scanpy.pp.sample`: the same cells for the same `rng`, in the order in which they
    were drawn. Where a matrix is lazy, cells stay in the order of its file, so that it stays a
    native selection, which reads nothing now and passes over blocks without a drawn cell later.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.pp.sample(adata, n=100, rng=0)
    >>> adata.n_obs
    100
    """
    if axis not in (0, 1, "obs", "var"):
        raise ValueError(f"`axis` must be either 0, 1, 'obs', or 'var', was {axis!r}")
    name = "obs" if axis in (0, "obs") else "var"
    if not isinstance(data, (AnnData, np.ndarray, da.Array)) and not sparse.issparse(data):
        raise TypeError(f"an AnnData or a matrix was expected, and this is {type(data).__name__}")
    if isinstance(data, AnnData) and data.isbacked and not copy:
        raise NotImplementedError(
            "Inplace sampling (`copy=False`) is not implemented for backed objects."
        )
    weights = mask_of(data, p, name, probabilities=True)
    if weights is not None and weights.dtype == bool:
        weights = weights.astype(np.float64) / weights.sum()
    old = data.shape[0 if name == "obs" else 1]
    lazy = _is_lazy(data)
    if lazy and replace:
        raise NotImplementedError(
            "replace=True may draw a cell twice, and a lazy matrix hands out each row once; use "
            "replace=False, or a matrix in memory"
        )
    size = _size(fraction, n, old, replace)
    indices = np.random.default_rng(rng).choice(old, size=size, replace=replace, p=weights)
    if lazy and name == "obs":
        indices.sort()
    if isinstance(data, AnnData):
        if copy:
            part = data[indices] if name == "obs" else data[:, indices]
            return part.to_memory() if data.isbacked else part.copy()
        if name == "obs":
            data._inplace_subset_obs(indices)
        else:
            data._inplace_subset_var(indices)
        return None
    part = data[indices] if name == "obs" else data[:, indices]
    return (part.copy() if copy else part), indices


def _is_lazy(data: Any) -> bool:
    if not isinstance(data, AnnData):
        return plan_of(data) is not None
    raw = [] if data.raw is None else [data.raw.X]
    return any(plan_of(x) is not None for x in (data.X, *data.layers.values(), *raw))


def _size(fraction: float | None, n: int | None, old: int, replace: bool) -> int:
    if fraction is not None and n is not None:
        raise TypeError("Providing both `fraction` and `n` is not allowed.")
    if fraction is None:
        if n is None:
            raise TypeError("Either `fraction` or `n` must be set.")
        return n
    if fraction < 0:
        raise ValueError(f"`{fraction=}` needs to be nonnegative.")
    if not replace and fraction > 1:
        raise ValueError(f"If `replace=False`, `{fraction=}` needs to be within [0, 1].")
    return int(fraction * old)
