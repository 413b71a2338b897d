"""Slots of an AnnData that every function reads and writes in the same way."""

import warnings
from typing import Any

import numpy as np
from anndata import AnnData


def prepared(adata: AnnData, copy: bool) -> AnnData:
    """The AnnData to write to: a copy if asked for, and never a view."""
    if not isinstance(adata, AnnData):
        raise TypeError(f"an AnnData was expected, and this is {type(adata).__name__}")
    if copy:
        return adata.copy()
    if adata.is_view:
        warnings.warn("Received a view of an AnnData. Making a copy.", UserWarning, stacklevel=3)
        adata._init_as_actual(adata.copy())
    return adata


def get_x(adata: AnnData, layer: str | None = None, obsm: str | None = None) -> Any:
    """X, a layer, or an element of obsm."""
    if layer is not None and obsm is not None:
        raise ValueError("layer and obsm were both given; only one of them can be used")
    if layer is not None:
        if layer not in adata.layers:
            raise KeyError(f"there is no layer {layer!r}; there are {list(adata.layers)}")
        return adata.layers[layer]
    if obsm is not None:
        if obsm not in adata.obsm:
            raise KeyError(f"obsm has no {obsm!r}; it has {list(adata.obsm)}")
        return adata.obsm[obsm]
    if adata.X is None:
        raise ValueError("this AnnData has no X; name a layer")
    return adata.X


def set_x(adata: AnnData, value: Any, layer: str | None = None, obsm: str | None = None) -> None:
    """Puts a matrix where :func:`get_x` found it."""
    if layer is not None:
        adata.layers[layer] = value
    elif obsm is not None:
        adata.obsm[obsm] = value
    else:
        adata.X = value


def seed_of(random_state: Any) -> int:
    """The seed of a random_state: a whole number of at least 0, or None for 0."""
    if random_state is None:
        return 0
    if isinstance(random_state, (int, np.integer)) and random_state >= 0:
        return int(random_state)
    raise TypeError(
        f"random_state is {random_state!r}; cellmill takes a whole number of at least 0, so that "
        "equal calls give equal results"
    )


def mask_of(data: Any, mask: Any, axis: str, probabilities: bool = False) -> np.ndarray | None:
    """A mask (or probabilities) of cells or genes, as an array; it may be the name of a column."""
    if mask is None:
        return None
    desc = "mask/probabilities" if probabilities else "mask"
    if isinstance(mask, str):
        if not isinstance(data, AnnData):
            raise ValueError(f"{mask!r} names a column for the {desc}, and there is no AnnData")
        columns = getattr(data, axis)
        if mask not in columns:
            raise ValueError(f"Did not find `adata.{axis}[{mask!r}]`; it has {list(columns)}")
        mask = columns[mask]
    found = np.asarray(mask)
    n = data.shape[0 if axis == "obs" else 1]
    if found.shape != (n,):
        raise ValueError(f"the {desc} has shape {found.shape}, and must be of the {n} {axis}")
    if found.dtype != bool and not (probabilities and found.dtype.kind == "f"):
        raise ValueError(f"the {desc} must be boolean, and has dtype {found.dtype}")
    return found
