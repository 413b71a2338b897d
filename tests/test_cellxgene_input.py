"""Input as CELLxGENE gives it: counts in raw/X, normalised X, the author's own results."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc

from command import ok, refused
from datasets import synthetic

GENES, DROPPED = 600, 80


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    """An atlas whose X misses some genes of raw, with stale slots and the author's results."""
    adata = synthetic(cells=900, genes=GENES, types=4, seed=11)
    adata.var = pd.DataFrame(
        {"feature_name": pd.Categorical([f"SYM{i}" for i in range(GENES)])},
        index=pd.Index([f"ENSG{i:011d}" for i in range(GENES)], name="gene_id"),
    )
    counts = adata.copy()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    kept = np.ones(GENES, dtype=bool)
    kept[np.random.default_rng(0).permutation(GENES)[:DROPPED]] = False
    adata = adata[:, kept].copy()
    adata.raw = counts
    adata.var["feature_is_filtered"] = False
    adata.var["score"] = np.arange(adata.n_vars, dtype=np.float64)
    sc.pp.highly_variable_genes(adata, n_top_genes=100)
    sc.pp.pca(adata, n_comps=10)
    sc.pp.neighbors(adata)
    rng = np.random.default_rng(1)
    adata.obsm["X_umap"] = rng.normal(size=(900, 2)).astype(np.float32)
    adata.obsm["X_scVI"] = rng.normal(size=(900, 8)).astype(np.float32)
    adata.obs["leiden"] = pd.Categorical(rng.choice(["A", "B"], 900))
    adata.uns["leiden_colors"] = np.array(["#111111", "#222222"])
    adata.uns["type_colors"] = np.array(["#aa0000", "#00aa00", "#0000aa", "#aaaaaa"])
    adata.uns["title"] = "An atlas"
    adata.uns["schema_version"] = "5.2.0"
    adata.layers["scaled"] = np.zeros((900, adata.n_vars), dtype=np.float32)
    adata.varm["stale"] = np.zeros((adata.n_vars, 3))
    path = tmp_path_factory.mktemp("cellxgene") / "atlas.h5ad"
    adata.write_h5ad(path, compression="gzip")
    return path, adata, counts


@pytest.fixture(scope="module")
def made(atlas, tmp_path_factory):
    target = tmp_path_factory.mktemp("cellxgene") / "result.h5ad"
    options = ["--n-top-genes", 200, "--n-comps", 20]
    done = ok("run", atlas[0], "-o", target, *options)
    return ad.read_h5ad(target), done


def test_counts_are_found(atlas, made):
    _, _, counts = atlas
    adata, done = made
    assert "raw/X" in done.text
    assert list(adata.var_names) == list(counts.var_names)
    assert (adata.layers["counts"] != counts.X).nnz == 0
    assert adata.raw is None


def test_var_is_joined(atlas, made):
    _, source, counts = atlas
    adata, _ = made
    assert list(adata.var["feature_name"].astype(str)) == list(
        counts.var["feature_name"].astype(str)
    )
    assert {"feature_is_filtered", "score"} <= set(adata.var)
    present = adata.var_names.isin(source.var_names)
    assert np.array_equal(
        adata.var["score"][present].to_numpy(dtype=float), source.var["score"].to_numpy()
    )
    assert adata.var["score"][~present].isna().all()


def test_x_is_fresh(made, atlas):
    adata, _ = made
    _, _, counts = atlas
    theirs = counts.copy()
    sc.pp.normalize_total(theirs, target_sum=1e4)
    sc.pp.log1p(theirs)
    assert np.allclose(adata.X.toarray(), theirs.X.toarray(), rtol=1e-6)


def test_stale_slots_are_dropped_and_listed(made):
    adata, done = made
    assert "scaled" not in adata.layers
    assert "stale" not in adata.varm
    (loadings,) = (v for k, v in adata.varm.items() if k.startswith("PCs"))
    assert loadings.shape == (GENES, 20), "ours alone: those of the other genes are stale"
    (components,) = (v for k, v in adata.uns.items() if k.startswith("pca"))
    assert components["variance"].shape == (20,)
    assert "scaled" in done.text
    assert "stale" in done.text


def test_authors_results_are_kept(atlas, made):
    _, source, _ = atlas
    adata, done = made
    assert np.array_equal(adata.obsm["X_umap"], source.obsm["X_umap"])
    assert np.array_equal(adata.obsm["X_scVI"], source.obsm["X_scVI"])
    assert adata.obs["leiden"].equals(source.obs["leiden"])
    assert list(adata.uns["leiden_colors"]) == list(source.uns["leiden_colors"])
    assert list(adata.uns["type_colors"]) == list(source.uns["type_colors"])
    assert adata.uns["title"] == "An atlas"
    assert adata.uns["schema_version"] == "5.2.0"
    layout = [k for k in adata.obsm if "umap" in k and k != "X_umap"]
    groups = [k for k in adata.obs if "leiden" in k and k != "leiden"]
    assert len(layout) == 1, f"our layout is under a key of its own: {list(adata.obsm)}"
    assert len(groups) == 1, f"our clusters are under a key of their own: {list(adata.obs)}"
    assert layout[0] in done.text
    assert groups[0] in done.text


def test_overwrite_replaces_them(atlas, tmp_path):
    path, source, _ = atlas
    target = tmp_path / "result.h5ad"
    ok("run", path, "-o", target, "--overwrite", "--n-top-genes", 200, "--n-comps", 20, "--quiet")
    adata = ad.read_h5ad(target)
    assert not np.array_equal(adata.obsm["X_umap"], source.obsm["X_umap"])
    assert set(adata.obs["leiden"].cat.categories).isdisjoint({"A", "B"})
    assert "leiden_colors" not in adata.uns
    assert list(adata.uns["type_colors"]) == list(source.uns["type_colors"])
    assert [k for k in adata.obsm if "umap" in k] == ["X_umap"]
    assert "X_scVI" in adata.obsm


def test_scanpy_goes_on(made):
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    mpl.use("Agg")
    adata = made[0].copy()
    sc.pl.umap(adata, color="SYM3", gene_symbols="feature_name", show=False)
    sc.pl.umap(adata, color="type", show=False)
    sc.tl.rank_genes_groups(adata, "type", method="t-test")
    plt.close("all")


def test_two_candidates_are_refused(atlas, tmp_path):
    """Counts in raw/X, and other counts in a layer: the user chooses."""
    _, adata, counts = atlas
    both = adata.copy()
    other = counts[:, both.var_names].X.copy()
    other.data = other.data + 1
    both.layers["spliced"] = other
    path = tmp_path / "both.h5ad"
    both.write_h5ad(path)
    refused(
        "run",
        path,
        "-o",
        tmp_path / "result.h5ad",
        names=["raw/X", "layers/spliced", "--matrix"],
        leaves=tmp_path,
    )
    target = tmp_path / "result.h5ad"
    options = ["--n-top-genes", 200, "--n-comps", 20, "--quiet"]
    ok("run", path, "-o", target, "--matrix", "layers/spliced", *options)
    chosen = ad.read_h5ad(target)
    assert chosen.n_vars == both.n_vars
    assert (chosen.layers["counts"] != other).nnz == 0


def test_one_matrix_in_two_places_is_one_candidate(tmp_path):
    """X and layers/counts that hold the same counts do not need a choice."""
    adata = synthetic(cells=300, genes=200, types=3, seed=2)
    adata.layers["counts"] = adata.X.copy()
    path, target = tmp_path / "twice.h5ad", tmp_path / "result.h5ad"
    adata.write_h5ad(path)
    ok("run", path, "-o", target, "--n-top-genes", 100, "--n-comps", 10, "--quiet")
    result = ad.read_h5ad(target)
    assert (result.layers["counts"] != adata.X).nnz == 0
