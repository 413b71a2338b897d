"""``cellmill run --dask``: the command of the wheel on a cluster."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from distributed import LocalCluster

COMMAND = "import sys, cellmill._command as c; sys.exit(c.main())"


def run(path, target, *options, check=True):
    asked = ["run", path, "-o", target, "--n-top-genes", "200", "--n-comps", "8", "--quiet"]
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, asked), *options],
        check=check,
        capture_output=True,
        text=True,
        env=dict(os.environ, DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="2s"),
    )


@pytest.fixture(scope="module")
def result(path, tmp_path_factory):
    """What the same command writes without a cluster."""
    target = tmp_path_factory.mktemp("result") / "result.h5ad"
    run(path, target)
    return target


def test_run_on_a_cluster_writes_what_run_writes(path, result, tmp_path):
    target = tmp_path / "cluster.h5ad"
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        run(path, target, "--dask", cluster.scheduler_address)
        seen = list(cluster.scheduler.task_prefixes)
    assert {"cellmill-run-span", "cellmill-pca-gram", "cellmill-neighbors-exact"} <= set(seen)
    with h5py.File(target) as ours, h5py.File(result) as theirs:
        assert slots(ours) == slots(theirs)
        for name in slots(ours):
            one, other = ours[name][()], theirs[name][()]
            assert np.array_equal(one, other, equal_nan=np.asarray(one).dtype.kind == "f"), name


def slots(file):
    """The names of all arrays."""
    found = []
    file.visititems(lambda name, x: found.append(name) if isinstance(x, h5py.Dataset) else None)
    return sorted(found)


def test_a_cluster_that_is_not_there_is_one_sentence(path, tmp_path):
    found = run(path, tmp_path / "no.h5ad", "--dask", "tcp://127.0.0.1:1", check=False)
    assert found.returncode == 2
    assert "127.0.0.1:1" in found.stderr
    assert not (tmp_path / "no.h5ad").exists()
