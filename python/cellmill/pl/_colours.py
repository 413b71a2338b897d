"""Colours of categories: read from ``uns["<key>_colors"]``, and written there, as scanpy does."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from anndata import AnnData
from cycler import Cycler, cycler
from matplotlib.colors import is_color_like, to_hex

from .. import _native
from ._values import FALSE_TRUE


def colours_of(adata: AnnData, key: str, palette: Any) -> dict[Any, str]:
    """The colour of each category of ``obs[key]``."""
    column = adata.obs[key]
    if pd.api.types.is_bool_dtype(column.dtype):
        categories: Sequence[Any] = FALSE_TRUE
    else:
        categories = list(pd.Categorical(column).categories)
    slot = f"{key}_colors"
    if palette is not None and len(palette):
        adata.uns[slot] = _chosen(palette, categories)
    elif slot not in adata.uns or len(adata.uns[slot]) < len(categories):
        adata.uns[slot] = _default(len(categories))
    else:
        wrong = [c for c in adata.uns[slot] if not is_color_like(c)]
        if wrong:
            warnings.warn(
                f"uns[{slot!r}] holds {wrong[0]!r}, which matplotlib knows as no colour; the "
                "default colours are used instead",
                UserWarning,
                stacklevel=2,
            )
            adata.uns[slot] = _default(len(categories))
    return dict(zip(categories, adata.uns[slot][: len(categories)], strict=True))


def _default(n: int) -> list[str]:
    """matplotlib's cycle where it is long enough, else scanpy's lists."""
    cycle = matplotlib.rcParams["axes.prop_cycle"].by_key().get("color", [])
    return [to_hex(c) for c in cycle[:n]] if len(cycle) >= n else _native.palette(n)


def _chosen(palette: Any, categories: Sequence[Any]) -> list[str]:
    n = len(categories)
    if isinstance(palette, str) and palette in matplotlib.colormaps:
        return [to_hex(c) for c in matplotlib.colormaps[palette](np.linspace(0, 1, n))]
    if isinstance(palette, Mapping):
        missing = [c for c in categories if c not in palette]
        if missing:
            raise KeyError(f"palette has no colour for the category {missing[0]!r}")
        return [to_hex(palette[c], keep_alpha=True) for c in categories]
    if isinstance(palette, Sequence) and not isinstance(palette, str):
        if len(palette) < n:
            warnings.warn(
                f"palette has {len(palette)} colours for {n} categories; some share a colour",
                UserWarning,
                stacklevel=2,
            )
        for colour in palette:
            if not is_color_like(colour):
                raise ValueError(f"palette holds {colour!r}, which matplotlib knows as no colour")
        palette = cycler(color=palette)
    if not isinstance(palette, Cycler) or "color" not in palette.keys:
        raise ValueError(
            f"palette is {palette!r}, and must be the name of a colormap, a list of colours, a "
            "dict of them, or a cycler with the key 'color'"
        )
    endless = palette()
    return [to_hex(next(endless)["color"]) for _ in range(n)]
