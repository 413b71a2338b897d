//! Pictures: scatter plots of millions of cells, as PNG and SVG.
