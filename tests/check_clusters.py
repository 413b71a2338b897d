"""A clustering against igraph's, on the same graph."""

import numpy as np
import pandas as pd
from natsort import natsorted
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from scanpy_reference import graph

SLACK = 1e-4
"""Of modularity, absolute: a tenth of what seeds make of it."""

WORST = 5e-4
"""The same for the worst of ten seeds, which is itself half a thousandth more or less by luck."""


def modularity(g, labels, resolution=1.0) -> float:
    codes = pd.factorize(np.asarray(labels))[0]
    return g.modularity(codes.tolist(), weights="weight", resolution=resolution)


def check_labels(column: pd.Series):
    """Strings, by size, in natural order."""
    assert isinstance(column.dtype, pd.CategoricalDtype)
    categories = list(column.cat.categories)
    assert categories == natsorted(categories)
    assert categories == [str(i) for i in range(len(categories))]
    sizes = column.value_counts().reindex(categories).to_numpy()
    assert (np.diff(sizes) <= 0).all(), f"labels are not by size: {sizes}"
    assert not column.isna().any()


def check_connected(connectivities, labels):
    """No community falls apart."""
    connectivities, labels = sparse.csr_matrix(connectivities), np.asarray(labels)
    for name in np.unique(labels):
        inside = np.flatnonzero(labels == name)
        part = connectivities[inside][:, inside]
        n, _ = sparse.csgraph.connected_components(part, directed=False)
        assert n == 1, f"community {name} is in {n} pieces"


def f1(labels, truth, name) -> float:
    """How well the best community finds the cells of one type."""
    own = np.asarray(truth) == name
    best = 0.0
    for community in np.unique(labels):
        inside = np.asarray(labels) == community
        both = (own & inside).sum()
        if both:
            best = max(best, 2 * both / (own.sum() + inside.sum()))
    return best


def check_clusterings(connectivities, ours, theirs, *, resolution=1.0, truth=None):
    """`ours` and `theirs`: labels, once a seed."""
    g = graph(connectivities)
    own = np.array([modularity(g, labels, resolution) for labels in ours])
    ref = np.array([modularity(g, labels, resolution) for labels in theirs])
    print(
        f"modularity: {own.mean():.5f} ({own.min():.5f}), igraph {ref.mean():.5f} ({ref.max():.5f})"
    )
    assert own.mean() >= ref.mean() - SLACK
    assert own.min() >= ref.min() - WORST

    between = [adjusted_rand_score(a, b) for i, a in enumerate(theirs) for b in theirs[i + 1 :]]
    cross = [np.mean([adjusted_rand_score(a, b) for b in theirs]) for a in ours]
    print(
        f"ARI: ours to igraph {min(cross):.3f} to {max(cross):.3f}, igraph least {min(between):.3f}"
    )
    assert min(cross) >= min(between)

    def within(measure, what, slack=0.0):
        a, b = [measure(x) for x in ours], [measure(x) for x in theirs]
        print(f"{what}: ours {sorted(a)}, igraph {min(b)} to {max(b)}")
        assert min(b) - slack <= np.median(a) <= max(b) + slack, what

    within(lambda x: len(np.unique(x)), "communities")
    within(lambda x: int(np.unique(x, return_counts=True)[1].max()), "largest community", 1)
    if truth is not None:
        names, sizes = np.unique(np.asarray(truth).astype(str), return_counts=True)
        rarest = names[sizes.argmin()]
        a = [f1(x, np.asarray(truth).astype(str), rarest) for x in ours]
        b = [f1(x, np.asarray(truth).astype(str), rarest) for x in theirs]
        print(f"F1 of {rarest}: ours {np.median(a):.3f}, igraph {min(b):.3f} to {max(b):.3f}")
        assert np.median(a) >= min(b) - 0.01
