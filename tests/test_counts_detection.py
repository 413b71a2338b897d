"""Which matrix holds raw counts: found where it is, refused with a reason where it is not."""

import anndata as ad
import numpy as np
import pytest
import scanpy as sc
from scipy import sparse

from command import ok, refused
from datasets import dataset

CELLS = 400


@pytest.fixture(scope="module")
def counts():
    return ad.read_h5ad(dataset("synthetic"))[:CELLS, :300].copy()


def lognorm(adata):
    adata = adata.copy()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    return adata


def raw_in_x(counts):
    return counts


def raw_in_raw(counts):
    adata = lognorm(counts)
    adata.raw = counts
    return adata


def raw_in_a_layer(counts):
    adata = lognorm(counts)
    adata.layers["counts"] = counts.X
    return adata


def scaled_x_and_raw_counts(counts):
    """X as Seurat's scale.data, CSR with every value stored, and counts in raw."""
    adata = lognorm(counts)
    x = adata.X.toarray()
    adata.X = sparse.csr_matrix((x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6))
    adata.raw = counts
    return adata


def counts_of_one_total(counts):
    """Counts thinned to the same total in every cell stay counts."""
    adata = counts.copy()
    rng = np.random.default_rng(3)
    x = adata.X.toarray().astype(int)
    total = int(x.sum(axis=1).min())
    thin = [rng.multivariate_hypergeometric(row, total) for row in x]
    adata.X = sparse.csr_matrix(np.array(thin, "f4"))
    return adata


def normalised_in_both(counts):
    adata = lognorm(counts)
    adata.raw = lognorm(counts)
    return adata


def scaled_only(counts):
    adata = scaled_x_and_raw_counts(counts)
    del adata.raw
    return adata


def one_total(counts):
    """Normalised and not logarithmised: every cell has the same sum."""
    adata = counts.copy()
    sc.pp.normalize_total(adata, target_sum=1e4)
    return adata


def soup(counts):
    """Corrected counts: most stay whole, some lose a fraction to the ambient profile."""
    adata = counts.copy()
    rng = np.random.default_rng(2)
    picked = rng.random(adata.X.nnz) < 0.4
    adata.X.data *= 40
    adata.X.data[picked] -= rng.random(picked.sum()).astype("f4")
    return adata


def written(make, counts, tmp_path):
    path = tmp_path / "m.h5ad"
    make(counts).write_h5ad(path)
    return path


@pytest.mark.parametrize(
    ("make", "address"),
    [
        (raw_in_x, "X"),
        (raw_in_raw, "raw/X"),
        (raw_in_a_layer, "layers/counts"),
        (scaled_x_and_raw_counts, "raw/X"),
        (counts_of_one_total, "X"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_found(make, address, counts, tmp_path):
    text = ok("plan", written(make, counts, tmp_path)).out
    assert f"counts: {address} (all of" in text
    assert ("every cell has the same sum" in text) == (make is counts_of_one_total)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (normalised_in_both, ["X:", "raw/X:", "not whole numbers", "--matrix"]),
        (scaled_only, ["negative", "scale.data"]),
        (one_total, ["not whole numbers", "every cell has the same sum"]),
        (soup, ["not whole numbers", "--fractional"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_refused(make, words, counts, tmp_path):
    path = written(make, counts, tmp_path)
    refused("plan", path, names=words)
    refused("run", path, "-o", tmp_path / "r.h5ad", names=words)
    assert not (tmp_path / "r.h5ad").exists()


def test_fractional_counts_are_taken_when_they_are_said(counts, tmp_path):
    path, target = written(soup, counts, tmp_path), tmp_path / "r.h5ad"
    ok(
        *("run", path, "-o", target, "--fractional", "--n-top-genes", 100),
        *("--n-comps", 5, "--epochs", 5, "--quiet"),
    )
    expected = soup(counts)
    total = np.asarray(expected.X.sum(axis=1)).ravel()
    found = ad.read_h5ad(target)
    np.testing.assert_allclose(found.obs["total_counts"], total, rtol=1e-5)
    assert (found.layers["counts"] != expected.X).nnz == 0


def test_two_different_candidates_are_named(counts, tmp_path):
    def two(counts):
        adata = counts.copy()
        adata.layers["spliced"] = counts.X.copy()
        adata.layers["spliced"].data += 1
        return adata

    path = written(two, counts, tmp_path)
    refused("plan", path, names=["several different", "X:", "layers/spliced:", "--matrix"])
    assert "counts: layers/spliced" in ok("plan", path, "--matrix", "spliced").out
