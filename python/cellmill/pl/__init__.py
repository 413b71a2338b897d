"""Plots of millions of cells, on matplotlib's axes."""

from ._embedding import embedding, pca, umap

__all__ = ["embedding", "pca", "umap"]
