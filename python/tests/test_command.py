"""Native, foreign and the command line: one file, one result."""

import subprocess
import sys

import anndata as ad
import cellmill as cm
import numpy as np
import pytest
from conftest import chunked, dense


@pytest.fixture(scope="module")
def result(path, tmp_path_factory):
    """What `cellmill run` makes of the file, run as the wheel's own command."""
    target = tmp_path_factory.mktemp("result") / "result.h5ad"
    command = "import sys, cellmill._command as c; sys.exit(c.main())"
    options = ["run", path, "-o", target, "--n-top-genes", "200", "--n-comps", "8", "--quiet"]
    subprocess.run([sys.executable, "-c", command, *map(str, options)], check=True)
    return ad.read_h5ad(target)


def analysed(adata):
    cm.pp.normalize_total(adata, target_sum=1e4)
    cm.pp.log1p(adata)
    cm.pp.highly_variable_genes(adata, n_top_genes=200)
    cm.pp.pca(adata, n_comps=8)
    cm.pp.neighbors(adata)
    cm.tl.leiden(adata, n_iterations=2)
    cm.tl.umap(adata)
    return adata


def test_native_is_the_command_to_the_last_bit(path, result):
    ours = analysed(cm.read_h5ad(path))
    assert (dense(ours.X) != result.X).sum() == 0
    for column in ("means", "dispersions", "dispersions_norm", "highly_variable"):
        np.testing.assert_array_equal(ours.var[column], result.var[column])
    np.testing.assert_array_equal(ours.obsm["X_pca"], result.obsm["X_pca"])
    np.testing.assert_array_equal(ours.varm["PCs"], result.varm["PCs"])
    assert (ours.obsp["connectivities"] != result.obsp["connectivities"]).nnz == 0
    assert (ours.obs["leiden"] == result.obs["leiden"]).all()
    np.testing.assert_array_equal(ours.obsm["X_umap"], result.obsm["X_umap"])


def test_foreign_chunks_agree_with_the_file(path):
    native, foreign = (cm.read_h5ad(path) for _ in range(2))
    foreign.X = chunked(foreign.X.compute(), 100)
    assert "foreign" in cm.explain(foreign)
    for adata in (native, foreign):
        cm.pp.normalize_total(adata)
        cm.pp.log1p(adata)
        cm.pp.highly_variable_genes(adata, n_top_genes=200)
        cm.pp.pca(adata, n_comps=8)
    np.testing.assert_array_equal(native.var["highly_variable"], foreign.var["highly_variable"])
    np.testing.assert_allclose(native.var["means"], foreign.var["means"], rtol=1e-6)
    np.testing.assert_allclose(native.obsm["X_pca"], foreign.obsm["X_pca"], atol=1e-5)


def test_foreign_results_do_not_depend_on_the_scheduler(path):
    import dask

    found = []
    for scheduler in ("synchronous", "threads"):
        adata = cm.read_h5ad(path)
        adata.X = chunked(adata.X.compute(), 33)
        with dask.config.set(scheduler=scheduler):
            cm.pp.normalize_total(adata)
            cm.pp.pca(adata, n_comps=5)
        found.append(adata.obsm["X_pca"])
    np.testing.assert_array_equal(*found)


def test_chunks_along_genes_are_refused(path):
    adata = cm.read_h5ad(path)
    import dask.array as da

    adata.X = da.from_array(dense(adata.X), chunks=(300, 300))
    with pytest.raises(ValueError, match="rechunk"):
        cm.pp.pca(adata)
    cm.pp.pca(ad.AnnData(adata.X.rechunk({1: -1})), n_comps=3)


def test_attach(path, result, tmp_path):
    target = tmp_path / "result.h5ad"
    result.write_h5ad(target)
    adata = cm.read_h5ad(path)[::-3].copy()
    adata.obs["leiden"] = "mine"
    added = cm.attach(adata, target)
    assert "obs/leiden" not in added
    assert "obsm/X_umap" in added
    expected = result[adata.obs_names]
    np.testing.assert_array_equal(adata.obsm["X_pca"], expected.obsm["X_pca"])
    assert (adata.obsp["connectivities"] != expected.obsp["connectivities"]).nnz == 0
    cm.attach(adata, target, overwrite=True)
    assert (adata.obs["leiden"].astype(str) == expected.obs["leiden"].astype(str)).all()
    adata.obs_names = [f"other{i}" for i in range(adata.n_obs)]
    with pytest.raises(ValueError, match="no cell 'other0'"):
        cm.attach(adata, target)
