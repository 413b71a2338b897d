"""The result's slots, dtypes and uns entries are those that scanpy writes."""

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse

from datasets import counts, dataset
from scanpy_reference import logged

NAME = "pbmc3k"


@pytest.fixture(scope="module")
def theirs() -> ad.AnnData:
    """scanpy's own run on the same file."""
    adata = ad.read_h5ad(dataset(NAME))
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.highly_variable_genes(adata, n_top_genes=2000)
    sc.pp.pca(adata)
    sc.pp.neighbors(adata)
    sc.tl.leiden(adata, flavor="igraph", n_iterations=2, directed=False)
    sc.tl.umap(adata)
    return adata


def test_obs_and_var_are_the_inputs(result):
    adata, source = result(NAME), ad.read_h5ad(dataset(NAME))
    assert list(adata.obs_names) == list(source.obs_names)
    assert list(adata.var_names) == list(source.var_names)
    for column in source.obs:
        pd.testing.assert_series_equal(adata.obs[column], source.obs[column])
    for column in source.var:
        pd.testing.assert_series_equal(adata.var[column], source.var[column])


@pytest.mark.parametrize("column", ["highly_variable", "means", "dispersions", "dispersions_norm"])
def test_var_dtypes(column, result, theirs):
    assert result(NAME).var[column].dtype == theirs.var[column].dtype


def test_leiden_column(result, theirs):
    ours = result(NAME).obs["leiden"]
    assert isinstance(ours.dtype, pd.CategoricalDtype)
    assert not ours.cat.ordered
    assert all(isinstance(c, str) for c in ours.cat.categories)


@pytest.mark.parametrize(("where", "key"), [("obsm", "X_pca"), ("obsm", "X_umap"), ("varm", "PCs")])
def test_arrays(where, key, result, theirs):
    ours, reference = getattr(result(NAME), where)[key], getattr(theirs, where)[key]
    assert ours.shape == reference.shape
    assert ours.dtype == reference.dtype


@pytest.mark.parametrize("key", ["distances", "connectivities"])
def test_graphs(key, result, theirs):
    ours, reference = result(NAME).obsp[key], theirs.obsp[key]
    assert isinstance(ours, type(reference))
    assert ours.dtype == reference.dtype
    assert ours.indices.dtype == reference.indices.dtype
    assert ours.indptr.dtype == reference.indptr.dtype
    assert ours.shape == reference.shape
    if key == "distances":
        assert ours.nnz == reference.nnz


def same(ours, reference, where):
    """Equal structure; numbers of one kind; strings, flags and whole numbers equal."""
    if isinstance(reference, dict):
        for key, value in reference.items():
            if value is None:
                assert ours.get(key) is None, f"{where}/{key}"
                continue
            assert key in ours, f"{where}/{key} is missing"
            same(ours[key], value, f"{where}/{key}")
        assert set(ours) <= set(reference), f"{where}: {set(ours) - set(reference)}"
    elif isinstance(reference, np.ndarray):
        assert ours.shape == reference.shape, where
        assert ours.dtype.kind == reference.dtype.kind, where
    elif isinstance(reference, float | np.floating):
        assert isinstance(ours, float | np.floating | np.integer), where
        if "modularity" not in where:
            assert float(ours) == pytest.approx(float(reference), rel=1e-3), where
    else:
        assert ours == reference, where
        assert isinstance(ours, bool | np.bool_) == isinstance(reference, bool | np.bool_), where


@pytest.mark.parametrize("key", ["hvg", "log1p", "pca", "neighbors", "leiden", "umap"])
def test_uns(key, result, theirs):
    same(result(NAME).uns[key], theirs.uns[key], key)


def test_variance_dtype(result, theirs):
    for key in ("variance", "variance_ratio"):
        assert result(NAME).uns["pca"][key].shape == theirs.uns["pca"][key].shape


def test_nothing_more_than_that(result, theirs):
    adata = result(NAME)
    assert set(adata.uns) - set(theirs.uns) <= {"cellmill"}
    assert set(adata.obsm) == {"X_pca", "X_umap"}
    assert set(adata.varm) == {"PCs"}
    assert set(adata.obsp) == {"distances", "connectivities"}
    assert set(adata.layers) - {None} == {"counts"}
    assert adata.raw is None


def test_x_is_scanpys(result):
    x, reference = result(NAME).X, logged(counts(dataset(NAME))).X
    assert isinstance(x, sparse.csr_matrix | sparse.csr_array)
    assert x.dtype == np.float32
    assert np.array_equal(x.indptr, reference.indptr)
    assert np.array_equal(x.indices, reference.indices)
    assert np.allclose(x.data, reference.data, rtol=2e-7, atol=0)


def test_counts_are_kept(result):
    ours, source = result(NAME).layers["counts"], counts(dataset(NAME))
    assert (ours != source).nnz == 0
    assert ours.dtype == source.dtype


def test_parameters_that_change_numbers_are_kept(result):
    kept = result("synthetic", "--n-comps", 20, "--seed", 3, "--threads", 2).uns["cellmill"]
    assert kept["n_comps"] == 20
    assert kept["seed"] == 3
    assert kept["target_sum"] == 1e4
    assert kept["n_top_genes"] == 2000
    for name in ("threads", "memory", "scratch", "events", "quiet"):
        assert name not in kept, f"{name} does not change numbers"


def nodes(file):
    found = {}
    file.visititems(lambda name, node: found.update({name: node}))
    return found


def test_encodings_on_disk(run):
    """Every element says what it is; indices and indptr share a dtype; attributes are UTF-8."""
    with h5py.File(run(NAME)) as file:
        assert file.attrs["encoding-type"] == "anndata"
        for name, node in nodes(file).items():
            parent = node.parent.attrs.get("encoding-type", "")
            if parent in ("csr_matrix", "csc_matrix"):
                continue
            assert "encoding-type" in node.attrs, f"{name} has no encoding-type"
            assert "encoding-version" in node.attrs, f"{name} has no encoding-version"
            kind = h5py.check_string_dtype(node.attrs.get_id("encoding-type").dtype)
            assert kind is not None, name
            assert kind.length is None, f"{name}: a fixed-length attribute"
            assert node.attrs["encoding-type"] != "null", f"{name}: old anndata reads no null"
            if node.attrs["encoding-type"] == "csr_matrix":
                assert node["indices"].dtype == node["indptr"].dtype, name
                assert node["indices"].dtype in (np.int32, np.int64), name
                assert node.attrs["shape"].dtype == np.int64
        assert file["obs/_index"].attrs["encoding-type"] == "string-array"
        for name in ("X/data", "X/indices", "layers/counts/data", "layers/counts/indices"):
            assert file[name].compression == "gzip", name


@pytest.mark.parametrize("what", ["counts", "hvg", "none"])
def test_write_x(what, result):
    whole = result("synthetic")
    adata = result("synthetic", "--write-x", what)
    assert np.array_equal(adata.obsm["X_umap"], whole.obsm["X_umap"])
    source = counts(dataset("synthetic"))
    if what == "none":
        assert adata.X is None or adata.X.nnz == 0
        assert set(adata.layers) <= {None}
        assert list(adata.var_names) == list(whole.var_names)
    elif what == "counts":
        assert (source != adata.X).nnz == 0
    else:
        chosen = whole.var_names[whole.var["highly_variable"]]
        assert list(adata.var_names) == list(chosen)
        assert (adata.X != whole[:, chosen].X).nnz == 0


def test_median_target_in_x(result):
    x = result("synthetic", "--target-sum", "median").X
    reference = logged(counts(dataset("synthetic")), target_sum=None).X
    assert np.allclose(x.data, reference.data, rtol=5e-7, atol=0)


def test_config_file(run, result, tmp_path):
    """A TOML file with the options' names gives the same bytes as the options."""
    from command import ok

    config = tmp_path / "run.toml"
    config.write_text(
        "n-top-genes = 500\nn-comps = 20\nn-neighbors = 10\nresolution = [0.5]\n"
        'metric = "cosine"\nmin-dist = 0.3\nseed = 5\ntarget-sum = "median"\n'
    )
    target = tmp_path / "result.h5ad"
    ok("run", dataset("synthetic"), "-o", target, "--config", config, "--quiet")
    options = (
        "--n-top-genes 500 --n-comps 20 --n-neighbors 10 --resolution 0.5 --metric cosine "
        "--min-dist 0.3 --seed 5 --target-sum median"
    )
    other = run("synthetic", *options.split())
    assert target.read_bytes() == other.read_bytes()


def test_config_file_with_an_unknown_name(tmp_path):
    from command import refused

    config = tmp_path / "run.toml"
    config.write_text("n-top-gene = 500\n")
    refused(
        "run",
        dataset("synthetic"),
        "-o",
        tmp_path / "result.h5ad",
        "--config",
        config,
        names=["n-top-gene", "run.toml"],
        leaves=tmp_path,
    )
