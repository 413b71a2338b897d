"""The artist: points that become pixels whenever a figure is drawn, at its resolution."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.artist import Artist, allow_rasterization
from matplotlib.backend_bases import RendererBase
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, to_rgba
from matplotlib.transforms import Bbox, Transform

from .. import _native
from .._settings import settings


class Points(Artist):
    """Dots on an axes, painted by Rust for the pixels of the renderer.

    So a zoomed view and a figure saved at another dpi are as sharp as the first; in a PDF or an SVG
    the dots are an image of the figure's dpi, and everything else stays vectors.

    Parameters
    ----------
    xy
        Points x 2, float32.
    diameter
        Of a dot, in points.
    colours
        One for all, one a code, or the colormap of the `mappable`: see `codes` and `mappable`.
    codes
        An index into `colours` for each point, int32; -1: missing.
    values, mappable
        A number for each point, and what makes it a colour.
    """

    def __init__(
        self,
        xy: np.ndarray,
        diameter: float,
        *,
        colours: Sequence[Any] = (),
        codes: np.ndarray | None = None,
        values: np.ndarray | None = None,
        mappable: ScalarMappable | None = None,
        missing: Any = "lightgray",
        in_order_of_rows: bool = False,
    ) -> None:
        super().__init__()
        self.zorder = 1
        self._xy = xy
        self._diameter = diameter
        self._colours = [solid(c) for c in colours]
        self._codes = codes
        self._values = values
        self._mappable = mappable
        self._missing = solid(missing)
        self._in_order_of_rows = in_order_of_rows
        self._last: tuple[Any, np.ndarray] | None = None
        if mappable is not None:
            table_of(mappable.get_cmap())
            mappable.callbacks.connect("changed", self._changed)

    def _changed(self, _: Any = None) -> None:
        self._last = None
        self.stale = True

    def set_alpha(self, alpha: Any) -> None:
        """Opacity of the dots: a number above 0 up to 1, or None for 1."""
        super().set_alpha(alpha)
        self._last = None

    def get_window_extent(self, renderer: RendererBase | None = None) -> Bbox:
        """Where the points can be: the axes."""
        return Bbox.null() if self.axes is None else self.axes.get_window_extent(renderer)

    @allow_rasterization
    def draw(self, renderer: RendererBase) -> None:
        """Paints the points."""
        axes = self.axes
        if not self.get_visible() or axes is None:
            return
        scale = renderer.get_image_magnification()
        to_pixels: Any = renderer.points_to_pixels
        diameter = float(to_pixels(self._diameter)) * scale
        # Dots that lie outside can still reach into the view.
        reach = int(np.ceil(0.5 * diameter)) + 1
        box = axes.bbox
        x0, y0 = (int(np.floor(p * scale)) for p in box.p0)
        x1, y1 = (int(np.ceil(p * scale)) for p in box.p1)
        wide = np.array([(x0 - reach, y0 - reach), (x1 + reach, y1 + reach)])
        image = self._raster(axes.transData, wide / scale, wide[1] - wide[0], diameter)
        gc = renderer.new_gc()
        self._set_gc_clip(gc)  # type: ignore[attr-defined]
        gc.set_url(self.get_url())
        renderer.draw_image(gc, x0 / scale, y0 / scale, image[reach:-reach, reach:-reach])
        gc.restore()
        self.stale = False

    def _raster(
        self, transform: Transform, window: np.ndarray, pixels: np.ndarray, diameter: float
    ) -> np.ndarray:
        """The pixels of a window, given in units of the display."""
        xy = self._xy
        if transform.is_affine:
            window = transform.inverted().transform(window)
        else:
            xy = np.ascontiguousarray(transform.transform(xy), dtype=np.float32)
        (left, bottom), (right, top) = window
        asked = SimpleNamespace(
            left=min(left, right),
            right=max(left, right),
            bottom=min(bottom, top),
            top=max(bottom, top),
            width=int(pixels[0]),
            height=int(pixels[1]),
            diameter=diameter,
            alpha=1.0 if self.get_alpha() is None else self.get_alpha(),
            missing=self._missing,
            in_order_of_rows=self._in_order_of_rows,
        )
        # matplotlib draws a figure twice to learn what is on it.
        norm = None if self._mappable is None else self._mappable.norm
        ends = [getattr(norm, name, None) for name in ("vmin", "vmax", "vcenter")]
        cmap = None if self._mappable is None else self._mappable.get_cmap()
        key = (window.tolist(), transform.is_affine, vars(asked), norm, ends, cmap)
        if transform.is_affine and self._last is not None and self._last[0] == key:
            return self._last[1]
        colours, shades = self._colours, None
        if self._mappable is not None and self._values is not None:
            colours = table_of(self._mappable.get_cmap())
            shades = np.ma.filled(self._mappable.norm(self._values), np.nan)
            shades = np.ascontiguousarray(shades, dtype=np.float32)
        image = _native.raster_points(settings._machine(), xy, asked, colours, self._codes, shades)
        # matplotlib's images begin at the bottom.
        image = image[:: 1 if bottom > top else -1, :: -1 if left > right else 1]
        self._last = (key, image)
        return image


def solid(colour: Any) -> list[int]:
    """A colour as three bytes; one that lets something through is refused."""
    *rgb, opacity = to_rgba(colour)
    if opacity < 1:
        raise ValueError(
            f"the colour {colour!r} has an opacity of its own, and the points have one; give alpha="
        )
    return [round(255 * c) for c in rgb]


def table_of(cmap: Colormap) -> list[list[int]]:
    """The 256 colours of a colormap."""
    if tuple(cmap(-1.0)) != tuple(cmap(0.0)) or tuple(cmap(2.0)) != tuple(cmap(1.0)):
        raise NotImplementedError(
            f"the colormap {cmap.name} has colours of its own below and above its ends (set_under, "
            "set_over), which are not there yet; leave such cells out with mask_obs, and they have "
            "na_color"
        )
    return [solid(c) for c in cmap((np.arange(256) + 0.5) / 256)]
