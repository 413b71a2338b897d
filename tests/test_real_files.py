"""Files that others wrote: `info` reads each, and `run` does its work or says why not."""

import anndata as ad
import numpy as np
import pytest

from command import cellmill, message, ok, refused
from datasets import real

RUNS = [
    "formats_pbmc3k/pbmc3k_200_csr_int32_nocomp.h5ad",
    "formats_pbmc3k/pbmc3k_200_csr_uint16_idx64_lzf.h5ad",
    "fixtures/scvi_tools/brainlarge_dataset_test.h5ad",
    "human_pbmc/pbmc14k_sub3500_raw_csr.h5ad",
]
REFUSED = {
    "fixtures/anndata_archives/archives/v0.11.4/adata.h5ad": ["X"],
    "reference_outputs/scanpy_pbmc3k/pbmc3k_scanpy_processed.h5ad": ["counts"],
    "formats_pbmc3k/pbmc3k_200_f64_layers_raw_gzip.h5ad": ["raw/X", "layers/counts", "--matrix"],
    "fixtures/bpcells_mini/mini_mat_int_64_neg.anndata-v0.12.6.h5ad": ["X"],
}
ANY = [
    *RUNS,
    *REFUSED,
    "fixtures/anndata_archives/archives/v0.5.0/adata.h5ad",
    "fixtures/anndata_archives/archives/v0.7.0/adata.h5ad",
    "fixtures/anndata_archives/archives/v0.7.8/adata.h5ad",
    "fixtures/bpcells_mini/mini_mat.anndata-v0.6.22.h5ad",
    "fixtures/bpcells_mini/mini_mat.anndata-v0.7.h5ad",
    "fixtures/bpcells_mini/mini_mat.anndata-v0.10.9.h5ad",
    "fixtures/bpcells_mini/mini_mat_uint_16.anndata-v0.10.9.h5ad",
    "other_raw/sc_mixology_5batch_raw_csr.h5ad",
]


@pytest.mark.parametrize("name", ANY)
def test_info(name):
    done = cellmill("info", real(name))
    if done.code:
        message(done)
    else:
        assert "cells x" in done.out


@pytest.mark.parametrize("name", RUNS)
def test_run(name, tmp_path):
    target = tmp_path / "result.h5ad"
    ok("run", real(name), "-o", target, "--n-comps", 30, "--n-top-genes", 500, "--quiet")
    adata, source = ad.read_h5ad(target), ad.read_h5ad(real(name))
    assert adata.shape == source.shape
    assert list(adata.obs_names) == list(source.obs_names)
    assert abs(adata.layers["counts"].astype(np.float64) - source.X.astype(np.float64)).max() == 0
    for column in source.obs:
        if str(source.obs[column].dtype) == "category":
            assert list(adata.obs[column].astype(str)) == list(source.obs[column].astype(str))
        else:
            assert (adata.obs[column] == source.obs[column]).all()
    assert np.isfinite(adata.obsm["X_umap"]).all()


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, tmp_path):
    target = tmp_path / "result.h5ad"
    names = [*REFUSED[name], real(name).name]
    refused("run", real(name), "-o", target, names=names, leaves=tmp_path)


@pytest.mark.parametrize("matrix", ["raw/X", "layers/counts"])
def test_chosen_matrix(matrix, tmp_path):
    """Two counts of different gene sets: the one that is named is taken, with its genes."""
    source = real("formats_pbmc3k/pbmc3k_200_f64_layers_raw_gzip.h5ad")
    target = tmp_path / "result.h5ad"
    options = ["--n-comps", 30, "--n-top-genes", 500, "--quiet"]
    ok("run", source, "-o", target, "--matrix", matrix, *options)
    adata, before = ad.read_h5ad(target), ad.read_h5ad(source)
    wanted = before.raw.X if matrix == "raw/X" else before.layers["counts"]
    assert adata.shape == wanted.shape
    assert abs(adata.layers["counts"] - wanted).max() == 0


def test_matrix_that_is_not_there(tmp_path):
    source = real("formats_pbmc3k/pbmc3k_200_csr_int32_nocomp.h5ad")
    target = tmp_path / "result.h5ad"
    refused(
        "run",
        source,
        "-o",
        target,
        "--matrix",
        "layers/none",
        names=["layers/none"],
        leaves=tmp_path,
    )


@pytest.mark.parametrize(
    "name",
    [
        "fixtures/anndata_archives/archives/v0.7.0/adata.h5ad",
        "fixtures/anndata_archives/archives/v0.7.8/adata.h5ad",
    ],
)
def test_old_files_keep_their_elements(name, tmp_path):
    """A step that adds to a file of anndata 0.7 keeps what it holds, legacy categories too."""
    import h5py

    path, target = tmp_path / "old.h5ad", tmp_path / "result.h5ad"
    path.write_bytes(real(name).read_bytes())
    with h5py.File(path, "r+") as file:
        rng = np.random.default_rng(0)
        file["obsm"].create_dataset("X_new", data=rng.normal(size=(30, 5)).astype("f4"))
    ok("neighbors", path, "-o", target, "--use-rep", "X_new", "--n-neighbors", 5, "--quiet")
    before, after = ad.read_h5ad(path), ad.read_h5ad(target)
    assert after.obsp["connectivities"].shape == (30, 30)
    for column in before.obs:
        assert list(after.obs[column].astype(str)) == list(before.obs[column].astype(str)), column
    assert list(after.obs_names) == list(before.obs_names)
    assert (after.raw.X != before.raw.X).nnz == 0
