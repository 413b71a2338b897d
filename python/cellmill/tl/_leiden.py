"""Clusters."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _native
from .._settings import settings
from .._slots import prepared, seed_of
from ._graph import connectivities, parts


def leiden(
    adata: AnnData,
    resolution: float = 1,
    *,
    restrict_to: tuple[str, Sequence[str]] | None = None,
    random_state: Any = 0,
    key_added: str = "leiden",
    adjacency: Any = None,
    directed: bool | None = None,
    use_weights: bool = True,
    n_iterations: int = -1,
    partition_type: Any = None,
    neighbors_key: str | None = None,
    obsp: str | None = None,
    copy: bool = False,
    flavor: str | None = None,
    **clustering_args: Any,
) -> AnnData | None:
    """Cluster the cells by their neighbour graph.

    Parameters
    ----------
    adata
        The annotated matrix, with a neighbour graph.
    resolution
        Larger values give more clusters.
    restrict_to
        A column of obs, and the clusters of it that are clustered again.
    random_state
        The seed.
    key_added
        The column of obs.
    adjacency, neighbors_key, obsp
        Where the graph is; by default ``uns["neighbors"]`` says it.
    directed
        ``True`` is refused: the graph is symmetric, and is taken as undirected.
    use_weights
        Whether weights count.
    n_iterations
        Iterations; -1 until none gains.
    partition_type
        Refused: it names a class of leidenalg's.
    copy
        Whether to return a copy of `adata`.
    flavor
        ``None`` or ``"igraph"``. ``"leidenalg"`` is refused.
    clustering_args
        ``objective_function``: ``"modularity"`` or ``"CPM"``.

    Returns
    -------
    AnnData or None
        Writes ``obs[key_added]`` (categories ``"0"``, ``"1"``, … by size, the largest first) and
        ``uns[key_added]`` (params, modularity).

    Raises
    ------
    ValueError
        Where there is no neighbour graph, or a group of `restrict_to` is not in the column.
    NotImplementedError
        With ``flavor="leidenalg"``, ``directed=True`` or a `partition_type`.

    Notes
    -----
    Matches :func:`scanpy.tl.leiden` with ``flavor="igraph", directed=False``, in quality; which
    cells form a cluster depends on the program's own random numbers. scanpy's labels of that
    flavour are not in order of size.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.pp.normalize_total(adata, target_sum=1e4)
    >>> cm.pp.log1p(adata)
    >>> cm.pp.pca(adata, n_comps=10)
    >>> cm.pp.neighbors(adata)
    >>> cm.tl.leiden(adata, flavor="igraph", n_iterations=2, directed=False)
    >>> adata.obs["leiden"].cat.categories[0]
    '0'
    """
    if flavor not in (None, "igraph"):
        if flavor == "leidenalg":
            raise NotImplementedError(
                "leiden(flavor='leidenalg') is not there: it runs on a directed graph, and "
                "cellmill's runs as flavor='igraph' does, on an undirected one"
            )
        raise ValueError(f"flavor is {flavor!r}, and must be None or 'igraph'")
    if directed:
        raise NotImplementedError(
            "leiden(directed=True) is not there: the neighbour graph is symmetric and is taken as "
            "undirected, as flavor='igraph' does"
        )
    if partition_type is not None:
        raise NotImplementedError(
            "leiden(partition_type=…) names a class of leidenalg's; give objective_function="
            "'modularity' or 'CPM'"
        )
    objective = clustering_args.pop("objective_function", "modularity")
    if clustering_args:
        raise TypeError(f"leiden has no parameter {next(iter(clustering_args))!r}")
    seed = seed_of(random_state)
    adata = prepared(adata, copy)
    graph = connectivities(adata, neighbors_key, obsp) if adjacency is None else adjacency
    inside = None
    if restrict_to is not None:
        inside, prefix = _restricted(adata, *restrict_to)
        graph = graph.tocsr()[inside][:, inside]
        if key_added == "leiden":
            key_added += "_R"
    asked = SimpleNamespace(
        resolution=float(resolution),
        n_iterations=int(n_iterations),
        seed=seed,
        use_weights=bool(use_weights),
        objective=objective,
    )
    labels, modularity = _native.leiden(settings._machine(), parts(graph), asked)
    if restrict_to is None:
        codes = labels.astype(np.int32)
        categories = [str(i) for i in range(codes.max(initial=-1) + 1)]
        column = pd.Categorical.from_codes(codes, categories=categories)
    else:
        groups = adata.obs[restrict_to[0]].astype(str).to_numpy(dtype=object)
        groups[inside] = [f"{prefix},{label}" for label in labels]
        column = pd.Categorical(groups, categories=_natural(set(groups)))
    adata.obs[key_added] = column
    adata.uns[key_added] = {
        "params": {
            "resolution": resolution,
            "random_state": random_state,
            "n_iterations": n_iterations,
        },
        "modularity": modularity,
    }
    return adata if copy else None


def _restricted(adata: AnnData, key: str, groups: Sequence[str]) -> tuple[np.ndarray, str]:
    column = adata.obs[key]
    known = set(column.astype(str))
    for group in groups:
        if group not in known:
            raise ValueError(f"{group!r} is not a valid category for obs[{key!r}]")
    return column.astype(str).isin(list(groups)).to_numpy(), "-".join(groups)


def _natural(names: set[str]) -> list[str]:
    """The names in natural order: numbers inside them count as numbers."""
    import re

    def key(name: str) -> list:
        return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d+)", name)]

    return sorted(names, key=key)
