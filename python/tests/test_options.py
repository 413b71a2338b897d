"""Options of pca and neighbors against scanpy: no centring, obsm, lazy scores, other metrics."""

import importlib

import cellmill as cm
import dask.array as da
import numpy as np
import pytest
import scanpy as sc
from conftest import KINDS, dense
from test_pipeline import DTYPES, prepared_by_scanpy


def normalised(make, kind, dtype="float32"):
    adata = make(kind, dtype)
    cm.pp.normalize_total(adata, target_sum=1e4)
    cm.pp.log1p(adata)
    return adata


def check_components(ours, theirs, key_added=None):
    obsm, varm, uns = ("X_pca", "PCs", "pca") if key_added is None else (key_added,) * 3
    np.testing.assert_allclose(dense(ours.obsm[obsm]), theirs.obsm[obsm], atol=5e-3)
    assert ours.obsm[obsm].dtype == theirs.obsm[obsm].dtype
    if varm in theirs.varm:
        np.testing.assert_allclose(ours.varm[varm], theirs.varm[varm], atol=1e-3)
    mine, reference = ours.uns[uns], theirs.uns[uns]
    assert mine["params"] == reference["params"]
    assert set(mine) == set(reference)
    for key in set(reference) - {"params"}:
        assert mine[key].dtype == reference[key].dtype
        np.testing.assert_allclose(mine[key], reference[key], rtol=2e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["lazy", "dask-csr-7", "csr", "dense"])
def test_without_centring(make, reference, kind, dtype):
    reference.X = reference.X.astype(dtype)
    ours = normalised(make, kind, dtype)
    prepared_by_scanpy(reference)
    for module, adata in ((cm, ours), (sc, reference)):
        adata.var["even"] = np.arange(700) % 2 == 0
        # Left out, scanpy's solver is a randomised one.
        module.pp.pca(adata, 6, zero_center=False, svd_solver="arpack", mask_var="even")
    check_components(ours, reference)
    with pytest.raises(ValueError, match="svd_solver"):
        cm.pp.pca(ours, n_comps=6, zero_center=False, svd_solver="covariance_eigh")


def test_components_of_obsm(make, reference):
    ours = make("csr")
    protein = np.random.default_rng(0).normal(size=(900, 12)).astype("f4")
    for module, adata in ((cm, ours), (sc, reference)):
        adata.obsm["protein"] = protein.copy()
        module.pp.pca(adata, n_comps=5, obsm="protein", key_added="of_protein")
    assert "of_protein" not in ours.varm
    check_components(ours, reference, "of_protein")
    with pytest.raises(ValueError, match="mask_var"):
        cm.pp.pca(ours, obsm="protein", mask_var="gene")
    with pytest.raises(KeyError, match="nothing"):
        cm.pp.pca(ours, obsm="nothing")


@pytest.mark.parametrize("kind", ["lazy", "lazy-7", "dask-csr", "dask-dense-7", "dask-csc"])
def test_lazy_scores(make, kind):
    ours, eager = normalised(make, kind), normalised(make, kind)
    for adata in (ours, eager):
        cm.pp.highly_variable_genes(adata, n_top_genes=150)
    cm.pp.pca(ours, n_comps=7, lazy=True)
    cm.pp.pca(eager, n_comps=7)
    assert isinstance(ours.obsm["X_pca"], da.Array)
    assert type(eager.obsm["X_pca"]) is np.ndarray
    assert ours.obsm["X_pca"].chunks[0] == ours.X.chunks[0]
    check_components(ours, eager)
    if kind.startswith("lazy"):
        assert (ours.varm["PCs"] == eager.varm["PCs"]).all()
        assert (dense(ours.obsm["X_pca"]) == eager.obsm["X_pca"]).all()
    cm.pp.neighbors(ours)
    cm.pp.neighbors(eager)
    assert abs(ours.obsp["distances"] - eager.obsp["distances"]).max() < 1e-3
    scores = cm.pp.pca(ours.X, n_comps=3, lazy=True)
    assert isinstance(scores, da.Array)


def test_lazy_scores_of_a_matrix_in_memory_are_refused(make):
    with pytest.raises(ValueError, match="in memory"):
        cm.pp.pca(make("csr"), lazy=True)


@pytest.fixture(scope="module")
def with_components(path):
    adata = prepared_by_scanpy(sc.read_h5ad(path))
    sc.pp.pca(adata, n_comps=15)
    return adata


@pytest.mark.parametrize(
    "options",
    [
        {"metric": "cityblock"},
        {"metric": "correlation", "n_pcs": 5},
        {"metric": "minkowski", "metric_kwds": {"p": 3}},
        {"transformer": "sklearn"},
        {"transformer": "sklearn", "metric": "chebyshev", "key_added": "other"},
        {"transformer": "pynndescent"},
    ],
    ids=str,
)
def test_other_metrics_and_named_transformers(with_components, options):
    ours, theirs = with_components.copy(), with_components.copy()
    cm.pp.neighbors(ours, 11, **options)
    sc.pp.neighbors(theirs, 11, **options)
    key = options.get("key_added", "neighbors")
    mine, reference = ours.uns[key], theirs.uns[key]
    reference.pop("rp_forest", None)
    assert mine == reference
    for name in (mine["distances_key"], mine["connectivities_key"]):
        assert ours.obsp[name].dtype == theirs.obsp[name].dtype
        assert ours.obsp[name].nnz == theirs.obsp[name].nnz
        assert abs(ours.obsp[name] - theirs.obsp[name]).max() < 1e-3


def test_known_distances(with_components):
    ours, theirs, direct = (with_components.copy() for _ in range(3))
    cm.pp.neighbors(direct, 11)
    known = direct.obsp["distances"]
    cm.pp.neighbors(ours, 11, distances=known)
    sc.pp.neighbors(theirs, 11, distances=known)
    assert ours.uns["neighbors"] == theirs.uns["neighbors"]
    assert (ours.obsp["distances"] != known).nnz == 0
    assert abs(ours.obsp["connectivities"] - direct.obsp["connectivities"]).max() < 1e-6
    from sklearn.metrics import pairwise_distances

    every = pairwise_distances(with_components.obsm["X_pca"])
    cm.pp.neighbors(ours, 11, distances=every)
    assert type(ours.obsp["distances"]) is np.ndarray
    assert abs(ours.obsp["connectivities"] - direct.obsp["connectivities"]).max() < 1e-3
    with pytest.warns(UserWarning, match="n_pcs"):
        cm.pp.neighbors(ours, 11, distances=known, n_pcs=5)
    with pytest.raises(TypeError, match="must be a string"):
        cm.pp.neighbors(ours, 11, distances=known, metric=lambda a, b: 0.0)


def test_a_package_that_is_not_there_is_named(with_components, monkeypatch):
    def refuse(name, *arguments):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(ImportError, match="needs scikit-learn"):
        cm.pp.neighbors(with_components.copy(), metric="cityblock")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_graph_clusters_and_layout_from_x_itself(make, reference, kind, dtype):
    genes = np.arange(700) % 16 == 0
    ours = make(kind, dtype)[:, genes].copy()
    theirs = reference[:, genes].copy()
    theirs.X = theirs.X.astype(dtype)
    cm.pp.neighbors(ours, 9, use_rep="X", metric="cosine")
    sc.pp.neighbors(theirs, 9, use_rep="X", metric="cosine")
    assert ours.uns["neighbors"] == theirs.uns["neighbors"]
    # Cells at equal distances may be taken in another order.
    mine, reference_graph = (a.obsp["distances"] for a in (ours, theirs))
    assert mine.nnz == reference_graph.nnz
    for graph in (mine, reference_graph):
        graph.data.sort()
    np.testing.assert_allclose(mine.data, reference_graph.data, atol=2e-3)
    cm.tl.leiden(ours, n_iterations=2)
    sc.tl.leiden(theirs, flavor="igraph", directed=False, n_iterations=2)
    assert ours.uns["leiden"]["modularity"] > theirs.uns["leiden"]["modularity"] - 0.05
    cm.tl.umap(ours, maxiter=5)
    assert np.isfinite(ours.obsm["X_umap"]).all()
