"""pca against scanpy's on float64 data."""

import anndata as ad
import numpy as np
import pytest

from check_pca import check_pca
from command import events, ok, refused
from datasets import counts, dataset
from scanpy_reference import components, kept, logged

NAMES = ["synthetic", "pbmc3k", "mixology", "drawn"]


@pytest.mark.parametrize("name", NAMES)
def test_fifty_components(name, result):
    n_top = 500 if name == "synthetic" else 2000
    theirs = kept(components, dataset(name), n_top, 50)
    check_pca(result(name, "--n-top-genes", n_top), theirs, first=45)


@pytest.mark.parametrize("name", ["synthetic", "pbmc3k"])
def test_broken_small(name, result):
    """Blocks of seven cells give the same components."""
    n_top = 500 if name == "synthetic" else 2000
    theirs = kept(components, dataset(name), n_top, 50)
    check_pca(result(name, "--n-top-genes", n_top, "--block-rows", 7), theirs, first=45)


def test_more_genes_than_a_gram_matrix_is_made_of(run, result, tmp_path):
    """Block Krylov: as near to scanpy's as fewer genes are, the same bits for any threads."""
    theirs = kept(components, dataset("pbmc3k"), 6000, 50)
    options = ["--n-top-genes", 6000, "--epochs", 5, "--write-x", "none"]
    ours = result("pbmc3k", *options)
    check_pca(ours, theirs, first=50)
    told = tmp_path / "events.jsonl"
    target = tmp_path / "one.h5ad"
    ok(
        "run",
        dataset("pbmc3k"),
        "-o",
        target,
        *options,
        "--threads",
        1,
        "--events",
        told,
        "--quiet",
    )
    one = ad.read_h5ad(target)
    assert (one.obsm["X_pca"] == ours.obsm["X_pca"]).all()
    assert (one.varm["PCs"] == ours.varm["PCs"]).all()
    stages = [e["stage"] for e in events(told) if e["event"] == "stage_finished"]
    assert stages.count("block Krylov") == 1
    assert "Gram matrix" not in stages


def test_the_plan_names_the_solver():
    for n_top, words, need in [(4096, "Gram", "Gram matrix"), (4097, "Krylov", "block Krylov")]:
        options = ["plan", dataset("pbmc3k"), "--n-top-genes", n_top]
        assert words in ok(*options).out
        plan = ok(*options, "--json").json()
        assert need in [stage["stage"] for stage in plan["needs"]]


def test_many_genes_in_the_least_memory(result, tmp_path):
    """With the smallest budget that the plan says the run ends, with the same bits."""
    options = ["--n-top-genes", 6000, "--epochs", 5, "--write-x", "none"]
    source, target = dataset("pbmc3k"), tmp_path / "r.h5ad"
    least = ok("plan", source, *options, "--threads", 1, "--json").json()["smallest_budget"]
    machine = ["--threads", 1, "--memory", str(least), "--quiet"]
    ok("run", source, "-o", target, *options, *machine)
    assert (ad.read_h5ad(target).obsm["X_pca"] == result("pbmc3k", *options).obsm["X_pca"]).all()
    refused(
        "run",
        source,
        "-o",
        target,
        "--force",
        *options,
        "--memory",
        str(least - 1),
        names=["memory"],
    )


def test_few_components(result):
    theirs = kept(components, dataset("synthetic"), 500, 10)
    adata = result("synthetic", "--n-top-genes", 500, "--n-comps", 10)
    check_pca(adata, theirs, first=8)


def test_scores_are_the_projection(result):
    """X_pca = (X - mean) @ PCs, from the file's own X."""
    adata = result("pbmc3k", "--n-top-genes", 2000)
    x = adata.X.astype(np.float64)
    loadings = adata.varm["PCs"]
    scores = x @ loadings - np.asarray(x.mean(axis=0)) @ loadings
    assert np.abs(np.asarray(scores) - adata.obsm["X_pca"]).max() < 1e-3


def test_variance_is_that_of_the_scores(result):
    adata = result("pbmc3k", "--n-top-genes", 2000)
    variance = adata.obsm["X_pca"].astype(np.float64).var(axis=0, ddof=1)
    assert np.allclose(variance, adata.uns["pca"]["variance"], rtol=1e-4)
    total = logged(counts(dataset("pbmc3k")))[:, adata.var["highly_variable"].to_numpy()].X
    mean = np.asarray(total.mean(axis=0)).ravel()
    square = np.asarray(total.multiply(total).mean(axis=0)).ravel()
    whole = ((square - mean**2) * adata.n_obs / (adata.n_obs - 1)).sum()
    assert np.allclose(adata.uns["pca"]["variance_ratio"] * whole, variance, rtol=1e-4)


def test_pca_step(run, result, tmp_path):
    """`cellmill pca` on a file that has highly_variable gives what the run gave."""
    source = tmp_path / "hvg.h5ad"
    ok("hvg", dataset("synthetic"), "-o", source, "--n-top-genes", 500, "--quiet")
    target = tmp_path / "pca.h5ad"
    ok("pca", source, "-o", target, "--n-comps", 50, "--quiet")
    ours, whole = ad.read_h5ad(target), result("synthetic", "--n-top-genes", 500)
    assert np.allclose(ours.obsm["X_pca"], whole.obsm["X_pca"], atol=1e-4)
    assert np.allclose(ours.varm["PCs"], whole.varm["PCs"], atol=1e-5)
