"""What users do next: scanpy's plots and tests on the result give what they give from counts."""

import anndata as ad
import matplotlib as mpl
import numpy as np
import pytest
import scanpy as sc

from datasets import LABEL, dataset

mpl.use("Agg")
NAMES = ["synthetic", "pbmc3k"]


@pytest.fixture(params=NAMES)
def pair(request, result):
    """A result, and an AnnData that scanpy made from the counts with the result's embeddings."""
    adata = result(request.param).copy()
    theirs = ad.read_h5ad(dataset(request.param))
    sc.pp.normalize_total(theirs, target_sum=1e4)
    sc.pp.log1p(theirs)
    for key in ("X_umap", "X_pca"):
        theirs.obsm[key] = adata.obsm[key]
    theirs.obs["leiden"] = adata.obs["leiden"]
    return request.param, adata, theirs


def drawn(plot, adata, **options):
    """The points and colours of a scanpy scatter."""
    import matplotlib.pyplot as plt

    axes = plot(adata, show=False, sort_order=False, **options)
    points = axes.collections[0]
    found = np.asarray(points.get_offsets()), np.asarray(points.get_array(), dtype=float)
    plt.close("all")
    return found


def test_gene_on_umap(pair):
    _, adata, theirs = pair
    gene = adata.var.index[np.argmax(np.asarray(adata.X.sum(axis=0)))]
    for plot in (sc.pl.umap, sc.pl.pca):
        ours, reference = drawn(plot, adata, color=gene), drawn(plot, theirs, color=gene)
        assert np.allclose(ours[0], reference[0])
        assert np.allclose(ours[1], reference[1], rtol=1e-6)
        assert ours[1].max() > 0


def test_clusters_and_labels(pair):
    import matplotlib.pyplot as plt

    name, adata, _ = pair
    for key in ("leiden", LABEL[name]):
        sc.pl.umap(adata, color=key, show=False)
        sc.pl.pca(adata, color=key, show=False)
        assert len(adata.uns[f"{key}_colors"]) == adata.obs[key].nunique()
    sc.pl.pca_variance_ratio(adata, show=False)
    sc.pl.highly_variable_genes(adata, show=False)
    plt.close("all")


def test_rank_genes_groups(pair):
    _, adata, theirs = pair
    big = adata.obs["leiden"].value_counts()
    groups = list(big.index[big >= 10].astype(str))
    for method in ("t-test", "wilcoxon"):
        for x in (adata, theirs):
            sc.tl.rank_genes_groups(x, "leiden", groups=groups, method=method)
        ours, reference = adata.uns["rank_genes_groups"], theirs.uns["rank_genes_groups"]
        for group in groups:
            assert np.allclose(ours["scores"][group], reference["scores"][group], atol=2e-3)
            top = set(ours["names"][group][:20]), set(reference["names"][group][:20])
            assert len(top[0] & top[1]) >= 19


def test_go_on_with_scanpy(pair):
    """Steps that read the slots: a second clustering, a tree, a map of clusters."""
    _, adata, _ = pair
    sc.tl.leiden(
        adata, key_added="again", flavor="igraph", n_iterations=2, directed=False, resolution=0.5
    )
    sc.tl.umap(adata, maxiter=5)
    sc.tl.dendrogram(adata, "leiden")
    sc.tl.paga(adata, groups="leiden")
    sc.tl.diffmap(adata, n_comps=5)
    assert adata.obs["again"].nunique() > 1


def test_written_again_and_read(pair, tmp_path):
    _, adata, _ = pair
    adata.write_h5ad(tmp_path / "again.h5ad")
    again = ad.read_h5ad(tmp_path / "again.h5ad")
    assert np.array_equal(again.obsm["X_umap"], adata.obsm["X_umap"])


def test_backed(run):
    adata = ad.read_h5ad(run("synthetic"), backed="r")
    assert adata.X[:5].shape == (5, adata.n_vars)
    adata.file.close()
