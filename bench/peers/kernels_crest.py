"""crest-sc's kernels: Leiden and layout through its calls on a frame without counts.

Its layout begins at its own spectral one, which is part of its seconds.
"""

import crest
import numpy as np
import scipy.sparse as sp
from crest import crest as native
from kernel import EPOCHS, N_NEIGHBORS, Clock, Input, run


def frame(n: int):
    return crest.BioFrame.from_scipy(sp.csr_matrix((n, 2), dtype=np.float32))


def with_graph(given: Input):
    upper = sp.triu(given.graph, 1).tocoo()
    cells = frame(upper.shape[0])
    cells.uns["neighbors"] = {
        "rows": upper.row.astype(np.uint32),
        "cols": upper.col.astype(np.uint32),
        "weights": upper.data.astype(np.float32),
    }
    return cells


def knn(given: Input):
    points = given.points
    with Clock() as clock:
        indices, _ = native.knn_graph(points, N_NEIGHBORS - 1)
    return clock, {"knn": indices.astype(np.int64)}


def fuzzy(given: Input):
    knn, distances = given.knn
    indices, n = knn.astype(np.uint32), len(knn)
    with Clock() as clock:
        rows, cols, weights = native.connectivities(indices, distances, N_NEIGHBORS)
    half = sp.coo_matrix((weights, (rows, cols)), shape=(n, n)).tocsr()
    graph = (half + half.T).tocsr()
    return clock, {"data": graph.data, "indices": graph.indices, "indptr": graph.indptr}


def leiden(given: Input):
    cells = with_graph(given)
    with Clock() as clock:
        crest.tl.leiden(cells, n_iterations=2)
    return clock, {"labels": cells.obs["leiden"].to_numpy().astype(np.int64)}


def umap(given: Input):
    cells = with_graph(given)
    with Clock() as clock:
        crest.tl.umap(cells, n_epochs=EPOCHS)
    return clock, {"layout": cells.obsm["X_umap"]}


run(
    {
        ("knn", "crest"): knn,
        ("fuzzy", "crest"): fuzzy,
        ("leiden", "crest"): leiden,
        ("umap", "crest"): umap,
    }
)
