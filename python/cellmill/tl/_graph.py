"""The neighbour graph of an AnnData, as the native calls take it."""

from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse


def connectivities(adata: AnnData, neighbors_key: str | None, obsp: str | None = None) -> Any:
    """The weights that scanpy would take."""
    if obsp is not None:
        if neighbors_key is not None:
            raise ValueError("You can't specify both obsp, neighbors_key. Please select only one.")
        return adata.obsp[obsp]
    key = neighbors_key or "neighbors"
    if key not in adata.uns:
        if neighbors_key is None:
            raise ValueError(
                "You need to run `pp.neighbors` first to compute a neighborhood graph."
            )
        raise KeyError(f"No {key!r} in .uns")
    return adata.obsp[adata.uns[key].get("connectivities_key", "connectivities")]


def parts(graph: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """indptr (i64), indices (i32), weights (f32)."""
    graph = sparse.csr_matrix(graph)
    if not graph.has_canonical_format:
        graph = graph.copy()
        graph.sum_duplicates()
    return (
        np.ascontiguousarray(graph.indptr, dtype=np.int64),
        np.ascontiguousarray(graph.indices, dtype=np.int32),
        np.ascontiguousarray(graph.data, dtype=np.float32),
    )
