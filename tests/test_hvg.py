"""normalize_total, log1p and highly_variable_genes against scanpy on the same counts."""

import numpy as np
import pytest

from check_hvg import check_hvg
from command import cellmill, ok
from datasets import dataset
from scanpy_reference import genes, kept

NAMES = ["synthetic", "pbmc3k", "mixology", "drawn"]


def hvg(name, folder, *options):
    """var of the result of `cellmill hvg`."""
    import anndata as ad

    target = folder / "hvg.h5ad"
    ok("hvg", dataset(name), "-o", target, "--quiet", *options)
    return ad.read_h5ad(target).var


def scanpys(name, target_sum=1e4, base=None, dtype="float64", **options):
    """var after scanpy's steps on the same counts."""
    return kept(genes, dataset(name), target_sum, base, dtype, tuple(options.items()))


@pytest.mark.parametrize("rows", [None, 7], ids=["ordinary blocks", "blocks of 7"])
@pytest.mark.parametrize("name", NAMES)
def test_top_genes(name, rows, tmp_path):
    theirs = scanpys(name, n_top_genes=2000)
    options = ["--block-rows", rows] if rows else []
    ours = hvg(name, tmp_path, "--n-top-genes", 2000, *options)
    check_hvg(ours, theirs, cut=2000)


@pytest.mark.parametrize("name", NAMES)
def test_top_genes_against_single_precision(name, tmp_path):
    """scanpy on the file's own float32: its roundings may move ties within the tolerance."""
    theirs = scanpys(name, n_top_genes=2000, dtype="float32")
    ours = hvg(name, tmp_path, "--n-top-genes", 2000)
    check_hvg(ours, theirs, cut=2000, tie=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_cut_offs(name, tmp_path):
    theirs = scanpys(name)
    ours = hvg(
        name,
        tmp_path,
        "--min-mean",
        0.0125,
        "--max-mean",
        3,
        "--min-disp",
        0.5,
        "--max-disp",
        "inf",
    )
    check_hvg(ours, theirs)
    assert 0 < ours["highly_variable"].sum() < len(ours)


@pytest.mark.parametrize("name", ["synthetic", "pbmc3k", "mixology"])
def test_median_target(name, tmp_path):
    theirs = scanpys(name, target_sum=None, n_top_genes=1000)
    ours = hvg(name, tmp_path, "--target-sum", "median", "--n-top-genes", 1000)
    check_hvg(ours, theirs, cut=1000)


@pytest.mark.parametrize("target", [1.0, 1e6])
def test_other_targets(target, tmp_path):
    theirs = scanpys("synthetic", target_sum=target, n_top_genes=300)
    ours = hvg("synthetic", tmp_path, "--target-sum", target, "--n-top-genes", 300)
    check_hvg(ours, theirs, cut=300)


@pytest.mark.parametrize("n_bins", [5, 200])
def test_other_bins(n_bins, tmp_path):
    """With 200 bins many hold a single gene, whose normalised dispersion is 1."""
    theirs = scanpys("synthetic", n_bins=n_bins, n_top_genes=300)
    ours = hvg("synthetic", tmp_path, "--n-bins", n_bins, "--n-top-genes", 300)
    check_hvg(ours, theirs, n_bins=n_bins, cut=300)


def test_log_base(tmp_path):
    """A base changes X and uns['log1p']; the flavour undoes it, so the genes stay."""
    if "--log-base" not in cellmill("hvg", "--help").text:
        pytest.skip("--log-base is not an option of this version")
    theirs = scanpys("synthetic", base=2, n_top_genes=300)
    ours = hvg("synthetic", tmp_path, "--log-base", 2, "--n-top-genes", 300)
    check_hvg(ours, theirs, cut=300)


def test_more_genes_asked_than_there_are(tmp_path):
    theirs = scanpys("synthetic", n_top_genes=5000)
    ours = hvg("synthetic", tmp_path, "--n-top-genes", 5000)
    assert (ours["highly_variable"].to_numpy() == theirs["highly_variable"].to_numpy()).all()


def test_run_and_hvg_agree(result, tmp_path):
    ours = hvg("synthetic", tmp_path, "--n-top-genes", 500)
    whole = result("synthetic", "--n-top-genes", 500).var
    for column in ["highly_variable", "means", "dispersions", "dispersions_norm"]:
        assert np.array_equal(ours[column], whole[column], equal_nan=column != "highly_variable"), (
            column
        )
