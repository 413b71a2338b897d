"""What the tests of the cluster share: clusters of worker processes, and tasks that misbehave."""

import time

import numpy as np
from cellmill.dask import _tasks


def pipeline(cm, path, **read):
    """Every step that a cluster takes part in, from one file."""
    adata = cm.read_h5ad(path, **read)
    cm.pp.normalize_total(adata)
    cm.pp.log1p(adata)
    cm.pp.highly_variable_genes(adata, n_top_genes=150)
    cm.pp.pca(adata, n_comps=20)
    cm.pp.neighbors(adata)
    return adata


def bits(adata) -> dict[str, bytes]:
    """Every number that the steps wrote, as bytes."""
    graphs = {key: adata.obsp[key] for key in ("distances", "connectivities")}
    found = {
        **{key: adata.var[key].to_numpy() for key in adata.var if key.startswith(("m", "d", "h"))},
        "X_pca": adata.obsm["X_pca"],
        "PCs": adata.varm["PCs"],
        "variance": adata.uns["pca"]["variance"],
        "variance_ratio": adata.uns["pca"]["variance_ratio"],
        **{f"{key}.{part}": getattr(g, part) for key, g in graphs.items() for part in _PARTS},
    }
    return {
        key: f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes()
        for key, value in found.items()
    }


_PARTS = ("indptr", "indices", "data")


def slow_down(seconds: float, seed: int | None = None) -> None:
    """Run on a worker: its tasks begin late; with a seed, each by another time."""
    running = _running()
    wait = np.random.default_rng(seed)

    def late(terms):
        time.sleep(seconds if seed is None else seconds * wait.random())
        return running(terms)

    _tasks.running = late


def speed_up() -> None:
    """Run on a worker: undoes :func:`slow_down` and :func:`make_endless`."""
    _tasks.running = _running()
    _tasks.on_spans = getattr(_tasks.on_spans, "original", _tasks.on_spans)


def _running():
    from cellmill.dask._watch import running

    return running


def endless(task, x, spans, name, genes):
    """A fold that ends only because it is told to, between two blocks."""
    from cellmill import _native

    while True:
        _native.fold_chunk(name, x, genes, spans, task)


def make_endless() -> None:
    """Run on a worker: its folds of spans never end."""
    original = _tasks.on_spans

    def on_spans(function, *arguments):
        return original(endless, *arguments)

    on_spans.original = original
    _tasks.on_spans = on_spans
