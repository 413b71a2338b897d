//! Pictures: scatter plots of millions of cells, as PNG and SVG, from plain arrays.
//!
//! Every plot is laid out once into a [`Picture`], a small display list of a raster layer, text,
//! lines and shapes, and rendered from there to PNG or to SVG. In the SVG the points are an
//! embedded PNG layer and everything else is vector (matplotlib's `rasterized=True`), so a
//! picture of a million cells stays a small file with text that can be edited. One font is
//! bundled; nothing depends on the fonts of the machine.
//!
//! | here | in scanpy |
//! |---|---|
//! | [`scatter`] | `scanpy.pl.embedding`, `scanpy.pl.umap` |
//! | [`raster_points`] | what `matplotlib.axes.Axes.scatter` paints for them |
//! | [`pca_variance`] | `scanpy.pl.pca_variance_ratio` |
//! | [`hvg_dispersion`] | `scanpy.pl.highly_variable_genes` |
//!
//! The same bytes come out of any number of threads.

mod axis;
mod colorbar;
mod colormap;
mod colour;
mod dispersion;
mod extent;
mod font;
mod frame;
mod label;
mod legend;
mod name;
mod palette;
mod picture;
mod points;
mod raster;
mod scatter;
mod style;
mod svg;
mod variance;

pub use colormap::Colormap;
pub use colour::Rgb;
pub use dispersion::{HvgPlot, hvg_dispersion};
pub use name::file_stem;
pub use palette::{DEFAULT_20, DEFAULT_28, DEFAULT_102, MISSING, palette};
pub use picture::Picture;
pub use points::{Cloud, Ink, Order, View, raster_points};
pub use scatter::{Colour, Legend, Scatter, scatter};
pub use variance::{PcaVariance, pca_variance};
