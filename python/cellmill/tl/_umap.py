"""The layout."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from anndata import AnnData

from .. import _native
from .._settings import settings
from .._slots import prepared, seed_of
from ._graph import connectivities, parts


def umap(
    adata: AnnData,
    *,
    min_dist: float = 0.5,
    spread: float = 1.0,
    n_components: int = 2,
    maxiter: int | None = None,
    alpha: float = 1.0,
    gamma: float = 1.0,
    negative_sample_rate: int = 5,
    init_pos: Any = "spectral",
    random_state: Any = 0,
    a: float | None = None,
    b: float | None = None,
    method: str = "umap",
    key_added: str | None = None,
    neighbors_key: str = "neighbors",
    copy: bool = False,
) -> AnnData | None:
    """Lay the neighbour graph out.

    Parameters
    ----------
    adata
        The annotated matrix, with a neighbour graph.
    min_dist, spread
        Least distance of points, and scale of the layout.
    n_components
        Dimensions.
    maxiter
        Epochs; ``None``: 500 up to 10,000 cells, else 200.
    alpha, gamma, negative_sample_rate
        Learning rate, weight of repulsion, repulsions for each attraction.
    init_pos
        ``"spectral"``, ``"random"``, an element of obsm, or coordinates. ``"paga"`` is not there.
    random_state
        The seed.
    a, b
        The curve itself, in place of `min_dist` and `spread`.
    method
        ``"umap"``; ``"rapids"`` is not there.
    key_added
        The name in obsm and uns.
    neighbors_key
        The entry of uns that names the graph.
    copy
        Whether to return a copy of `adata`.

    Returns
    -------
    AnnData or None
        Writes ``obsm["X_umap"]`` (cells x dimensions, float32) and ``uns["umap"]``.

    Raises
    ------
    ValueError
        Where there is no neighbour graph, or `init_pos` has another shape.
    NotImplementedError
        For another `method`, and with ``init_pos="paga"``.

    Notes
    -----
    Matches :func:`scanpy.tl.umap`, in quality; the same numbers for any number of threads.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> cm.pp.normalize_total(adata, target_sum=1e4)
    >>> cm.pp.log1p(adata)
    >>> cm.pp.pca(adata, n_comps=10)
    >>> cm.pp.neighbors(adata)
    >>> cm.tl.umap(adata)
    >>> adata.obsm["X_umap"].shape
    (500, 2)
    """
    if method != "umap":
        raise NotImplementedError(f"umap(method={method!r}) is not there; only 'umap' is")
    if neighbors_key is None:
        neighbors_key = "neighbors"
    if neighbors_key not in adata.uns:
        raise ValueError(f'Did not find .uns["{neighbors_key}"]. Run `sc.pp.neighbors` first.')
    seed = seed_of(random_state)
    adata = prepared(adata, copy)
    if a is None or b is None:
        a, b = _native.find_ab(float(spread), float(min_dist))
    init, points = _begin(adata, init_pos, n_components)
    asked = SimpleNamespace(
        a=float(a),
        b=float(b),
        n_epochs=None if not maxiter else int(maxiter),
        alpha=float(alpha),
        gamma=float(gamma),
        negative_sample_rate=int(negative_sample_rate),
        n_components=int(n_components),
        seed=seed,
        init=init,
    )
    graph = parts(connectivities(adata, neighbors_key))
    layout = _native.umap(settings._machine(), graph, asked, points)
    params: dict[str, Any] = {"a": a, "b": b}
    if random_state != 0:
        params["random_state"] = random_state
    adata.obsm["X_umap" if key_added is None else key_added] = layout
    adata.uns["umap" if key_added is None else key_added] = {"params": params}
    return adata if copy else None


def _begin(adata: AnnData, init_pos: Any, n_components: int) -> tuple[str, np.ndarray | None]:
    """Where the layout begins: its name, and points or coordinates."""
    if isinstance(init_pos, str) and init_pos in adata.obsm:
        init_pos = adata.obsm[init_pos]
    if init_pos is None:
        init_pos = "spectral"
    if isinstance(init_pos, str):
        if init_pos == "paga":
            raise NotImplementedError("umap(init_pos='paga') is not there; give coordinates")
        if init_pos == "random":
            return "random", None
        if init_pos != "spectral":
            raise ValueError(
                f"init_pos is {init_pos!r}, and must be 'spectral', 'random', one of "
                f"{list(adata.obsm)} or coordinates"
            )
        pca = adata.obsm.get("X_pca")
        pca = np.ascontiguousarray(pca, dtype=np.float32) if isinstance(pca, np.ndarray) else None
        return "spectral", pca
    given = np.ascontiguousarray(init_pos, dtype=np.float32)
    if given.shape != (adata.n_obs, n_components):
        raise ValueError(
            f"init_pos has shape {given.shape}, and must be {adata.n_obs} x {n_components}"
        )
    return "given", given
