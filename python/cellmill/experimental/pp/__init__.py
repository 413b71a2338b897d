"""Preprocessing: scanpy's ``experimental.pp``."""

from ._highly_variable_genes import highly_variable_genes

__all__ = ["highly_variable_genes"]
