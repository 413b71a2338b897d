"""The kernels that scanpy calls, each called on little data first, so that numba compiles."""

import sys
from pathlib import Path

import anndata as ad
import numpy as np
import scanpy as sc
import scipy.sparse as sp
from kernel import EPOCHS, N_NEIGHBORS, Clock, Input, run
from scanpy_steps import nearest

sys.path.insert(0, str(Path(__file__).parents[2] / "crates/cellmill-graph/examples"))
FEW = 2000


def pynndescent(given: Input):
    from pynndescent import PyNNDescentTransformer

    points = given.points
    n = len(points)

    def search(x):
        # As scanpy sets it where no transformer is given.
        return PyNNDescentTransformer(
            n_neighbors=N_NEIGHBORS,
            metric="euclidean",
            random_state=0,
            n_jobs=2,
            n_trees=min(64, 5 + round(n**0.5 / 20.0)),
            n_iters=max(5, round(np.log2(n))),
        ).fit_transform(x)

    search(points[:FEW])
    with Clock() as clock:
        found = search(points)
    return clock, {"knn": nearest(found.tocsr(), N_NEIGHBORS - 1)}


def annoy(given: Input):
    from sklearn_ann.kneighbors.annoy import AnnoyTransformer

    points = given.points
    with Clock() as clock:
        found = AnnoyTransformer(n_neighbors=N_NEIGHBORS).fit_transform(points)
    return clock, {"knn": nearest(found.tocsr(), N_NEIGHBORS - 1)}


def fuzzy_set(given: Input):
    from umap.umap_ import fuzzy_simplicial_set

    knn, distances = given.knn
    # umap-learn counts the point itself.
    own = np.arange(len(knn))[:, None]
    knn = np.hstack([own, knn])
    distances = np.hstack([np.zeros((len(knn), 1), np.float32), distances])

    def build(n):
        empty = sp.coo_matrix((n, 1))
        # Little data for the compiler: neighbours are kept inside it.
        indices = knn[:n] % n
        return fuzzy_simplicial_set(
            empty, N_NEIGHBORS, None, None, knn_indices=indices, knn_dists=distances[:n]
        )[0]

    build(min(FEW, len(knn)))
    with Clock() as clock:
        graph = build(len(knn))
    graph = graph.tocsr()
    graph.sort_indices()
    return clock, {"data": graph.data, "indices": graph.indices, "indptr": graph.indptr}


def igraph(given: Input):
    graph = given.graph
    empty = ad.AnnData(obs={"place": np.arange(graph.shape[0])})
    with Clock() as clock:
        sc.tl.leiden(empty, adjacency=graph, flavor="igraph", n_iterations=2, directed=False)
    return clock, {"labels": empty.obs["leiden"].cat.codes.to_numpy().astype(np.int64)}


def umap_learn(given: Input):
    from compare_umap import reference
    from umap.spectral import spectral_layout

    graph, start = given.graph, given.start
    reference(graph[:FEW, :FEW], start[:FEW], 2, 0)
    with Clock() as first:
        spectral_layout(None, graph, 2, np.random.RandomState(0))
    with Clock() as clock:
        layout = reference(graph, start, EPOCHS, 0)
    return clock, {"layout": layout}, {"init_seconds": first.seconds}


if __name__ == "__main__":
    run(
        {
            ("knn", "pynndescent"): pynndescent,
            ("knn", "annoy"): annoy,
            ("fuzzy", "umap-learn"): fuzzy_set,
            ("leiden", "igraph"): igraph,
            ("umap", "umap-learn"): umap_learn,
        }
    )
