"""brisc's kernels, on a dataset without counts.

Its Leiden adds an edge of weight 1 from each cell to itself. Its layout takes neighbours and makes
the graph of them, begins at its own spectral layout, and has both in its seconds.
"""

import numpy as np
import polars as pl
from brisc import SingleCell
from brisc.sparse import csr_array
from kernel import EPOCHS, N_NEIGHBORS, Clock, Input, run


def dataset(n: int, **slots) -> SingleCell:
    counts = csr_array(
        (np.ones(n, np.float32), np.zeros(n, np.int32), np.arange(n + 1, dtype=np.int32)),
        shape=(n, 2),
    )
    obs = pl.DataFrame({"_index": np.arange(n).astype(str)})
    var = pl.DataFrame({"_index": ["a", "b"]})
    return SingleCell(X=counts, obs=obs, var=var, num_threads=2, **slots)


def knn(given: Input):
    points = given.points
    cells = dataset(len(points), obsm={"pca": points})
    with Clock() as clock:
        cells = cells.neighbors(QC_column=None, num_neighbors=N_NEIGHBORS - 1)
    return clock, {"knn": cells.obsm["neighbors"].astype(np.int64)}


def leiden(given: Input):
    graph = given.graph
    parts = (graph.data.astype(np.float32), graph.indices, graph.indptr)
    shared = csr_array(parts, shape=graph.shape)
    cells = dataset(graph.shape[0], obsp={"shared_neighbors": shared})
    with Clock() as clock:
        cells = cells.cluster(QC_column=None, min_cluster_size=1)
    return clock, {"labels": cells.obs["cluster"].to_numpy().astype(np.int64)}


def umap(given: Input):
    knn, distances = given.knn
    slots = {
        "pca": given.points,
        "neighbors": knn.astype(np.uint32),
        # Squares are what it stores.
        "distances": distances**2,
    }
    cells = dataset(len(knn), obsm=slots)
    with Clock() as clock:
        cells = cells.umap(QC_column=None, num_iterations=EPOCHS, hogwild=True, num_threads=2)
    return clock, {"layout": cells.obsm["umap"]}


run({("knn", "brisc"): knn, ("leiden", "brisc"): leiden, ("umap", "brisc"): umap})
