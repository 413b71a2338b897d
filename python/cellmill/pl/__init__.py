"""Plots that scanpy cannot draw at this size; for all others, scanpy's own work."""

__all__: list[str] = []
