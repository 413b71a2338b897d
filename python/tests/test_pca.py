"""pca of more genes than a Gram matrix is made of, against exact decompositions and arpack."""

import cellmill as cm
import numpy as np
import pytest
import scanpy as sc
from check_pca import angles
from conftest import chunked
from datasets import real
from distributed import Client, LocalCluster
from scipy import sparse

N_GENES = 4500


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """An h5ad file of 300 cells x 4,500 genes, normalised."""
    target = tmp_path_factory.mktemp("data") / "wide.h5ad"
    adata = cm.datasets.simulate(300, N_GENES, n_types=6, entries_per_cell=300, seed=4)
    sc.pp.normalize_total(adata, target_sum=1e3)
    sc.pp.log1p(adata)
    adata.X = sparse.csr_matrix(adata.X, dtype=np.float32)
    adata.write_h5ad(target)
    return target


def exact(x, n_comps, zero_center=True):
    """Scores, loadings and variance of a full decomposition in float64, signs as scanpy's."""
    x = x.astype(np.float64).toarray()
    if zero_center:
        x -= x.mean(axis=0)
    _, values, loadings = np.linalg.svd(x, full_matrices=False)
    loadings = loadings[:n_comps].T
    loadings *= np.sign(loadings[np.abs(loadings).argmax(axis=0), np.arange(n_comps)])
    scores = x @ loadings
    variance = values[:n_comps] ** 2 / (len(x) - 1) if zero_center else scores.var(axis=0)
    total = x.var(axis=0, ddof=int(zero_center)).sum()
    return scores, loadings, variance, variance / total


@pytest.fixture(scope="module")
def decomposed(wide):
    """`exact` of 12 components, with centring and without."""
    x = sc.read_h5ad(wide).X
    return {zero_center: exact(x, 12, zero_center) for zero_center in (True, False)}


def check(adata, theirs):
    scores, loadings, variance, ratio = theirs
    assert angles(loadings, adata.varm["PCs"]).max() < 1e-6
    assert np.abs(adata.varm["PCs"] - loadings).max() < 1e-5
    assert np.abs(adata.obsm["X_pca"] - scores).max() < 1e-5 * np.abs(scores).max()
    assert np.allclose(adata.uns["pca"]["variance"], variance, rtol=1e-6)
    assert np.allclose(adata.uns["pca"]["variance_ratio"], ratio, rtol=1e-6)


@pytest.mark.parametrize("zero_center", [True, False])
@pytest.mark.parametrize("kind", ["lazy", "lazy-7", "csr", "dense", "dask"])
def test_many_genes(wide, decomposed, kind, zero_center):
    adata = sc.read_h5ad(wide)
    if kind.startswith("lazy"):
        adata = cm.read_h5ad(wide, block_rows=7 if kind == "lazy-7" else None)
    elif kind == "dense":
        adata.X = adata.X.toarray()
    elif kind == "dask":
        adata.X = chunked(adata.X, 130)
    cm.pp.pca(adata, 12, zero_center=zero_center)
    check(adata, decomposed[zero_center])


def test_fewer_cells_than_components_times_two(wide):
    adata = sc.read_h5ad(wide)[:31].copy()
    theirs = exact(adata.X, 30)
    cm.pp.pca(adata)
    assert adata.obsm["X_pca"].shape == (31, 30)
    check(adata, theirs)


def test_a_scaled_matrix(wide):
    lazy, memory = cm.read_h5ad(wide), sc.read_h5ad(wide)
    for module, adata in ((cm, lazy), (sc, memory)):
        module.pp.scale(adata, max_value=5)
        module.pp.pca(adata, 10, **({} if module is cm else {"svd_solver": "full"}))
    assert angles(memory.varm["PCs"].astype(float), lazy.varm["PCs"]).max() < 1e-4
    assert np.allclose(memory.uns["pca"]["variance"], lazy.uns["pca"]["variance"], rtol=1e-4)


def test_threads_laziness_and_a_mask_give_the_same_bits(wide):
    mask = np.arange(N_GENES) % 23 != 0
    found = []
    for threads, lazy in [(1, False), (2, False), (2, True)]:
        cm.settings.threads = threads
        adata = cm.read_h5ad(wide, block_rows=50)
        cm.pp.pca(adata, 12, mask_var=mask, lazy=lazy)
        assert (adata.varm["PCs"][~mask] == 0).all()
        found.append((np.asarray(adata.obsm["X_pca"]), adata.varm["PCs"]))
    for scores, loadings in found[1:]:
        assert (scores == found[0][0]).all()
        assert (loadings == found[0][1]).all()


def test_a_cluster_gives_the_same_bits(wide, decomposed):
    adata = cm.read_h5ad(wide, block_rows=50)
    cm.pp.pca(adata, 12)
    chunks = sc.read_h5ad(wide)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        for lazy in (False, True):
            far = cm.read_h5ad(wide, block_rows=50)
            cm.pp.pca(far, 12, engine=client, lazy=lazy)
            assert (np.asarray(far.obsm["X_pca"]) == adata.obsm["X_pca"]).all()
            assert (far.varm["PCs"] == adata.varm["PCs"]).all()
            assert (far.uns["pca"]["variance"] == adata.uns["pca"]["variance"]).all()
        chunks.X = chunked(chunks.X, 130)
        cm.pp.pca(chunks, 12, engine=client)
        check(chunks, decomposed[True])


def test_too_little_memory(wide):
    adata = cm.read_h5ad(wide)
    before = cm.settings.memory
    cm.settings.memory = "5MB"
    try:
        with pytest.raises(MemoryError, match="Krylov basis"):
            cm.pp.pca(adata, 20)
    finally:
        cm.settings.memory = before


def test_all_genes_of_a_real_file():
    """32,738 genes: within 1e-6 of scanpy's arpack on the same values in double precision."""
    path = real("human_pbmc/pbmc3k_raw_csr.h5ad")
    lazy, memory = cm.read_h5ad(path), sc.read_h5ad(path)
    memory.X = memory.X.astype(np.float64)
    for module, adata in ((cm, lazy), (sc, memory)):
        module.pp.normalize_total(adata, target_sum=1e4)
        module.pp.log1p(adata)
    memory.X = memory.X.astype(np.float32).astype(np.float64)
    sc.pp.pca(memory, 50, svd_solver="arpack", dtype="float64")
    cm.pp.pca(lazy, 50)
    assert angles(memory.varm["PCs"], lazy.varm["PCs"]).max() < 1e-6
    assert np.allclose(memory.uns["pca"]["variance"], lazy.uns["pca"]["variance"], rtol=1e-7)
    scale = np.abs(memory.obsm["X_pca"]).max(axis=0)
    assert (np.abs(memory.obsm["X_pca"] - lazy.obsm["X_pca"]).max(axis=0) < 1e-5 * scale).all()
