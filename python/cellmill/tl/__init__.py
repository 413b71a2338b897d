"""Tools: scanpy's ``tl``."""

from ._leiden import leiden
from ._score_genes import score_genes
from ._score_genes_cell_cycle import score_genes_cell_cycle
from ._umap import umap

__all__ = ["leiden", "score_genes", "score_genes_cell_cycle", "umap"]
