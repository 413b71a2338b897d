"""Neighbour graphs: a file's own distances and connectivities against exact search and umap."""

import numpy as np
from scipy import sparse

TIE = 1e-6
"""Distances that differ by less than this (relatively) are ties."""
WEIGHT = 1e-5
RECALL, RAREST = 0.95, 0.93


def rows(distances: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours and distances of each point, nearest first; every row holds as many."""
    distances = sparse.csr_matrix(distances)
    k = np.diff(distances.indptr)
    assert (k == k[0]).all(), f"rows hold {k.min()} to {k.max()} neighbours"
    ids = distances.indices.reshape(-1, k[0])
    values = distances.data.reshape(-1, k[0])
    order = np.lexsort((ids, values), axis=1)
    ids, values = np.take_along_axis(ids, order, 1), np.take_along_axis(values, order, 1)
    assert (ids != np.arange(len(ids))[:, None]).all(), "a point is its own neighbour"
    assert (np.diff(np.sort(ids, axis=1), axis=1) > 0).all(), "a neighbour is stored twice"
    return ids, values.astype(np.float64)


def check_exact(distances, exact: tuple[np.ndarray, np.ndarray]):
    """The neighbours are the exact ones, up to ties with the last."""
    ids, values = rows(distances)
    true_ids, true_values = exact
    assert ids.shape == true_ids.shape
    scale = np.maximum(true_values, 1e-3 * true_values.mean())
    error = np.abs(values - true_values) / scale
    assert error.max() < TIE, f"a distance differs by {error.max()} (relative)"
    for i in range(len(ids)):
        other = np.setxor1d(ids[i], true_ids[i])
        if len(other):
            last = true_values[i, -1]
            for where, what in [(ids, values), (true_ids, true_values)]:
                own = np.isin(where[i], other)
                assert (np.abs(what[i][own] - last) <= TIE * max(last, 1e-12) + 1e-9).all(), (
                    f"point {i} has {ids[i]} and not {true_ids[i]}"
                )


def recall(distances, exact: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Of each point: the share of its neighbours that are no farther than the true last one."""
    _, values = rows(distances)
    last = exact[1][:, -1:]
    return (values <= last * (1 + 1e-5) + 1e-9).mean(axis=1)


def check_recall(distances, exact, labels=None):
    found = recall(distances, exact)
    print(
        f"recall: mean {found.mean():.4f}, 5th percentile over cells {np.quantile(found, 0.05):.3f}"
    )
    assert found.mean() >= RECALL
    if labels is not None:
        labels = np.asarray(labels)
        names, sizes = np.unique(labels, return_counts=True)
        rarest = names[sizes.argmin()]
        own = found[labels == rarest].mean()
        print(f"rarest type {rarest} ({sizes.min()} cells): mean {own:.4f}")
        assert own >= RAREST


def fuzzy(distances) -> sparse.csr_matrix:
    """umap-learn's fuzzy set of the same neighbours, as scanpy calls it."""
    from scanpy.neighbors._connectivity import umap

    ids, values = rows(distances)
    own = np.arange(len(ids))[:, None]
    k = ids.shape[1] + 1
    return umap(
        np.hstack([own, ids]).astype(np.int32),
        np.hstack([np.zeros((len(ids), 1)), values]).astype(np.float32),
        n_obs=len(ids),
        n_neighbors=k,
    )


def check_connectivities(adata):
    ours = sparse.csr_matrix(adata.obsp["connectivities"])
    theirs = fuzzy(adata.obsp["distances"])
    assert ours.dtype == np.float32
    assert (ours != ours.T).nnz == 0, "connectivities are not symmetric"
    assert (ours.diagonal() == 0).all()
    assert ours.data.min() > 0
    assert ours.data.max() <= 1 + 1e-6
    error = abs(ours - theirs)
    assert error.max() < WEIGHT, f"connectivities differ by {error.max()}"


def n_components(graph) -> int:
    return sparse.csgraph.connected_components(graph, directed=False)[0]
