"""Equal bytes for any number of threads, for any budget, every time."""

import hashlib
import shutil

import pytest

from command import ok, refused
from datasets import dataset

VARIANTS = {
    "again": [],
    "1 thread": ["--threads", 1],
    "2 threads": ["--threads", 2],
    "5 threads": ["--threads", 5],
    "1G": ["--memory", "1G"],
    "8G": ["--memory", "8G"],
    "1G, 5 threads": ["--memory", "1G", "--threads", 5],
}


def digest(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["synthetic", "drawn"])
def test_equal_bytes(name, variant, run, tmp_path):
    target = tmp_path / "other-name.h5ad"
    ok("run", dataset(name), "-o", target, "--quiet", *VARIANTS[variant])
    assert digest(target) == digest(run(name))


def test_equal_bytes_in_blocks_of_seven(run, tmp_path):
    target = tmp_path / "result.h5ad"
    ok("run", dataset("synthetic"), "-o", target, "--quiet", "--block-rows", 7, "--threads", 5)
    assert digest(target) == digest(run("synthetic", "--block-rows", 7, "--threads", 1))


def test_equal_bytes_elsewhere(run, tmp_path):
    """Neither the path nor the folder of work is in the result."""
    shutil.copy(dataset("synthetic"), tmp_path / "copy.h5ad")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    ok("run", "copy.h5ad", "-o", "result.h5ad", "--quiet", "--scratch", "scratch", cwd=tmp_path)
    assert digest(tmp_path / "result.h5ad") == digest(run("synthetic"))
    assert not list(scratch.iterdir())


def test_equal_bytes_in_the_least_memory(tmp_path):
    """What has no room beside a step waits in scratch."""
    source, scratch = tmp_path / "cells.h5ad", tmp_path / "scratch"
    scratch.mkdir()
    sizes = ["--cells", 100_000, "--genes", 120, "--entries-per-cell", 20]
    ok("simulate", source, *sizes, "--quiet")
    few = ["--n-top-genes", 60, "--n-comps", 20, "--epochs", 5, "--write-x", "none"]
    machine = ["--threads", 1, "--scratch", scratch, "--memory"]
    plan = ok("plan", source, *few, *machine, "1G", "--json").json()
    assert plan["scratch"] == 0
    least = plan["smallest_budget"]
    assert ok("plan", source, *few, *machine, least, "--json").json()["scratch"] > 20_000_000
    told = ok("run", source, "-o", tmp_path / "much.h5ad", *few, *machine, "1G").err
    assert "set aside" not in told
    told = ok("run", source, "-o", tmp_path / "least.h5ad", *few, *machine, least).err
    assert "set aside in scratch, so that the next step fits the budget: the distances" in told
    assert digest(tmp_path / "least.h5ad") == digest(tmp_path / "much.h5ad")
    assert not list(scratch.iterdir())
    refused("run", source, "-o", tmp_path / "r.h5ad", *few, *machine, least - 1, names=["memory"])


@pytest.mark.parametrize("write", ["counts", "hvg", "none"])
def test_equal_bytes_whatever_is_written(write, run, tmp_path):
    target = tmp_path / "result.h5ad"
    options = ["--write-x", write, "--quiet", "--threads", 5]
    ok("run", dataset("synthetic"), "-o", target, *options)
    assert digest(target) == digest(run("synthetic", "--write-x", write))


def test_numbers_do_not_depend_on_what_is_written(result):
    import numpy as np

    whole = result("synthetic")
    for write in ("counts", "none"):
        other = result("synthetic", "--write-x", write)
        for key in ("X_pca", "X_umap"):
            assert np.array_equal(other.obsm[key], whole.obsm[key])
        assert other.obs["leiden"].equals(whole.obs["leiden"])
