"""Each function on each kind of matrix against scanpy on the same data."""

import cellmill as cm
import numpy as np
import pytest
import scanpy as sc
from conftest import KINDS, dense

DTYPES = ("float32", "float64", "int32")


def prepared_by_scanpy(adata):
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    return adata


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_normalize_and_log(make, reference, kind, dtype):
    ours = make(kind, dtype)
    reference.X = reference.X.astype(dtype)
    for module, adata in ((cm, ours), (sc, reference)):
        module.pp.normalize_total(adata, target_sum=1e4)
        module.pp.log1p(adata)
    assert ours.X.dtype == reference.X.dtype
    assert ours.uns["log1p"] == reference.uns["log1p"]
    np.testing.assert_allclose(dense(ours.X), dense(reference.X), rtol=2e-6, atol=1e-6)
    if kind.startswith(("lazy", "dask")):
        assert dense(ours.X[:3]).dtype == ours.X.dtype


@pytest.mark.parametrize("kind", KINDS)
def test_median_target_factors_and_return(make, reference, kind):
    ours = make(kind)
    copied = cm.pp.normalize_total(ours, key_added="nf", copy=True)
    found = cm.pp.normalize_total(ours, inplace=False)
    assert "nf" not in ours.obs
    sc.pp.normalize_total(reference, key_added="nf")
    np.testing.assert_allclose(copied.obs["nf"], reference.obs["nf"], rtol=1e-6)
    assert copied.obs["nf"].dtype == reference.obs["nf"].dtype
    for x in (copied.X, found["X"]):
        np.testing.assert_allclose(dense(x), dense(reference.X), rtol=2e-6)
    np.testing.assert_allclose(found["norm_factor"], reference.obs["nf"], rtol=1e-6)


@pytest.mark.parametrize("base", [None, 2.0])
def test_log_of_integers_and_bases(make, reference, base):
    for kind in ("lazy", "csr", "csc", "dense", "dask-csr"):
        ours = make(kind, "int32")
        cm.pp.log1p(ours, base=base)
        expected = sc.pp.log1p(reference.X.astype("int32"), base=base, copy=True)
        assert ours.X.dtype == expected.dtype
        np.testing.assert_allclose(dense(ours.X), dense(expected), rtol=1e-12)
    with pytest.warns(UserWarning, match="already log"):
        cm.pp.log1p(ours)


def check_genes(ours, reference):
    columns = ["highly_variable", "means", "dispersions", "dispersions_norm"]
    assert list(ours.var.columns) == list(reference.var.columns)
    assert (ours.var["highly_variable"] == reference.var["highly_variable"]).all()
    for column in columns:
        assert ours.var[column].dtype == reference.var[column].dtype
    for column in columns[1:]:
        np.testing.assert_allclose(ours.var[column], reference.var[column], rtol=1e-4, atol=1e-5)
    assert ours.uns["hvg"] == reference.uns["hvg"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_genes_and_components(make, reference, kind, dtype):
    ours = make(kind, dtype)
    reference.X = reference.X.astype(dtype)
    prepared_by_scanpy(reference)
    cm.pp.normalize_total(ours, target_sum=1e4)
    cm.pp.log1p(ours)
    for module, adata in ((cm, ours), (sc, reference)):
        module.pp.highly_variable_genes(adata, n_top_genes=200)
        module.pp.pca(adata, n_comps=8)
    check_genes(ours, reference)
    assert ours.obsm["X_pca"].dtype == reference.obsm["X_pca"].dtype == np.float32
    assert type(ours.obsm["X_pca"]) is np.ndarray
    np.testing.assert_allclose(ours.obsm["X_pca"], reference.obsm["X_pca"], atol=5e-3)
    assert ours.varm["PCs"].dtype == reference.varm["PCs"].dtype
    np.testing.assert_allclose(ours.varm["PCs"], reference.varm["PCs"], atol=1e-3)
    for key in ("variance", "variance_ratio"):
        assert ours.uns["pca"][key].dtype == reference.uns["pca"][key].dtype
        np.testing.assert_allclose(ours.uns["pca"][key], reference.uns["pca"][key], rtol=1e-4)
    assert ours.uns["pca"]["params"] == reference.uns["pca"]["params"]


@pytest.mark.parametrize("kind", ["lazy", "dask-csr", "csr"])
def test_cutoffs_frames_and_subsets(make, reference, kind):
    ours = make(kind)
    for module, adata in ((cm, ours), (sc, reference)):
        module.pp.normalize_total(adata, target_sum=1e4)
        module.pp.log1p(adata)
    frame = cm.pp.highly_variable_genes(ours, inplace=False)
    expected = sc.pp.highly_variable_genes(reference, inplace=False)
    assert list(frame.columns) == list(expected.columns)
    assert (frame["highly_variable"] == expected["highly_variable"]).all()
    assert "hvg" not in ours.uns
    cm.pp.highly_variable_genes(ours, min_mean=0.05, min_disp=0.2, subset=True)
    sc.pp.highly_variable_genes(reference, min_mean=0.05, min_disp=0.2, subset=True)
    assert list(ours.var_names) == list(reference.var_names)
    np.testing.assert_allclose(dense(ours.X), dense(reference.X), rtol=2e-6, atol=1e-6)
    with pytest.warns(UserWarning, match="cutoffs are ignored"):
        cm.pp.highly_variable_genes(ours, n_top_genes=5, min_mean=0.5)


def test_components_of_all_genes_of_a_mask_and_of_a_matrix(make, reference):
    ours = make("lazy")
    for module, adata in ((cm, ours), (sc, prepared_by_scanpy(reference))):
        if adata is ours:
            cm.pp.normalize_total(adata, target_sum=1e4)
            cm.pp.log1p(adata)
        mask = np.arange(adata.n_vars) % 3 == 0
        module.pp.pca(adata, n_comps=5)
        module.pp.pca(adata, n_comps=5, mask_var=mask, key_added="masked")
    for key in ("X_pca", "masked"):
        np.testing.assert_allclose(ours.obsm[key], reference.obsm[key], atol=5e-3)
    for key in ("PCs", "masked"):
        assert ours.varm[key].dtype == reference.varm[key].dtype
        np.testing.assert_allclose(ours.varm[key], reference.varm[key], atol=1e-3)
    assert ours.uns["pca"]["params"] == reference.uns["pca"]["params"]
    found = cm.pp.pca(reference.X, n_comps=5, return_info=True)
    expected = sc.pp.pca(reference.X, n_comps=5, return_info=True)
    for ours_part, part in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours_part, part, atol=5e-3)


@pytest.fixture(scope="module")
def with_components(path):
    adata = prepared_by_scanpy(sc.read_h5ad(path))
    sc.pp.highly_variable_genes(adata, n_top_genes=200)
    sc.pp.pca(adata, n_comps=20)
    return adata


@pytest.mark.parametrize(
    "options",
    [{}, {"n_pcs": 7}, {"use_rep": "X_pca", "metric": "cosine"}, {"key_added": "k"}],
    ids=str,
)
def test_neighbors(with_components, options):
    ours, theirs = with_components.copy(), with_components.copy()
    cm.pp.neighbors(ours, 12, **options)
    sc.pp.neighbors(theirs, 12, **options)
    key = options.get("key_added", "neighbors")
    assert ours.uns[key] == theirs.uns[key]
    for name in (ours.uns[key]["distances_key"], ours.uns[key]["connectivities_key"]):
        mine, reference = ours.obsp[name], theirs.obsp[name]
        assert (mine.dtype, mine.format) == (reference.dtype, reference.format)
        assert abs(mine - reference).max() < 1e-3
        assert mine.nnz == reference.nnz


def test_a_transformer_of_scikit_learn(with_components):
    from sklearn.neighbors import KNeighborsTransformer

    ours, theirs, exact = (with_components.copy() for _ in range(3))
    for module, adata in ((cm, ours), (sc, theirs)):
        module.pp.neighbors(adata, 10, transformer=KNeighborsTransformer(n_neighbors=10))
    assert ours.uns["neighbors"] == theirs.uns["neighbors"]
    assert abs(ours.obsp["distances"] - theirs.obsp["distances"]).max() < 1e-6
    # Where a cell is not the first of its own neighbours, scanpy counts it twice, for all cells;
    # its own search never does.
    sc.pp.neighbors(exact, 10)
    assert abs(ours.obsp["connectivities"] - exact.obsp["connectivities"]).max() < 1e-3


def test_clusters_and_layout(with_components):
    ours = with_components.copy()
    sc.pp.neighbors(ours)
    theirs = ours.copy()
    cm.tl.leiden(ours, n_iterations=2)
    sc.tl.leiden(theirs, flavor="igraph", directed=False, n_iterations=2)
    labels = ours.obs["leiden"]
    assert list(labels.cat.categories) == [str(i) for i in range(len(labels.cat.categories))]
    assert (np.diff(labels.value_counts(sort=False).to_numpy()) <= 0).all()
    assert ours.uns["leiden"]["modularity"] > theirs.uns["leiden"]["modularity"] - 0.01
    assert ours.uns["leiden"]["params"] == theirs.uns["leiden"]["params"]
    cm.tl.leiden(ours, restrict_to=("leiden", ["0", "1"]), resolution=2)
    assert set(ours.obs["leiden"][ours.obs["leiden_R"] == "2"]) == {"2"}
    assert any(c.startswith("0-1,") for c in ours.obs["leiden_R"].cat.categories)
    cm.tl.umap(ours)
    sc.tl.umap(theirs)
    assert ours.obsm["X_umap"].dtype == theirs.obsm["X_umap"].dtype
    assert ours.obsm["X_umap"].shape == theirs.obsm["X_umap"].shape
    for key in ("a", "b"):
        assert ours.uns["umap"]["params"][key] == pytest.approx(
            theirs.uns["umap"]["params"][key], rel=1e-3
        )
    cm.tl.umap(ours, n_components=3, maxiter=20, random_state=4, key_added="three")
    assert ours.obsm["three"].shape == (ours.n_obs, 3)
    assert ours.uns["three"]["params"]["random_state"] == 4
    cm.tl.umap(ours, init_pos="X_umap", maxiter=5)


def test_the_same_numbers_for_any_number_of_threads(with_components):
    found = []
    for threads in (1, 3):
        cm.settings.threads = threads
        adata = with_components.copy()
        cm.pp.neighbors(adata)
        cm.tl.leiden(adata)
        cm.tl.umap(adata, maxiter=30)
        found.append(adata)
    cm.settings.threads = 2
    one, many = found
    assert (one.obs["leiden"] == many.obs["leiden"]).all()
    assert (one.obsm["X_umap"] == many.obsm["X_umap"]).all()
    assert (one.obsp["connectivities"] != many.obsp["connectivities"]).nnz == 0
