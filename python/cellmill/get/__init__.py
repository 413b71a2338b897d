"""Values out of a matrix: scanpy's ``get``."""

from ._aggregate import aggregate

__all__ = ["aggregate"]
