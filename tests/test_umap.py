"""umap against umap-learn on the same graph."""

import anndata as ad
import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from check_layout import check_layout, kept_neighbours
from command import ok
from datasets import LABEL
from scanpy_reference import kept, layouts

SEEDS = {"synthetic": 3, "pbmc3k": 8, "mixology": 8, "drawn": 2}
"""Seeds of each tool."""


def umap(adata: ad.AnnData, folder, *options) -> ad.AnnData:
    """`cellmill umap` on a file that holds the graph and the PCA of a result."""
    source, target = folder / "graph.h5ad", folder / "layout.h5ad"
    ad.AnnData(
        obs=adata.obs[[]],
        obsm={"X_pca": adata.obsm["X_pca"]},
        obsp={k: adata.obsp[k] for k in ("distances", "connectivities")},
        uns={"neighbors": adata.uns["neighbors"]},
    ).write_h5ad(source)
    ok("umap", source, "-o", target, "--quiet", "--force", *options)
    return ad.read_h5ad(target)


@pytest.mark.parametrize("name", SEEDS)
def test_layout_is_as_good(name, result, tmp_path):
    adata = result(name)
    connectivities, points = adata.obsp["connectivities"], adata.obsm["X_pca"]
    theirs = kept(layouts, connectivities, points, SEEDS[name])
    ours = [adata.obsm["X_umap"]]
    ours += [umap(adata, tmp_path, "--seed", i).obsm["X_umap"] for i in range(1, SEEDS[name])]
    check_layout(ours, theirs, connectivities, points, adata.obs[LABEL[name]])


@pytest.mark.parametrize("init", ["pca", "random"])
def test_other_starts(init, result, tmp_path):
    adata = result("pbmc3k")
    layout = umap(adata, tmp_path, "--init", init).obsm["X_umap"]
    reference = kept_neighbours(adata.obsm["X_umap"], adata.obsm["X_pca"], 15)
    assert kept_neighbours(layout, adata.obsm["X_pca"], 15) > reference - 0.03


def test_umap_does_not_see_clusters(result, tmp_path):
    """X_umap is the same whether leiden ran or not."""
    adata = result("pbmc3k")
    alone = umap(adata, tmp_path).obsm["X_umap"]
    assert np.array_equal(alone, adata.obsm["X_umap"])


def test_seeds_differ_and_repeat(result, tmp_path):
    adata = result("synthetic")
    first = umap(adata, tmp_path, "--seed", 1)
    again = umap(adata, tmp_path, "--seed", 1).obsm["X_umap"]
    assert np.array_equal(first.obsm["X_umap"], again)
    assert not np.array_equal(again, adata.obsm["X_umap"])
    assert first.uns["umap"]["params"]["random_state"] == 1


@pytest.mark.parametrize(("min_dist", "spread"), [(0.5, 1.0), (0.1, 1.0), (0.3, 2.0)])
def test_a_and_b(min_dist, spread, result, tmp_path):
    from umap.umap_ import find_ab_params

    adata = umap(
        result("synthetic"), tmp_path, "--min-dist", min_dist, "--spread", spread, "--epochs", 20
    )
    a, b = find_ab_params(spread, min_dist)
    assert adata.uns["umap"]["params"]["a"] == pytest.approx(a, rel=1e-3)
    assert adata.uns["umap"]["params"]["b"] == pytest.approx(b, rel=1e-3)


def test_disconnected_graphs(tmp_path):
    """Components, one of them a single point, are laid out side by side, each in one piece."""
    rng = np.random.default_rng(4)
    label = np.repeat([0, 1, 2, 3], [400, 300, 40, 20])
    points = (rng.normal(0, 1, (760, 8)) + 500.0 * label[:, None]).astype(np.float32)
    source, target = tmp_path / "points.h5ad", tmp_path / "graph.h5ad"
    ad.AnnData(obs={"label": label}, obsm={"X_pca": points}).write_h5ad(source)
    ok("neighbors", source, "-o", target, "--quiet")
    adata = ad.read_h5ad(target)
    n, part = connected_components(adata.obsp["connectivities"], directed=False)
    assert n == 4
    layout = umap(adata, tmp_path).obsm["X_umap"]
    assert np.isfinite(layout).all()
    from check_layout import purity

    assert purity(layout, part) > 0.99


def test_a_point_without_edges(tmp_path, result):
    adata = result("synthetic")
    graph = sparse.lil_matrix(adata.obsp["connectivities"])
    graph[10, :] = 0
    graph[:, 10] = 0
    lonely = adata.copy()
    lonely.obsp["connectivities"] = graph.tocsr().astype(np.float32)
    lonely.obsp["connectivities"].eliminate_zeros()
    assert np.isfinite(umap(lonely, tmp_path).obsm["X_umap"]).all()


def test_two_and_few_cells(tmp_path):
    """The smallest inputs end with finite numbers or a sentence."""
    from command import cellmill, message

    rng = np.random.default_rng(0)
    for cells in (1, 2, 3, 5, 16):
        source, target = tmp_path / f"few{cells}.h5ad", tmp_path / f"out{cells}.h5ad"
        ad.AnnData(
            obs={"i": np.arange(cells)},
            obsm={"X_pca": rng.normal(size=(cells, 4)).astype(np.float32)},
        ).write_h5ad(source)
        done = cellmill("neighbors", source, "-o", target, "--n-neighbors", 3, "--quiet")
        if done.code:
            assert message(done)
            continue
        final = tmp_path / f"layout{cells}.h5ad"
        done = cellmill("umap", target, "-o", final, "--quiet")
        if done.code:
            assert message(done)
        else:
            assert np.isfinite(ad.read_h5ad(final).obsm["X_umap"]).all()
