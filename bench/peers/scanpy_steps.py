"""What both ways of running scanpy do from the scores on, in memory."""

import numpy as np
import scanpy as sc


def graph_steps(recorder, adata, *, n_neighbors: int, transformer) -> None:
    with recorder.stage("neighbors"):
        sc.pp.neighbors(adata, n_neighbors=n_neighbors, transformer=transformer)
    with recorder.stage("leiden"):
        sc.tl.leiden(adata, flavor="igraph", n_iterations=2, directed=False)
    with recorder.stage("umap"):
        sc.tl.umap(adata)
    with recorder.stage("write"):
        recorder.save(
            pca=adata.obsm["X_pca"],
            umap=adata.obsm["X_umap"],
            labels=adata.obs["leiden"].to_numpy().astype(str),
            genes=adata.var_names[adata.var["highly_variable"]],
            knn=nearest(adata.obsp["distances"].tocsr(), n_neighbors - 1),
            graph=adata.obsp["connectivities"].tocsr(),
        )


def nearest(distances, k: int) -> np.ndarray:
    """The k nearest others of each cell, -1 where a row has fewer.

    Transformers differ in whether they store the cell itself, and in the order of a row.
    """
    n = distances.shape[0]
    rows = np.repeat(np.arange(n), np.diff(distances.indptr))
    others = distances.indices != rows
    rows, cells = rows[others], distances.indices[others]
    order = np.lexsort((distances.data[others], rows))
    rows, cells = rows[order], cells[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, np.arange(n))[rows]
    knn = np.full((n, k), -1)
    knn[rows[rank < k], rank[rank < k]] = cells[rank < k]
    return knn
