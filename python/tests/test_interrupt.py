"""Ctrl-C in the middle of a call: KeyboardInterrupt, and the AnnData is as it was."""

import os
import signal
import threading
import time
from types import SimpleNamespace

import anndata as ad
import cellmill as cm
import dask.array as da
import numpy as np
import pytest
from conftest import chunked
from scipy import sparse


def state(adata):
    """Every slot's keys, and what X holds."""
    keys = {key: list(getattr(adata, key)) for key in ("obs", "var", "obsm", "varm", "obsp", "uns")}
    x = adata.X
    values = x.name if isinstance(x, da.Array) else x.data.tobytes()
    return keys, values, list(adata.layers)


@pytest.fixture
def pressed(monkeypatch):
    """Has the first event of a native call press Ctrl-C, in the middle of it."""
    seen = []

    def press(event):
        if not seen:
            seen.append(event)
            os.kill(os.getpid(), signal.SIGINT)

    machine = cm.settings._machine()
    machine = SimpleNamespace(**{**vars(machine), "observe": press})
    monkeypatch.setattr(type(cm.settings), "_machine", lambda self: machine)
    return seen


def with_graph(adata):
    adata.obsm["X_pca"] = np.random.default_rng(0).normal(size=(900, 10)).astype("f4")
    indices = (np.arange(900)[:, None] + np.arange(1, 6)) % 900
    graph = sparse.csr_matrix(
        (np.ones(4500, dtype="f4"), indices.ravel(), np.arange(0, 4501, 5)), shape=(900, 900)
    )
    adata.obsp["connectivities"] = (graph + graph.T).tocsr()
    adata.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "distances_key": "distances",
        "params": {"method": "umap"},
    }
    return adata


CALLS = {
    "normalize_total": lambda a: cm.pp.normalize_total(a, key_added="factor"),
    "highly_variable_genes": lambda a: cm.pp.highly_variable_genes(a, n_top_genes=50),
    "pca": lambda a: cm.pp.pca(a, n_comps=5),
    "pca_lazy": lambda a: cm.pp.pca(a, n_comps=5, lazy=True),
    "neighbors": lambda a: cm.pp.neighbors(a, use_rep="X_pca", key_added="again"),
    "leiden": lambda a: cm.tl.leiden(a),
    "umap": lambda a: cm.tl.umap(a),
}


@pytest.mark.parametrize("kind", ["lazy", "csr"])
@pytest.mark.parametrize("call", CALLS)
def test_native_calls(make, pressed, call, kind):
    if (call, kind) == ("pca_lazy", "csr"):
        pytest.skip("lazy=True needs a lazy matrix")
    adata = with_graph(make(kind))
    before = state(adata)
    with pytest.raises(KeyboardInterrupt):
        CALLS[call](adata)
    assert len(pressed) == 1
    assert state(adata) == before


def test_simulate(pressed, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        cm.datasets.simulate(2_000, 300, path=tmp_path / "atlas.h5ad", entries_per_cell=60)
    assert os.listdir(tmp_path) == []


def slow(x, presses):
    """The chunks of `x`, of which the third presses Ctrl-C."""
    seen = []

    def chunk(block):
        seen.append(None)
        if len(seen) == 3 and presses:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.02)
        return block

    return x.map_blocks(chunk, dtype=x.dtype, meta=x._meta)


@pytest.mark.parametrize(
    "call", ["normalize_total", "highly_variable_genes", "pca", "pca_lazy", "write"]
)
def test_folds_of_foreign_chunks_and_writing(reference, tmp_path, call):
    adata = reference
    adata.X = slow(chunked(reference.X, 3), presses=True)
    before = state(adata)
    calls = {**CALLS, "write": lambda a: cm.write_h5ad(a, tmp_path / "out.h5ad")}
    with pytest.raises(KeyboardInterrupt):
        calls[call](adata)
    assert state(adata) == before
    assert os.listdir(tmp_path) == []
    assert isinstance(adata.X, da.Array)


def test_a_search_of_many_cells_stops_long_before_its_end():
    rng = np.random.default_rng(0)
    adata = ad.AnnData(np.zeros((150_000, 1), dtype="f4"))
    adata.obsm["X_pca"] = rng.normal(size=(150_000, 50)).astype("f4")
    times = []

    def press():
        times.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Timer(0.7, press).start()
    with pytest.raises(KeyboardInterrupt):
        cm.pp.neighbors(adata, 30, use_rep="X_pca")
    assert time.monotonic() - times[0] < 10
    assert list(adata.uns) == []
    assert list(adata.obsp) == []


def test_other_threads_run_meanwhile():
    rng = np.random.default_rng(0)
    adata = ad.AnnData(np.zeros((20_000, 1), dtype="f4"))
    adata.obsm["X_pca"] = rng.normal(size=(20_000, 20)).astype("f4")
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    started = time.monotonic()
    cm.pp.neighbors(adata, 15, use_rep="X_pca")
    ended = time.monotonic()
    done.set()
    thread.join()
    inside = [t for t in ticks if started + 0.2 * (ended - started) < t < ended]
    assert len(inside) > 10
