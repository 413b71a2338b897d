"""Preprocessing: scanpy's ``pp``."""

from ._calculate_qc_metrics import calculate_qc_metrics
from ._downsample_counts import downsample_counts
from ._filter import filter_cells, filter_genes
from ._highly_variable_genes import highly_variable_genes
from ._log1p import log1p
from ._neighbors import neighbors
from ._normalize_total import normalize_total
from ._pca import pca
from ._regress_out import regress_out
from ._sample import sample
from ._scale import scale
from ._sqrt import sqrt
from ._subset import subset

__all__ = [
    "calculate_qc_metrics",
    "downsample_counts",
    "filter_cells",
    "filter_genes",
    "highly_variable_genes",
    "log1p",
    "neighbors",
    "normalize_total",
    "pca",
    "regress_out",
    "sample",
    "scale",
    "sqrt",
    "subset",
]
