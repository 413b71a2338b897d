"""Equal bytes for any number of threads, for any budget, every time."""

import hashlib
import shutil

import pytest

from command import ok
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
