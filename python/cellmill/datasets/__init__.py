"""Data to try things on."""

from ._pbmc68k_reduced import pbmc68k_reduced
from ._simulate import simulate

__all__ = ["pbmc68k_reduced", "simulate"]
