"""Preprocessing: scanpy's ``pp``."""

from ._highly_variable_genes import highly_variable_genes
from ._log1p import log1p
from ._neighbors import neighbors
from ._normalize_total import normalize_total
from ._pca import pca

__all__ = ["highly_variable_genes", "log1p", "neighbors", "normalize_total", "pca"]
