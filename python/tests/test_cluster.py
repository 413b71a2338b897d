"""On a Dask cluster: the same calls, the same bits."""

import os
import signal
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial

import anndata as ad
import cellmill as cm
import cluster as parts
import dask
import numpy as np
import pytest
import scanpy as sc
from cellmill._engine import Place
from cellmill.dask import _cut, _neighbors
from cellmill.dask._check import check_workers, common_kernel
from cellmill.dask._job import Job
from conftest import chunked
from distributed import Client, LocalCluster, performance_report

BLOCK_ROWS = 150


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """An h5ad file of 9,000 cells, which is enough for the approximate search."""
    target = tmp_path_factory.mktemp("data") / "big.h5ad"
    cm.datasets.simulate(9000, 500, path=target, n_types=8, entries_per_cell=60, seed=5)
    return target


@pytest.fixture(scope="module")
def expected(path, big):
    """What one thread and two threads give, which is the same."""
    cm.settings.engine = "threads"
    try:
        return {file: _in_threads(file) for file in (path, big)}
    finally:
        cm.settings.engine, cm.settings.threads = None, 2


def _in_threads(file):
    found = []
    for threads in (1, 2):
        cm.settings.threads = threads
        found.append(parts.bits(parts.pipeline(cm, file, block_rows=BLOCK_ROWS)))
    assert found[0] == found[1]
    return found[0]


@pytest.fixture(scope="module")
def analysed(big, expected):
    """Every step done, by threads."""
    cm.settings.engine = "threads"
    try:
        return parts.pipeline(cm, big, block_rows=BLOCK_ROWS)
    finally:
        cm.settings.engine = None


@pytest.fixture(autouse=True)
def a_task_for_each_span(monkeypatch):
    """As where spans are large: many tasks."""
    monkeypatch.setattr(_cut, "_CELLS", 0)


def start(n_workers, **options):
    return LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        dashboard_address=None,
        memory_limit="2GiB",
        **options,
    )


@pytest.fixture(scope="module")
def three():
    with start(3) as cluster, Client(cluster) as client:
        yield client


@pytest.fixture
def client(three):
    three.wait_for_workers(3, timeout=60)
    with three.as_current():
        yield three
    three.run(parts.speed_up)


@contextmanager
def doomed(n_workers):
    """The client of workers of whom one will be killed: no later test waits for its return."""
    cluster = start(n_workers)
    try:
        with Client(cluster) as client:
            client.wait_for_workers(n_workers, timeout=60)
            yield client
    finally:
        # A worker that is just starting may hold up the end; it goes with this process.
        with suppress(TimeoutError):
            cluster.close(timeout=60)


def tasks_seen(client):
    """The names of the groups of tasks that the scheduler knows."""
    return client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.task_prefixes))


def test_three_workers_in_any_order(client, path, big, expected):
    client.run(lambda dask_worker: parts.slow_down(0.02, seed=dask_worker.name))
    assert parts.bits(parts.pipeline(cm, path, block_rows=BLOCK_ROWS)) == expected[path]
    assert parts.bits(parts.pipeline(cm, big, block_rows=BLOCK_ROWS)) == expected[big]
    seen = tasks_seen(client)
    for name in ("totals-span", "hvg-span", "hvg-merge", "pca-keep", "pca-gram", "pca-project"):
        assert f"cellmill-{name}" in seen
    for step in ("exact", "plan", "cells", "merge", "pull"):
        assert f"cellmill-neighbors-{step}" in seen


@pytest.mark.parametrize(("cells", "n_tasks"), [(1 << 16, 15), (300, 30)])
def test_a_task_of_several_spans(client, big, expected, monkeypatch, cells, n_tasks):
    monkeypatch.setattr(_cut, "_CELLS", cells)
    seen = []
    on_spans = Job.on_spans

    def counted(job, step, i, function, plan, spans, *rest):
        seen.append((step, spans))
        return on_spans(job, step, i, function, plan, spans, *rest)

    monkeypatch.setattr(Job, "on_spans", counted)
    assert parts.bits(parts.pipeline(cm, big, block_rows=BLOCK_ROWS)) == expected[big]
    for step in ("span", "keep"):
        of_step = sorted({spans for name, spans in seen if name == step})
        assert len(of_step) == n_tasks
        assert [i for spans in of_step for i in range(*spans)] == list(range(60))


def test_how_many_spans_a_task_takes():
    two = [{"threads": 2, "limit": 1000}, {"threads": 1, "limit": 0}]

    def spans(workers, n_spans, cells_a_span, bytes_a_span=1):
        n_cells = n_spans * cells_a_span
        return _cut.spans_of_a_task(workers, n_spans, n_cells, lambda n: n * bytes_a_span)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_cut, "_CELLS", 1000)
        # Four tasks for each of three threads; a thousand cells; 300 bytes for each thread.
        assert spans(two, 97, 10) == 8
        assert spans(two, 97, 125) == 8
        assert spans(two, 97, 126) == 4
        assert spans(two, 97, 10, 75) == 4
        assert spans(two, 97, 10, 301) == 1
        assert spans(two, 22, 10) == 1
        assert spans(two, 97, 1001) == 1
        # Nobody is there yet.
        assert spans([], 97, 10) == 32


@pytest.mark.parametrize("n_workers", [1, 2])
def test_fewer_workers(n_workers, path, big, expected):
    with start(n_workers) as cluster, Client(cluster):
        assert parts.bits(parts.pipeline(cm, path, block_rows=BLOCK_ROWS)) == expected[path]
        if n_workers == 2:
            assert parts.bits(parts.pipeline(cm, big, block_rows=BLOCK_ROWS)) == expected[big]


def test_where_a_call_runs(client, path):
    adata = cm.read_h5ad(path, block_rows=BLOCK_ROWS)

    def tasks(**options):
        client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.task_prefixes.clear())
        cm.pp.normalize_total(adata, inplace=False, **options)
        return any(name.startswith("cellmill-totals") for name in tasks_seen(client))

    assert tasks()
    assert tasks(engine="dask")
    assert tasks(engine=client)
    assert not tasks(engine="threads")
    with dask.config.set(scheduler="threads"):
        assert not tasks()
        with pytest.raises(ValueError, match=r"no distributed\.Client is active"):
            tasks(engine="dask")
    cm.settings.engine = "threads"
    try:
        assert not tasks()
        assert tasks(engine="dask")
    finally:
        cm.settings.engine = None
    for wrong in ("spark", 3):
        with pytest.raises(ValueError, match="engine"):
            tasks(engine=wrong)
        with pytest.raises(ValueError, match="engine"):
            cm.settings.engine = wrong
    with pytest.raises(ValueError, match="matrix in the memory"):
        cm.pp.normalize_total(ad.read_h5ad(path), engine=client)


def kill_while(client, step, call):
    """Kills a worker process when some of a step's tasks are done; returns what `call` gives.

    Another worker takes its place: on a busy machine Dask's nanny does not always restart its own.
    """
    workers = dict(client.run(os.getpid))
    victim = next(iter(workers.values()))
    client.run(parts.slow_down, 0.05)
    done = threading.Event()

    def kill():
        while not done.is_set():
            finished = client.run_on_scheduler(
                lambda dask_scheduler: sum(
                    task.state == "memory" or task.state == "released"
                    for key, task in dask_scheduler.tasks.items()
                    if step in str(key)
                )
            )
            if finished >= 2:
                os.kill(victim, signal.SIGKILL)
                client.cluster.scale(len(workers) + 1)
                return
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        result = call()
    finally:
        done.set()
        killer.join()
    with pytest.raises(ProcessLookupError):
        os.kill(victim, 0)
    return result


def again(adata, step):
    """The call that makes the tasks of a step, and nothing before it."""
    if step.startswith("hvg"):
        cm.pp.highly_variable_genes(adata, n_top_genes=150)
    elif step.startswith("pca"):
        cm.pp.pca(adata, n_comps=20)
    else:
        cm.pp.neighbors(adata)
    return parts.bits(adata)


@pytest.mark.parametrize(
    "step", ["hvg-span", "pca-gram", "pca-project", "neighbors-cells", "neighbors-pull"]
)
def test_a_killed_worker_changes_nothing(analysed, big, expected, step, monkeypatch):
    # Points that are scattered, as those of a large atlas are.
    monkeypatch.setattr(_neighbors, "_SMALL", 0)
    adata = analysed.copy()
    with doomed(3) as client:
        assert kill_while(client, step, lambda: again(adata, step)) == expected[big]


def test_the_only_worker_killed_with_the_points(analysed, big, expected, monkeypatch):
    monkeypatch.setattr(_neighbors, "_SMALL", 0)
    adata = analysed.copy()
    with doomed(1) as client:
        call = partial(again, adata, "neighbors")
        assert kill_while(client, "neighbors-cells", call) == expected[big]


def test_a_late_worker_is_used(path):
    adata = cm.read_h5ad(path, block_rows=7)
    with start(1) as cluster, Client(cluster) as client:
        client.run(parts.slow_down, 0.1)
        late = threading.Timer(0.2, cluster.scale, [2])
        late.start()
        slow = cm.pp.normalize_total(adata, target_sum=1.0, inplace=False)["norm_factor"]
        late.join()
        client.wait_for_workers(2, timeout=60)
        done = client.run(lambda dask_worker: dask_worker.state.executed_count)
        assert len(done) == 2
        assert all(done.values())
    np.testing.assert_array_equal(slow, np.ravel(ad.read_h5ad(path).X.sum(axis=1)))


def test_an_interrupted_client_leaves_nothing(client, path):
    adata = cm.read_h5ad(path, block_rows=BLOCK_ROWS)
    client.run(parts.make_endless)
    over, ran = threading.Event(), []

    def interrupt():
        # Where nothing ever runs, the call is ended all the same.
        until = time.monotonic() + 60
        while not busy(client) and time.monotonic() < until and not over.is_set():
            time.sleep(0.02)
        if not over.wait(0.3):
            ran.extend(busy(client))
            os.kill(os.getpid(), signal.SIGINT)

    hand = threading.Thread(target=interrupt)
    hand.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            cm.pp.normalize_total(adata, inplace=False)
        assert ran
        until = time.monotonic() + 2
        while (left := busy(client)) and time.monotonic() < until:
            time.sleep(0.05)
        assert left == []
        assert client.run_on_scheduler(ours) == []
    finally:
        over.set()
        hand.join()


def ours(dask_scheduler):
    return [str(key) for key in dask_scheduler.tasks if "cellmill" in str(key)]


def busy(client):
    """The tasks of cellmill's that run."""
    running = client.run(lambda dask_worker: list(map(str, dask_worker.active_threads.values())))
    return [key for keys in running.values() for key in keys if "cellmill" in key]


def test_foreign_chunks_fold_where_they_are(client, reference, path):
    """The tutorial's chunks of cells: scanpy's numbers."""
    theirs = reference.copy()
    sc.pp.normalize_total(theirs, target_sum=1e4)
    sc.pp.log1p(theirs)
    sc.pp.highly_variable_genes(theirs, n_top_genes=150)
    sc.pp.pca(theirs, n_comps=20)
    cells, _ = sc.pp.calculate_qc_metrics(reference, percent_top=None)
    reference.X = chunked(reference.X, 250)
    ours, _ = cm.pp.calculate_qc_metrics(reference, percent_top=None)
    np.testing.assert_allclose(ours["total_counts"], cells["total_counts"], rtol=1e-6)
    assert "cellmill-quality-chunk" in tasks_seen(client)
    cm.pp.normalize_total(reference, target_sum=1e4)
    cm.pp.log1p(reference)
    cm.pp.highly_variable_genes(reference, n_top_genes=150)
    cm.pp.pca(reference, n_comps=20)
    assert (reference.var["highly_variable"] == theirs.var["highly_variable"]).all()
    for key in ("means", "dispersions", "dispersions_norm"):
        np.testing.assert_allclose(
            reference.var[key], theirs.var[key], rtol=2e-5, atol=2e-6, err_msg=key
        )
    np.testing.assert_allclose(
        reference.uns["pca"]["variance"], theirs.uns["pca"]["variance"], rtol=1e-5
    )
    np.testing.assert_allclose(reference.obsm["X_pca"], theirs.obsm["X_pca"], atol=2e-3)
    assert {"cellmill-hvg-chunk", "cellmill-pca-keep"} <= set(tasks_seen(client))
    local = reference.copy()
    for engine in ("threads", "dask"):
        cm.pp.pca(local, n_comps=20, engine=engine, key_added=engine)
    assert np.array_equal(local.obsm["threads"], local.obsm["dask"])


def test_regressions_and_highly_expressed_genes(client, reference, path):
    def of(kind, engine):
        adata = cm.read_h5ad(path, block_rows=BLOCK_ROWS) if kind == "file" else reference.copy()
        if kind == "chunks":
            adata.X = chunked(reference.X, 250)
        cm.pp.normalize_total(
            adata, exclude_highly_expressed=True, max_fraction=0.15, key_added="f", engine=engine
        )
        adata = adata[:, :80].copy()
        adata.obs["number"] = np.arange(adata.n_obs) % 7 / 3
        by_type = cm.pp.regress_out(adata, "cell_type", copy=True, engine=engine)
        cm.pp.regress_out(adata, ["f", "number"], engine=engine)
        return adata.obs["f"].to_numpy(), adata.X.compute(), by_type.X.compute()

    for kind in ("file", "chunks"):
        for ours, expected in zip(of(kind, "dask"), of(kind, "threads"), strict=True):
            np.testing.assert_array_equal(ours, expected)
    seen = tasks_seen(client)
    for name in ("expressed-span", "regress-span", "regress-chunk"):
        assert f"cellmill-{name}" in seen


def test_what_a_dask_user_expects(client, path):
    adata = cm.read_h5ad(path, block_rows=BLOCK_ROWS)
    whole = ad.read_h5ad(path).X
    assert (adata.X.compute() != whole).nnz == 0
    cm.pp.log1p(adata)
    lazy = cm.pp.highly_variable_genes(adata, n_top_genes=100, inplace=False)
    adata.X = adata.X.persist()
    persisted = cm.pp.highly_variable_genes(adata, n_top_genes=100, inplace=False)
    assert (lazy["highly_variable"] == persisted["highly_variable"]).all()
    assert "cellmill-hvg-chunk" in tasks_seen(client)
    again = cm.read_h5ad(path, block_rows=BLOCK_ROWS)
    only = next(iter(client.scheduler_info(n_workers=-1)["workers"]))
    before = client.run(lambda dask_worker: dask_worker.state.executed_count)
    with dask.annotate(workers=[only], allow_other_workers=False):
        cm.pp.normalize_total(again)
    after = client.run(lambda dask_worker: dask_worker.state.executed_count)
    assert [address for address in before if after[address] > before[address]] == [only]


def test_a_performance_report_names_the_steps(client, path, tmp_path):
    report = tmp_path / "report.html"
    with performance_report(filename=report):
        parts.pipeline(cm, path, block_rows=BLOCK_ROWS)
    text = report.read_text()
    for name in ("cellmill-hvg-span", "cellmill-pca-keep", "cellmill-neighbors-exact"):
        assert name in text


def test_an_adaptive_cluster_grows_for_the_tasks(big, expected):
    with start(0) as cluster, Client(cluster) as client:
        cluster.adapt(minimum=0, maximum=2, interval="100ms", wait_count=100)
        assert parts.bits(parts.pipeline(cm, big, block_rows=BLOCK_ROWS)) == expected[big]
        assert 1 <= len(client.scheduler_info(n_workers=-1)["workers"]) <= 2


def test_a_changed_file_is_refused(client, path, tmp_path):
    copy = tmp_path / "copy.h5ad"
    copy.write_bytes(path.read_bytes())
    adata = cm.read_h5ad(copy, block_rows=BLOCK_ROWS)
    os.utime(copy, (1, 1))
    with pytest.raises(ValueError, match=r"worker tcp://.*copy\.h5ad.*was written to"):
        cm.pp.normalize_total(adata)
    copy.unlink()
    with pytest.raises(FileNotFoundError, match=r"worker tcp://.*copy\.h5ad"):
        cm.pp.normalize_total(adata)


def set_version(version):
    cm.__version__ = version


def test_another_version_is_refused(client, path):
    adata = cm.read_h5ad(path)
    odd = next(iter(client.scheduler_info(n_workers=-1)["workers"]))
    client.run(set_version, "0.0.9", workers=[odd])
    try:
        with pytest.raises(RuntimeError, match=rf"{odd}.*has cellmill 0\.0\.9, and the client has"):
            cm.pp.normalize_total(adata)
    finally:
        client.run(set_version, cm.__version__, workers=[odd])


def test_too_little_memory_is_refused_before_the_start(client, path):
    adata = cm.read_h5ad(path)
    client.run(set_limit, 1 << 20)
    try:
        with pytest.raises(MemoryError, match=r"hvg needs .* worker tcp.* memory limit of .* MiB"):
            cm.pp.highly_variable_genes(adata, n_top_genes=100)
    finally:
        client.run(set_limit, 2 << 30)
    with pytest.raises(MemoryError, match="neighbors needs"):
        check_workers(client, "neighbors", 3 << 30, shared=True)


def set_limit(limit, dask_worker):
    dask_worker.memory_manager.memory_limit = limit


def test_the_lowest_common_kernel(client, analysed):
    best = [{"kernels": kernels} for kernels in (["avx512", "avx2", "portable"],) * 2]
    assert common_kernel([]) == cm._native.kernels()[0]
    assert common_kernel([*best, {"kernels": ["portable"]}]) == "portable"
    # Enough points for the approximate search by cosine, few enough for the slowest kernel.
    points = np.ascontiguousarray(analysed.obsm["X_pca"][:4200])
    asked = (cm.settings._machine(), points, 15, "cosine", 0)
    theirs = cm._native.neighbors(*asked)
    ours = _neighbors.neighbors(*asked, Place(client), kernel="portable")
    for mine, local in zip(ours[0] + ours[1], theirs[0] + theirs[1], strict=True):
        assert np.array_equal(mine, local)
