"""What is experimental in scanpy: scanpy's ``experimental``."""

from . import pp

__all__ = ["pp"]
