"""The synthetic atlas: readable, reproducible, and like real counts."""

import anndata as ad
import h5py
import numpy as np
import pytest

from command import ok, refused
from datasets import counts, real

CELLS, GENES = 3000, 2500


def simulate(target, *options):
    ok("simulate", target, "--cells", CELLS, "--genes", GENES, "--quiet", *options)
    return target


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    path = tmp_path_factory.mktemp("simulate") / "atlas.h5ad"
    return simulate(path, "--entries-per-cell", 400)


@pytest.fixture(scope="module")
def adata(atlas):
    return ad.read_h5ad(atlas)


def test_layout(atlas, adata):
    """As CELLxGENE gives it: raw/X CSR f32 gzip, Ensembl-like ids with feature_name."""
    assert adata.shape == (CELLS, GENES)
    with h5py.File(atlas) as file:
        matrix = file["raw/X"]
        assert matrix.attrs["encoding-type"] == "csr_matrix"
        assert matrix["data"].dtype == np.float32
        assert matrix["data"].compression == "gzip"
    assert adata.raw.shape == (CELLS, GENES)
    assert adata.raw.var_names.str.startswith("ENS").all()
    assert adata.raw.var_names.is_unique
    assert "feature_name" in adata.raw.var
    assert adata.obs_names.is_unique


def test_values_are_counts(adata):
    x = adata.raw.X
    assert (x.data > 0).all()
    assert (x.data == np.round(x.data)).all()
    assert x.has_sorted_indices
    x.check_format(full_check=True)
    assert 280 < np.diff(x.indptr).mean() < 520


def test_truth_in_obs(adata):
    words = " ".join(adata.obs.columns)
    assert "type" in words
    assert "batch" in words
    assert "sample" in words
    key = next(c for c in adata.obs if "type" in c)
    share = adata.obs[key].value_counts(normalize=True)
    assert len(share) > 3


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_equal_bytes(threads, atlas, tmp_path):
    other = simulate(tmp_path / "other.h5ad", "--entries-per-cell", 400, "--threads", threads)
    assert other.read_bytes() == atlas.read_bytes()


def test_seeds_differ(adata, tmp_path):
    other = ad.read_h5ad(simulate(tmp_path / "other.h5ad", "--entries-per-cell", 400, "--seed", 1))
    assert (other.raw.X != adata.raw.X).nnz > 0


def test_statistics_of_real_counts(adata):
    """Totals are log-normal, variance exceeds the mean as in real data, genes span decades."""
    x = adata.raw.X.astype(np.float64)
    total = np.asarray(x.sum(axis=1)).ravel()
    assert 0.2 < np.log(total).std() < 1.0
    mean = np.asarray(x.mean(axis=0)).ravel()
    square = np.asarray(x.multiply(x).mean(axis=0)).ravel()
    variance = square - mean**2
    high = mean > np.quantile(mean, 0.9)
    assert (variance[high] > mean[high]).mean() > 0.9
    seen = mean[mean > 0]
    assert np.quantile(seen, 0.99) / np.quantile(seen, 0.1) > 100


def test_types_can_be_found(adata, atlas, tmp_path):
    from sklearn.metrics import adjusted_rand_score

    target = tmp_path / "result.h5ad"
    ok("run", atlas, "-o", target, "--n-top-genes", 1000, "--quiet")
    result = ad.read_h5ad(target)
    key = next(c for c in adata.obs if "type" in c)
    assert adjusted_rand_score(result.obs["leiden"], adata.obs[key]) > 0.3


def test_types_and_batches(tmp_path):
    target = tmp_path / "atlas.h5ad"
    ok(
        "simulate", target, "--cells", 1000, "--genes", 500, "--entries-per-cell", 100,
        "--types", 5, "--batches", 3, "--quiet",
    )  # fmt: skip
    adata = ad.read_h5ad(target)
    key = next(c for c in adata.obs if "type" in c)
    batch = next(c for c in adata.obs if "batch" in c)
    assert adata.obs[key].nunique() == 5
    assert adata.obs[batch].nunique() == 3


def test_from_real_cells(tmp_path):
    source, target = real("human_pbmc/pbmc3k_raw_csr.h5ad"), tmp_path / "atlas.h5ad"
    ok("simulate", target, "--cells", 4000, "--from", source, "--quiet")
    adata, x = ad.read_h5ad(target), counts(source)
    made = adata.raw.X if adata.raw is not None else adata.X
    assert made.shape == (4000, x.shape[1])
    assert (made.data == np.round(made.data)).all()
    ours = np.asarray(made.mean(axis=0)).ravel()
    theirs = np.asarray(x.mean(axis=0)).ravel()
    often = theirs > 0.1
    assert np.corrcoef(np.log(ours[often] + 1e-9), np.log(theirs[often]))[0, 1] > 0.95
    assert (ours[theirs == 0] == 0).all()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--cells", 0, "--genes", 10], "cells"),
        (["--cells", 10, "--genes", 0], "genes"),
        (["--cells", 10, "--genes", 10, "--entries-per-cell", 11], "entries"),
    ],
)
def test_impossible_sizes(options, word, tmp_path):
    refused("simulate", tmp_path / "atlas.h5ad", *options, names=[word], leaves=tmp_path)
