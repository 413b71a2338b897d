"""Scatter plots of embeddings, for millions of cells."""

import inspect
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from anndata import AnnData

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What scanpy draws of these would bury millions of points, or cannot be made pixels of in Rust: the
# parameter, its default, and what to do.
_REFUSED = {
    "edges": (False, "edges of this many cells are a black page"),
    "edges_width": (0.1, "edges are not drawn"),
    "edges_color": ("grey", "edges are not drawn"),
    "neighbors_key": (None, "edges are not drawn"),
    "arrows": (False, "arrows of this many cells are a black page"),
    "arrows_kwds": (None, "arrows are not drawn"),
    "scale_factor": (None, "the size of points is in points of the page"),
}


def embedding(
    adata: AnnData,
    basis: str,
    *,
    color: str | Sequence[str] | None = None,
    mask_obs: Any = None,
    gene_symbols: str | None = None,
    use_raw: bool | None = None,
    sort_order: bool = True,
    edges: bool = False,
    edges_width: float = 0.1,
    edges_color: Any = "grey",
    neighbors_key: str | None = None,
    arrows: bool = False,
    arrows_kwds: Any = None,
    groups: str | Sequence[str] | None = None,
    components: str | Sequence[str] | None = None,
    dimensions: Any = None,
    layer: str | None = None,
    projection: str = "2d",
    scale_factor: float | None = None,
    color_map: Any = None,
    cmap: Any = None,
    palette: Any = None,
    na_color: Any = "lightgray",
    na_in_legend: bool = True,
    size: float | None = None,
    frameon: bool | None = None,
    legend_fontsize: Any = None,
    legend_fontweight: Any = "bold",
    legend_loc: str | None = "right margin",
    legend_fontoutline: int | None = None,
    colorbar_loc: str | None = "right",
    vmax: Any = None,
    vmin: Any = None,
    vcenter: Any = None,
    norm: Any = None,
    add_outline: bool | None = False,
    outline_width: tuple[float, float] = (0.3, 0.05),
    outline_color: tuple[str, str] = ("black", "white"),
    ncols: int = 4,
    hspace: float = 0.25,
    wspace: float | None = None,
    title: str | Sequence[str] | None = None,
    show: bool | None = None,
    ax: "Axes | None" = None,
    return_fig: bool | None = None,
    marker: str | Sequence[str] = ".",
    save: bool | str | None = None,
    **kwargs: Any,
) -> "Figure | Axes | list[Axes] | None":
    """Draw an embedding of millions of cells on matplotlib's axes.

    Axes, titles, legends and colour bars are matplotlib's. The points are painted in Rust on all
    cores for the pixels of the figure, again whenever it is zoomed or saved at another dpi; in a
    PDF or an SVG they are an image, and the text stays text.

    Parameters
    ----------
    adata
        The annotated matrix.
    basis
        The element of obsm, with or without ``X_``.
    color
        A column of obs or a gene, or several of them: a panel each. ``None``: `na_color`.
    mask_obs
        A mask of cells, or a column of obs; the others are drawn as missing.
    gene_symbols
        The column of var in which genes are looked up.
    use_raw
        Whether genes are those of raw; ``None``: where there is one and no `layer` is named.
    sort_order
        ``True``: missing values beneath, high values over low ones, categories mixed so that none
        buries another, the rare ones on top; see the notes. ``False``: in the order of rows.
    edges, edges_width, edges_color, neighbors_key, arrows, arrows_kwds, scale_factor
        Are not there: they raise.
    groups
        The categories to colour; the others are drawn as missing.
    components
        Pairs such as ``"1,2"``, or ``"all"``; counted from 1.
    dimensions
        A pair of columns, or several pairs; counted from 0.
    layer
        The matrix whose genes are drawn, in place of X.
    projection
        ``"2d"``; ``"3d"`` is not there.
    color_map, cmap
        A colormap or its name, for numbers.
    palette
        Colours of categories: the name of a colormap, a list, a dict or a cycler.
    na_color, na_in_legend
        The colour of missing values, and whether the legend names them.
    size
        The area of a dot as scanpy counts it; ``None``: 120000 / cells. One number for all.
    frameon
        Whether the frame and the axes' labels are drawn; ``None``: yes.
    legend_fontsize, legend_fontweight, legend_loc, legend_fontoutline
        The legend: ``"right margin"``, ``"on data"``, ``"none"``, or a place of matplotlib's.
    colorbar_loc
        The side of the colour bar; ``None``: none.
    vmax, vmin, vcenter
        Ends and centre of the colours: a number, a percentile such as ``"p99"``, a function of the
        values, or a list of these, one for each panel.
    norm
        A norm of matplotlib's in their place, or a list.
    add_outline, outline_width, outline_color
        A rim around the groups of points: widths in shares of a dot, colours from outside.
    ncols, hspace, wspace
        Panels in a row, and the room between them. ``wspace=None`` makes room for the legends,
        which scanpy's default may cut.
    title
        Of each panel.
    show
        Whether to show the figure and return nothing; ``None``: yes.
    ax
        The axes to draw on, for a single panel.
    return_fig
        Whether to return the figure, neither shown nor saved.
    marker
        ``"."``, or ``"o"`` for discs twice as wide.
    save
        ``True``, or the end of the file's name: ``cellmill.settings.figdir / f"{basis}{save}"``,
        PDF where it has none of ``.png``, ``.pdf``, ``.svg``.
    kwargs
        Of ``Axes.scatter``: `s`, `alpha` and `zorder`.

    Returns
    -------
    matplotlib.axes.Axes or list or matplotlib.figure.Figure or None
        With ``show=False``, the axes, or a list of them where there are several panels. Writes
        ``uns["<color>_colors"]`` (a colour for each category) where it is not there or `palette`
        is given; columns of strings in obs and var become categorical, as in scanpy.

    Raises
    ------
    ImportError
        Without matplotlib: install ``cellmill[plot]``.
    KeyError
        Where `color` or `basis` is not there.
    MemoryError
        Where the points or the picture do not fit ``cellmill.settings.memory``.

    Notes
    -----
    Matches :func:`scanpy.pl.embedding` in colours, legends, titles and limits; the pixels are the
    same for any number of threads. A gene of a lazy matrix is one read of the file, and only its
    column is kept.

    What differs: dots narrower than two pixels (the default size from about 100,000 cells on) are
    not painted one over the other but added up, so that what a region holds shows, not what was
    painted last. A pixel that several categories share has the colour of the strongest relative to
    their sizes; of numbers it has the mean; without `color`, more points are darker.
    ``sort_order=False`` paints dots of every size in the order of rows. More than 102 categories
    have colours of their own, not all grey.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.pp.normalize_total(adata, target_sum=1e4)
    >>> cm.pp.log1p(adata)
    >>> cm.pp.pca(adata, n_comps=10)
    >>> axes = cm.pl.embedding(adata, "X_pca", color="cell_type", show=False)
    """
    asked = SimpleNamespace(**{k: v for k, v in locals().items() if k not in ("adata", "basis")})
    draw, finish = _drawing()
    _check(adata, asked)
    figure, axes = draw(adata, basis, asked)
    drawn: Figure | Axes | list[Axes] | None = finish(figure, axes, basis, asked)
    return drawn


def _drawing() -> tuple[Callable[..., Any], Callable[..., Any]]:
    try:
        import matplotlib as _  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "cellmill.pl draws on matplotlib's axes, and matplotlib is not installed; install "
            "cellmill[plot]"
        ) from error
    from ._figure import draw, finish

    return draw, finish


def _check(adata: AnnData, asked: SimpleNamespace) -> None:
    """Refuses what has no meaning here, and settles what scanpy leaves to several parameters."""
    if not isinstance(adata, AnnData):
        raise TypeError(f"an AnnData was expected, and this is {type(adata).__name__}")
    for name, (default, why) in _REFUSED.items():
        value = getattr(asked, name)
        if value is not default and value != default:
            raise NotImplementedError(
                f"embedding({name}={value!r}) is not there, since {why}; leave it out, or use "
                "scanpy.pl.embedding on a subset of the cells"
            )
    if asked.projection == "3d":
        raise NotImplementedError(
            "embedding(projection='3d') is not there; draw pairs of dimensions=, or use "
            "scanpy.pl.embedding on a subset of the cells"
        )
    if asked.projection != "2d":
        raise ValueError(f"projection is {asked.projection!r}, and must be '2d'")
    if asked.groups is not None and asked.mask_obs is not None:
        raise ValueError("groups and mask_obs were both given; use one of them")
    if asked.use_raw and asked.layer is not None:
        raise ValueError("use_raw and layer were both given; use one of them")
    if asked.use_raw and adata.raw is None:
        raise ValueError("use_raw is True, and this AnnData has no raw; leave it out")
    if asked.color_map is not None and asked.cmap is not None:
        raise ValueError("color_map and cmap were both given; use one of them")
    if asked.ncols < 1:
        raise ValueError(f"ncols is {asked.ncols}, and must be at least 1")
    asked.use_raw = asked.use_raw or (
        asked.use_raw is None and asked.layer is None and adata.raw is not None
    )
    asked.frameon = asked.frameon is None or asked.frameon
    if isinstance(asked.groups, str):
        asked.groups = [asked.groups]
    _check_keywords(asked)


def _check_keywords(asked: SimpleNamespace) -> None:
    """Takes `s`, `alpha` and `zorder` out of the keywords for ``Axes.scatter``."""
    rest = dict(asked.kwargs)
    s = rest.pop("s", None)
    asked.size = s if asked.size is None else asked.size
    asked.alpha = rest.pop("alpha", None)
    asked.zorder = rest.pop("zorder", None)
    # Users write these to be rid of the rim that matplotlib draws, and there is none here.
    for name in ("edgecolor", "edgecolors"):
        if rest.get(name) == "none":
            del rest[name]
    for name in ("linewidth", "linewidths", "lw"):
        if rest.get(name) == 0:
            del rest[name]
    if rest:
        raise TypeError(
            f"embedding() got {next(iter(rest))!r}, and the points are pixels: of the keywords of "
            "Axes.scatter they take s, alpha and zorder; leave it out, or use scanpy.pl.embedding"
        )
    for name in ("size", "alpha"):
        value = getattr(asked, name)
        if value is None:
            continue
        if hasattr(value, "__len__"):
            raise NotImplementedError(
                f"embedding({name}=…) takes one number for all points, and got {len(value)}"
            )
        if not 0 < value <= (1 if name == "alpha" else 1e6):
            raise ValueError(
                f"{name} is {value!r}, and must be above 0 and at most "
                f"{1 if name == 'alpha' else 1e6:g}"
            )


def umap(adata: AnnData, **kwargs: Any) -> "Figure | Axes | list[Axes] | None":
    """Draw the UMAP of millions of cells.

    Parameters
    ----------
    adata
        The annotated matrix, with ``obsm["X_umap"]``.
    kwargs
        As those of :func:`cellmill.pl.embedding`.

    Returns
    -------
    matplotlib.axes.Axes or list or matplotlib.figure.Figure or None
        As :func:`cellmill.pl.embedding`.

    Notes
    -----
    Matches :func:`scanpy.pl.umap`; what differs is said at :func:`cellmill.pl.embedding`.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.pp.normalize_total(adata, target_sum=1e4)
    >>> cm.pp.log1p(adata)
    >>> cm.pp.pca(adata, n_comps=10)
    >>> cm.pp.neighbors(adata)
    >>> cm.tl.umap(adata)
    >>> axes = cm.pl.umap(adata, color="cell_type", show=False)
    """
    return embedding(adata, "umap", **kwargs)


def pca(
    adata: AnnData,
    *,
    annotate_var_explained: bool = False,
    show: bool | None = None,
    return_fig: bool | None = None,
    save: bool | str | None = None,
    **kwargs: Any,
) -> "Figure | Axes | list[Axes] | None":
    """Draw millions of cells on their principal components.

    Parameters
    ----------
    adata
        The annotated matrix, with ``obsm["X_pca"]``.
    annotate_var_explained
        Whether the labels of the axes say what share of the variance a component explains, from
        ``uns["pca"]["variance_ratio"]``.
    show, return_fig, save, kwargs
        As those of :func:`cellmill.pl.embedding`.

    Returns
    -------
    matplotlib.axes.Axes or list or matplotlib.figure.Figure or None
        As :func:`cellmill.pl.embedding`.

    Notes
    -----
    Matches :func:`scanpy.pl.pca`; what differs is said at :func:`cellmill.pl.embedding`.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.pp.normalize_total(adata, target_sum=1e4)
    >>> cm.pp.log1p(adata)
    >>> cm.pp.pca(adata, n_comps=10)
    >>> axes = cm.pl.pca(adata, color="cell_type", show=False)
    """
    if not annotate_var_explained:
        return embedding(adata, "pca", show=show, return_fig=return_fig, save=save, **kwargs)
    if "pca" not in adata.uns:
        raise KeyError("annotate_var_explained needs uns['pca'], which pp.pca writes")
    _, finish = _drawing()
    shares = adata.uns["pca"]["variance_ratio"]
    labels = {f"PC{i + 1}": f"PC{i + 1} ({round(v * 100, 2)}%)" for i, v in enumerate(shares)}
    axes: Any = embedding(adata, "pca", show=False, **kwargs)
    for ax in axes if isinstance(axes, list) else [axes]:
        ax.set_xlabel(labels[ax.get_xlabel()])
        ax.set_ylabel(labels[ax.get_ylabel()])
    first = axes[0] if isinstance(axes, list) else axes
    asked = SimpleNamespace(show=show, return_fig=return_fig, save=save, ax=kwargs.get("ax"))
    drawn: Figure | Axes | list[Axes] | None = finish(first.figure, axes, "pca", asked)
    return drawn


def _as_embedding(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a plot of one basis: the parameters of :func:`embedding`, and its own."""
    parameters = dict(inspect.signature(embedding).parameters)
    del parameters["basis"], parameters["kwargs"]
    own = inspect.signature(function)
    parameters |= {name: p for name, p in own.parameters.items() if name != "adata"}
    return own.replace(parameters=list(parameters.values()))


_of_one_basis: tuple[Any, ...] = (umap, pca)
for _plot in _of_one_basis:
    _plot.__signature__ = _as_embedding(_plot)
