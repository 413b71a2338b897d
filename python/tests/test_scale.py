"""pp.scale on each kind of matrix, and PCA behind it, against scanpy."""

import warnings

import cellmill as cm
import numpy as np
import pytest
import scanpy as sc
from cellmill._lazy import plan_of
from conftest import KINDS, dense
from scipy import sparse

pytestmark = pytest.mark.filterwarnings("ignore:zero-centering")


def logged(*pairs):
    for module, adata in pairs:
        module.pp.normalize_total(adata, target_sum=1e4)
        module.pp.log1p(adata)


def close(ours, theirs):
    assert ours.X.dtype == theirs.X.dtype
    np.testing.assert_allclose(dense(ours.X), dense(theirs.X), rtol=2e-5, atol=2e-5)
    for column in ("mean", "std"):
        assert ours.var[column].dtype == theirs.var[column].dtype
        np.testing.assert_allclose(ours.var[column], theirs.var[column], rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize("max_value", [None, 3.0])
@pytest.mark.parametrize("zero_center", [True, False])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.endswith("-1")])
def test_scale(make, reference, kind, zero_center, max_value):
    ours = make(kind)
    if kind == "dense":
        reference.X = reference.X.toarray()
    logged((cm, ours), (sc, reference))
    for module, adata in ((cm, ours), (sc, reference)):
        module.pp.scale(adata, zero_center=zero_center, max_value=max_value)
    if kind.startswith(("lazy", "dask")):
        # Dense chunks of f32 are half as large as scanpy's.
        assert ours.X.dtype == np.float32
        reference.X = reference.X.astype("float32")
    close(ours, reference)
    if kind.startswith("lazy"):
        assert plan_of(ours.X) is not None
        assert isinstance(ours.X[:5].compute(), np.ndarray) is zero_center
    elif not kind.startswith("dask"):
        assert sparse.issparse(ours.X) is (kind != "dense" and not zero_center)


@pytest.mark.parametrize("kind", ["lazy-7", "csr", "dense", "dask-csr"])
def test_integers_become_doubles(make, reference, kind):
    ours = make(kind, "int32")
    reference.X = reference.X.astype("int32")
    for module, adata in ((cm, ours), (sc, reference)):
        module.pp.scale(adata, max_value=10)
    close(ours, reference)
    assert ours.X.dtype == np.float64


@pytest.mark.parametrize("mask", ["use", "array"])
@pytest.mark.parametrize(("kind", "zero_center"), [("dense", True), ("csr", False), ("csc", False)])
def test_some_cells(make, reference, kind, zero_center, mask):
    ours = make(kind)
    reference.X = dense(ours.X) if kind == "dense" else ours.X.copy()
    use = np.arange(ours.n_obs) % 3 > 0
    for module, adata in ((cm, ours), (sc, reference)):
        adata.obs["use"] = use
        module.pp.scale(
            adata, zero_center=zero_center, mask_obs=use if mask == "array" else mask, max_value=2
        )
    assert list(ours.var) == list(reference.var)
    np.testing.assert_allclose(dense(ours.X), dense(reference.X), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("max_value", [None, 2.0])
@pytest.mark.parametrize("kind", ["lazy", "lazy-7", "dask-csr", "csr"])
def test_pca_of_scaled_genes(make, reference, kind, max_value):
    ours = make(kind)
    logged((cm, ours), (sc, reference))
    sc.pp.highly_variable_genes(reference, n_top_genes=200)
    ours.var["highly_variable"] = reference.var["highly_variable"]
    for module, adata in ((cm, ours), (sc, reference)):
        module.pp.scale(adata, max_value=max_value)
        module.pp.pca(adata, n_comps=10)
    variance = reference.uns["pca"]["variance"]
    np.testing.assert_allclose(ours.uns["pca"]["variance"], variance, rtol=1e-4)
    # Components whose variances are far from their neighbours' are the same vectors.
    for i in range(5):
        a, b = ours.obsm["X_pca"][:, i], reference.obsm["X_pca"][:, i]
        if min(abs(np.delete(variance, i) / variance[i] - 1)) > 0.05:
            assert abs(np.corrcoef(a, b)[0, 1]) > 0.999


def test_pca_of_a_centred_plan_is_that_of_its_dense_values(make):
    lazy = make("lazy-7")
    logged((cm, lazy))
    cm.pp.scale(lazy, max_value=4)
    values = lazy.copy()
    values.X = lazy.X.compute()
    for adata in (lazy, values):
        cm.pp.pca(adata, n_comps=6)
    np.testing.assert_allclose(
        lazy.uns["pca"]["variance"], values.uns["pca"]["variance"], rtol=1e-5
    )
    np.testing.assert_allclose(lazy.obsm["X_pca"], values.obsm["X_pca"], atol=2e-3)


def test_a_centred_lazy_matrix(make, tmp_path):
    lazy = make("lazy-7")
    cm.pp.scale(lazy, max_value=4)
    whole = lazy.X.compute()
    assert isinstance(whole, np.ndarray)
    part = lazy[5:800:7, ::3]
    assert plan_of(part.copy().X) is not None
    np.testing.assert_array_equal(part.copy().X.compute(), whole[5:800:7, ::3])
    np.testing.assert_array_equal(lazy[:, ::-1].X.compute(), whole[:, ::-1])
    lazy.write_h5ad(tmp_path / "scaled.h5ad")
    again = cm.read_h5ad(tmp_path / "scaled.h5ad")
    np.testing.assert_array_equal(dense(again.X), whole)
    refused = [
        lambda: cm.pp.log1p(lazy),
        lambda: cm.pp.normalize_total(lazy, target_sum=1),
        lambda: cm.pp.normalize_total(lazy),
        lambda: cm.pp.highly_variable_genes(lazy),
        lambda: cm.pp.downsample_counts(lazy, 3),
        lambda: cm.pp.scale(lazy),
        lambda: cm.get.aggregate(lazy, by="cell_type", func="sum"),
        lambda: cm.pp.pca(lazy, zero_center=False),
    ]
    for call in refused:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ValueError, match="zero_center"):
                call()


def test_constant_genes_and_bad_arguments(make):
    lazy = make("lazy")
    adata = lazy[lazy.obs_names[:1]].copy()
    with pytest.raises(ValueError, match=r"NaN|nan"):
        cm.pp.scale(adata)
    with pytest.raises(NotImplementedError, match="mask_obs"):
        cm.pp.scale(lazy, mask_obs=np.ones(lazy.n_obs, dtype=bool))
    with pytest.raises(NotImplementedError, match="zero_center"):
        cm.pp.scale(make("csr"), mask_obs=np.ones(lazy.n_obs, dtype=bool))
    with pytest.raises(ValueError, match="max_value"):
        cm.pp.scale(lazy, max_value=-1)
    with pytest.raises(ValueError, match="layer"):
        cm.pp.scale(lazy.X, layer="x")
    with pytest.raises(KeyError, match="none"):
        cm.pp.scale(lazy, layer="none")
    empty = sparse.csr_matrix(np.array([[0, 2.0, 1], [0, 2, 3], [0, 2, 5]], dtype="float32"))
    np.testing.assert_allclose(cm.pp.scale(empty), sc.pp.scale(empty.copy(), copy=True), atol=1e-6)
