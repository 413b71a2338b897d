"""Panels, legends and colour bars, laid out as scanpy lays them out."""

import warnings
from collections.abc import Sequence
from itertools import combinations, product
from numbers import Integral
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib import colormaps, patheffects, rcParams
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize, TwoSlopeNorm, to_hex
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.legend import Legend

from .._settings import settings
from ._colours import colours_of
from ._points import Points, solid, table_of
from ._values import values_of

# Diameters of the markers, in shares of the square root of `size`.
_DISCS = {".": 0.5, "o": 1.0}


def draw(adata: AnnData, basis: str, asked: SimpleNamespace) -> tuple[Figure, Any]:
    """Draws what :func:`cellmill.pl.embedding` was asked: the figure; its axes, or their list."""
    adata.strings_to_categoricals()
    coordinates = _coordinates(adata, basis)
    cmap = asked.color_map if asked.cmap is None else asked.cmap
    cmap = cmap if isinstance(cmap, Colormap) else colormaps.get_cmap(cmap)
    table_of(cmap)
    solid(asked.na_color)
    na_color = to_hex(asked.na_color)
    colors = _listed(asked.color)
    dimensions = _dimensions(asked.components, asked.dimensions, coordinates.shape[1])
    if asked.components is not None:
        pairs = list(product(colors, dimensions))
        colors, dimensions = [c for c, _ in pairs], [d for _, d in pairs]
    colors, dimensions, markers = _broadcast(colors, dimensions, _listed(asked.marker))
    titles = None if asked.title is None else _listed(asked.title)
    if len(colors) > 1 and asked.ax is not None:
        raise ValueError(
            f"ax was given, and {len(colors)} panels were asked for; give one color and call once "
            "for each axes"
        )
    # Read before anything is drawn: what fails leaves no figure behind.
    mask = _mask(adata, asked.mask_obs)
    found: dict[str, Any] = {}
    for key in colors:
        if key is not None and key not in found:
            found[key] = values_of(
                adata,
                key,
                layer=asked.layer,
                use_raw=asked.use_raw,
                gene_symbols=asked.gene_symbols,
                mask=mask,
                groups=asked.groups,
            )
    sizes = _diameters(asked, coordinates, markers)
    shades: list[Any] = [
        None
        if key is None or isinstance(found[key], pd.Categorical)
        else _mappable(found[key], asked, panel, cmap)
        for panel, key in enumerate(colors)
    ]
    palettes = {
        key: colours_of(adata, key, asked.palette)
        for key, values in found.items()
        if isinstance(values, pd.Categorical)
    }

    several = len(colors) > 1
    if several:
        figure, grid = _grid(asked, [found.get(key) for key in colors])
    else:
        figure = plt.figure() if asked.ax is None else asked.ax.figure
    axes = []
    name = _axis_name(basis)
    for panel, (key, dims) in enumerate(zip(colors, dimensions, strict=True)):
        if several:
            ax = figure.add_subplot(grid[panel])
        else:
            ax = figure.add_subplot(111) if asked.ax is None else asked.ax
        axes.append(ax)
        xy = np.ascontiguousarray(coordinates[:, dims], dtype=np.float32)
        if not asked.frameon:
            ax.axis("off")
        ax.set_title(_title(key, titles, panel))
        values = None if key is None else found[key]
        points: dict[str, Any] = {"missing": na_color, "in_order_of_rows": not asked.sort_order}
        if values is None:
            points["colours"] = [na_color]
        elif isinstance(values, pd.Categorical):
            points["codes"] = np.ascontiguousarray(values.codes, dtype=np.int32)
            points["colours"] = [palettes[key][c] for c in values.categories]
        else:
            points |= {"values": values, "mappable": shades[panel]}
        _add(ax, xy, sizes[panel], asked, points)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_xlabel(f"{name}{dims[0] + 1}")
        ax.set_ylabel(f"{name}{dims[1] + 1}")
        if isinstance(values, pd.Categorical):
            _legend(ax, values, palettes[key], xy, na_color, several, asked)
        elif values is not None and asked.colorbar_loc is not None:
            figure.colorbar(
                shades[panel],
                ax=ax,
                pad=0.01,
                fraction=0.08,
                aspect=30,
                location=asked.colorbar_loc,
                alpha=asked.alpha,
            )
    return figure, axes if several else axes[0]


def finish(figure: Figure, axes: Any, basis: str, asked: SimpleNamespace) -> Any:
    """Saves and shows; what :func:`cellmill.pl.embedding` returns."""
    if asked.return_fig:
        return figure
    if asked.save:
        suffix, kind = "" if asked.save is True else str(asked.save), "pdf"
        for known in ("svg", "pdf", "png"):
            if suffix.endswith(f".{known}"):
                suffix, kind = suffix.removesuffix(f".{known}"), known
                break
        settings.figdir.mkdir(parents=True, exist_ok=True)
        figure.savefig(settings.figdir / f"{basis}{suffix}.{kind}", bbox_inches="tight")
    show = asked.show is None or asked.show
    if show:
        plt.show()
    if asked.save and asked.ax is None:
        plt.close(figure)
    return None if show else axes


def _listed(value: Any) -> list[Any]:
    return [value] if value is None or isinstance(value, str) else list(value)


def _coordinates(adata: AnnData, basis: str) -> np.ndarray:
    for key in (basis, f"X_{basis}"):
        if key in adata.obsm:
            values = np.asarray(adata.obsm[key])
            if values.ndim != 2:
                raise ValueError(f"obsm[{key!r}] has {values.ndim} dimensions, and must have 2")
            return values
    raise KeyError(f"Could not find {basis!r} or 'X_{basis}' in .obsm; it has {list(adata.obsm)}")


def _dimensions(components: Any, dimensions: Any, total: int) -> list[tuple[int, int]]:
    if components is not None and dimensions is not None:
        raise ValueError("components and dimensions were both given; use dimensions")
    if components == "all":
        dimensions = list(combinations(range(total), 2))
    elif components is not None:
        dimensions = [[int(d) - 1 for d in c.split(",")] for c in _listed(components)]
    elif dimensions is None:
        dimensions = [(0, 1)]
    if all(isinstance(d, Integral) for d in dimensions):
        dimensions = [dimensions]
    for dims in dimensions:
        if len(dims) != 2 or not all(isinstance(d, Integral) and 0 <= int(d) < total for d in dims):
            raise ValueError(
                f"dimensions has {tuple(dims)}, and must have two of the {total} columns, from 0 "
                "(components: from 1)"
            )
    return [(int(i), int(j)) for i, j in dimensions]


def _broadcast(*lists: list[Any]) -> list[list[Any]]:
    longest = max(map(len, lists))
    if any(len(one) not in (1, longest) for one in lists):
        raise ValueError(
            f"{[len(one) for one in lists]} colours, dimensions and markers were given; expected "
            "one each, or equally many"
        )
    return [one * longest if len(one) == 1 else one for one in lists]


def _mask(adata: AnnData, mask: Any) -> np.ndarray | None:
    if mask is None:
        return None
    if isinstance(mask, str):
        if mask not in adata.obs:
            raise ValueError(f"Did not find `adata.obs[{mask!r}]`, which mask_obs names")
        mask = adata.obs[mask]
    found = np.asarray(mask)
    if found.dtype != bool or found.shape != (adata.n_obs,):
        raise ValueError(
            f"mask_obs must be a boolean mask of the {adata.n_obs} cells, and has dtype "
            f"{found.dtype} and shape {found.shape}"
        )
    return found


def _diameters(asked: SimpleNamespace, coordinates: np.ndarray, markers: list[str]) -> list[float]:
    """The diameter of the dots of each panel, in points."""
    size = asked.size
    if size is None:
        size = 120_000 / max(1, int((~np.isnan(coordinates).any(axis=1)).sum()))
    for marker in markers:
        if marker not in _DISCS:
            raise ValueError(
                f"marker is {marker!r}, and points are drawn as discs: '.', or 'o' for discs twice "
                "as wide"
            )
    return [_DISCS[marker] * float(size) ** 0.5 for marker in markers]


def _mappable(values: np.ndarray, asked: SimpleNamespace, panel: int, cmap: Colormap) -> Any:
    """The colours of one panel's numbers: scanpy's rules for vmin, vmax, vcenter and norm."""
    bounds = {n: _bound(n, getattr(asked, n), panel, values) for n in ("vmin", "vmax", "vcenter")}
    norm = asked.norm
    if isinstance(norm, Sequence):
        norm = _of_panel("norm", norm, panel)
    if norm is not None and any(b is not None for b in bounds.values()):
        raise ValueError("norm and vmin, vmax or vcenter were both given; use one of them")
    if norm is None:
        centre = bounds.pop("vcenter")
        low, high = bounds.values()
        norm = Normalize(low, high) if centre is None else TwoSlopeNorm(centre, low, high)
    norm.autoscale_None(np.ma.masked_invalid(values))
    return ScalarMappable(norm, cmap)


def _of_panel(name: str, values: Sequence[Any], panel: int) -> Any:
    if len(values) == 1:
        return values[0]
    if panel >= len(values):
        raise ValueError(f"{name} has {len(values)} entries, and there are more panels")
    return values[panel]


def _bound(name: str, bound: Any, panel: int, values: np.ndarray) -> float | None:
    if isinstance(bound, Sequence) and not isinstance(bound, str):
        bound = _of_panel(name, bound, panel)
    if bound is None:
        return None
    try:
        if isinstance(bound, str) and bound.startswith("p"):
            return float(np.nanpercentile(values, q=float(bound[1:])))
        return float(bound(values) if callable(bound) else bound)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} is {bound!r} for panel {panel + 1}, and must be a number, a percentile such "
            "as 'p99', or a function of the values that returns a number"
        ) from error


def _grid(asked: SimpleNamespace, panels: list[Any]) -> tuple[Figure, GridSpec]:
    """A figure with a place for each panel, of the size of a figure."""
    width, height = rcParams["figure.figsize"]
    n = len(panels)
    columns = min(asked.ncols, n)
    rows = -(-n // columns)
    wspace = asked.wspace
    if wspace is None:
        # scanpy's, or what the legends need that have a panel to their right.
        wspace = 0.75 / width + 0.02
        for panel, values in enumerate(panels[:-1]):
            beside = asked.legend_loc == "right margin" and (panel + 1) % columns != 0
            if beside and isinstance(values, pd.Categorical):
                room = _legend_inches(values, asked) + 0.4
                wspace = max(wspace, room / (0.85 * width) - 0.09)
    left, bottom = 0.2 / columns, 0.13 / rows
    figure = plt.figure(figsize=(columns * width * (1 + wspace), rows * height))
    grid = figure.add_gridspec(
        rows,
        columns,
        left=left,
        right=1 - (columns - 1) * left - 0.01 / columns,
        bottom=bottom,
        top=1 - (rows - 1) * bottom - 0.1 / rows,
        hspace=asked.hspace,
        wspace=wspace,
    )
    return figure, grid


def _legend_inches(values: pd.Categorical, asked: SimpleNamespace) -> float:
    """The width of the legend to the right of a panel."""
    figure = Figure()
    ax = figure.add_subplot(111)
    labels = [*values.categories]
    if asked.na_in_legend and (values.codes < 0).any():
        labels.append("NA")
    for label in labels:
        ax.scatter([], [], label=label)
    return _right_legend(ax, asked, len(labels)).get_window_extent().width / figure.dpi


def _right_legend(ax: Axes, asked: SimpleNamespace, n: int) -> Legend:
    return ax.legend(
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        ncol=1 if n <= 14 else 2 if n <= 30 else 3,
        fontsize=asked.legend_fontsize,
    )


def _axis_name(basis: str) -> str:
    known = {"diffmap": "DC", "tsne": "tSNE", "umap": "UMAP", "pca": "PC"}
    if "draw_graph" in basis:
        return basis.replace("draw_graph_", "").upper()
    return known.get(basis, basis)


def _title(key: str | None, titles: list[str] | None, panel: int) -> str:
    if titles is not None and panel < len(titles):
        return titles[panel]
    if titles is not None:
        warnings.warn(
            "The title list is shorter than the number of panels. Using 'color' value instead for "
            "some plots.",
            UserWarning,
            stacklevel=2,
        )
    return "" if key is None else key


def _add(ax: Axes, xy: np.ndarray, diameter: float, asked: Any, points: dict[str, Any]) -> None:
    """Puts the points on the axes, outlined if asked for, and makes room for them."""
    layers: list[tuple[float, float | None, dict[str, Any]]] = []
    alpha = asked.alpha
    if asked.add_outline:
        alpha = 0.7 if alpha is None else alpha
        outer, inner = asked.outline_width
        gap = diameter * (1 + 2 * inner)
        for width, colour in zip(
            (gap + 2 * diameter * outer, gap), asked.outline_color, strict=True
        ):
            one: dict[str, Any] = {"codes": np.zeros(len(xy), dtype=np.int32), "colours": [colour]}
            layers.append((width, None, one))
    layers.append((diameter, alpha, points))
    for width, opacity, one in layers:
        artist = Points(xy, width, **one)
        artist.set_alpha(opacity)
        if asked.zorder is not None:
            artist.set_zorder(asked.zorder)
        ax.add_artist(artist)
    finite = xy[np.isfinite(xy).all(axis=1)]
    if len(finite):
        ax.update_datalim([finite.min(axis=0), finite.max(axis=0)])
    ax.autoscale_view()


def _legend(
    ax: Axes,
    values: pd.Categorical,
    palette: dict[Any, str],
    xy: np.ndarray,
    na_color: str,
    several: bool,
    asked: SimpleNamespace,
) -> None:
    if asked.na_in_legend and (values.codes < 0).any():
        if "NA" in values.categories:
            raise NotImplementedError(
                "some cells have no category, and 'NA' is the name of one; rename it, or give "
                "na_in_legend=False"
            )
        values = values.add_categories("NA").fillna("NA")
        palette = palette | {"NA": na_color}
    if several:
        # As wide as a panel beside which a colour bar stands.
        box = ax.get_position()
        ax.set_position((box.x0, box.y0, box.width * 0.91, box.height))
    if asked.legend_loc == "on data":
        effects = None
        if asked.legend_fontoutline is not None:
            effects = [patheffects.withStroke(linewidth=asked.legend_fontoutline, foreground="w")]
        centres = pd.DataFrame(xy, columns=["x", "y"]).groupby(values, observed=True).median()
        for label, x, y in centres.itertuples():
            ax.text(
                x,
                y,
                label,
                weight=asked.legend_fontweight,
                verticalalignment="center",
                horizontalalignment="center",
                fontsize=asked.legend_fontsize,
                path_effects=effects,
            )
    elif asked.legend_loc not in (None, "none"):
        for label in values.categories:
            ax.scatter([], [], c=palette[label], label=label)
        if asked.legend_loc == "right margin":
            _right_legend(ax, asked, len(values.categories))
        else:
            ax.legend(loc=asked.legend_loc, fontsize=asked.legend_fontsize)
