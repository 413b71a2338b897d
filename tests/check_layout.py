"""A UMAP layout against umap-learn's on the same graph, by what a layout is for."""

import numpy as np
from scipy import sparse
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

A, B = 0.5830300205483709, 1.334166992455648
NEGATIVES = 5
SAMPLE = 200_000


def similarity(square: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + A * square**B)


def loss(layout: np.ndarray, connectivities) -> float:
    """What the sampling of umap-learn minimises on average, per unit of edge weight."""
    layout = layout.astype(np.float64)
    edges = sparse.coo_matrix(connectivities)
    weight = edges.data.astype(np.float64)
    square = ((layout[edges.row] - layout[edges.col]) ** 2).sum(axis=1)
    attract = (weight * -np.log(similarity(square))).sum() / weight.sum()
    rng = np.random.default_rng(0)
    degree = np.asarray(sparse.csr_matrix(connectivities).sum(axis=1)).ravel().astype(np.float64)
    head = rng.choice(len(layout), SAMPLE, p=degree / degree.sum())
    tail = rng.integers(0, len(layout), SAMPLE)
    head, tail = head[head != tail], tail[head != tail]
    square = ((layout[head] - layout[tail]) ** 2).sum(axis=1)
    repel = -np.log(np.maximum(1 - similarity(square), 1e-4)).mean()
    return attract + NEGATIVES * repel


def kept_neighbours(layout: np.ndarray, points: np.ndarray, k: int) -> float:
    """The share of k nearest neighbours among the points that are so in the layout."""

    def nearest(x):
        found = NearestNeighbors(n_neighbors=k + 1).fit(x).kneighbors(x, return_distance=False)
        return found

    high, low = nearest(points), nearest(layout)
    rows = np.arange(len(points))[:, None] * np.int64(len(points))
    both = np.intersect1d((high + rows).ravel(), (low + rows).ravel()).size
    return (both - len(points)) / (k * len(points))


def purity(layout: np.ndarray, labels: np.ndarray) -> float:
    found = NearestNeighbors(n_neighbors=16).fit(layout).kneighbors(layout, return_distance=False)
    return float((labels[found[:, 1:]] == labels[:, None]).mean())


def distance_rank(layout: np.ndarray, points: np.ndarray) -> float:
    """Spearman correlation of the distances of random pairs."""
    from scipy.stats import spearmanr

    rng = np.random.default_rng(1)
    a, b = rng.integers(0, len(points), (2, 50_000))
    high = np.linalg.norm(points[a] - points[b], axis=1)
    low = np.linalg.norm(layout[a] - layout[b], axis=1)
    return float(spearmanr(high, low).statistic)


def torn(layout: np.ndarray, labels: np.ndarray) -> int:
    """How many pieces of a tenth or more the types lie in, beyond one each."""
    pieces = 0
    for name in np.unique(labels):
        own = layout[labels == name]
        if len(own) < 50:
            continue
        graph = NearestNeighbors(n_neighbors=10).fit(own).kneighbors_graph()
        _, part = sparse.csgraph.connected_components(graph, directed=False)
        pieces += max(0, int((np.bincount(part) >= len(own) / 10).sum()) - 1)
    return pieces


def measures(layout, connectivities, points, labels) -> dict[str, float]:
    rng = np.random.default_rng(2)
    some = rng.permutation(len(layout))[:5000]
    return {
        "loss": loss(layout, connectivities),
        **{f"kept {k}": kept_neighbours(layout, points, k) for k in (15, 30, 50)},
        "silhouette": float(silhouette_score(layout[some], labels[some])),
        "purity": purity(layout, labels),
        "distance rank": distance_rank(layout, points),
        "torn": torn(layout, labels),
    }


NOISE = {
    "loss": 0.02,
    "kept 15": 0.008,
    "kept 30": 0.008,
    "kept 50": 0.008,
    "silhouette": 0.05,
    "purity": 0.01,
    "distance rank": 0.10,
    "torn": 1,
}
"""How much worse than the worst of umap-learn's runs a layout may be: about the noise of seeds.
The loss is relative; everything else is absolute."""


def check_layout(ours: list[np.ndarray], theirs: list[np.ndarray], connectivities, points, labels):
    """The median of our seeds against the worst of umap-learn's.

    One seed against a few says little where a layout hangs on luck: on sc_mixology the silhouette
    of umap-learn's own runs lies between 0.13 and 0.29 (24 seeds), by where its islands land.
    """
    for layout in ours:
        assert layout.dtype == np.float32
        assert np.isfinite(layout).all()
    labels = np.asarray(labels).astype(str)
    labels = np.where(labels == "nan", "unknown", labels)
    own = [measures(x, connectivities, points, labels) for x in ours]
    ref = [measures(x, connectivities, points, labels) for x in theirs]
    for what in own[0]:
        value, values = float(np.median([r[what] for r in own])), [r[what] for r in ref]
        print(f"{what}: {value:.4f}, umap-learn {[round(v, 4) for v in values]}")
        if what == "loss":
            assert value <= max(values) * (1 + NOISE[what]), what
        elif what == "torn":
            assert value <= max(values) + NOISE[what], what
        else:
            assert value >= min(values) - NOISE[what], what
