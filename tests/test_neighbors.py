"""neighbors: exact below 8,192 cells, approximate above, the fuzzy set in both cases."""

import anndata as ad
import numpy as np
import pytest
import scanpy as sc
from scipy import sparse

from check_graph import (
    check_connectivities,
    check_exact,
    check_recall,
    fuzzy,
    n_components,
    rows,
)
from command import ok
from datasets import LABEL
from scanpy_reference import exact_neighbors, kept

SMALL = ["synthetic", "pbmc3k", "mixology"]


def neighbors(points: np.ndarray, folder, *options, key="X_scVI") -> ad.AnnData:
    """`cellmill neighbors` on a file that holds these points and no X."""
    source, target = folder / "points.h5ad", folder / "graph.h5ad"
    ad.AnnData(
        obs={"i": np.arange(len(points))},
        obsm={key: np.asarray(points)},
    ).write_h5ad(source)
    ok("neighbors", source, "-o", target, "--use-rep", key, "--quiet", "--force", *options)
    return ad.read_h5ad(target)


@pytest.mark.parametrize("name", SMALL)
def test_exact_search_is_exact(name, result):
    adata = result(name)
    exact = kept(exact_neighbors, adata.obsm["X_pca"], 14, "euclidean")
    assert adata.obsp["distances"].dtype == np.float64
    check_exact(adata.obsp["distances"], exact)


@pytest.mark.parametrize("name", SMALL)
def test_neighbours_are_scanpys(name, result):
    adata = result(name)
    theirs = ad.AnnData(obs=adata.obs[[]], obsm={"X_pca": adata.obsm["X_pca"]})
    sc.pp.neighbors(theirs, use_rep="X_pca")
    check_exact(adata.obsp["distances"], rows(theirs.obsp["distances"]))
    error = abs(adata.obsp["connectivities"] - theirs.obsp["connectivities"])
    assert error.max() < 1e-4


@pytest.mark.parametrize("name", [*SMALL, "drawn"])
def test_connectivities_are_umaps(name, result):
    check_connectivities(result(name))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("k", [2, 5, 30])
def test_metric_and_k(metric, k, result, tmp_path):
    points = result("synthetic").obsm["X_pca"]
    adata = neighbors(points, tmp_path, "--metric", metric, "--n-neighbors", k)
    check_exact(adata.obsp["distances"], exact_neighbors(points, k - 1, metric))
    check_connectivities(adata)
    assert adata.uns["neighbors"]["params"]["metric"] == metric
    assert adata.uns["neighbors"]["params"]["n_neighbors"] == k


def test_n_pcs(result, tmp_path):
    points = result("synthetic").obsm["X_pca"]
    source, target = tmp_path / "points.h5ad", tmp_path / "graph.h5ad"
    ad.AnnData(obs={"i": np.arange(len(points))}, obsm={"X_pca": points}).write_h5ad(source)
    ok("neighbors", source, "-o", target, "--n-pcs", 8, "--quiet")
    adata = ad.read_h5ad(target)
    check_exact(adata.obsp["distances"], exact_neighbors(points[:, :8], 14, "euclidean"))
    assert adata.uns["neighbors"]["params"]["n_pcs"] == 8


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_recall_on_drawn_cells(metric, result, tmp_path):
    adata = result("drawn")
    points = adata.obsm["X_pca"]
    found = adata if metric == "euclidean" else neighbors(points, tmp_path, "--metric", metric)
    exact = kept(exact_neighbors, points, 14, metric)
    assert found.obsp["distances"].dtype == np.float32
    check_recall(found.obsp["distances"], exact, adata.obs[LABEL["drawn"]])


def latent(cells=20_000, seed=3) -> tuple[np.ndarray, np.ndarray]:
    """A latent space like scVI's: 30 dimensions, curved types, the rarest 0.2 %."""
    rng = np.random.default_rng(seed)
    share = np.r_[0.002, rng.dirichlet(np.full(11, 2.0)) * 0.998]
    label = rng.choice(12, cells, p=share)
    centre = rng.normal(0, 1.2, (12, 30))
    along = rng.normal(0, 1, (12, 30))
    t = rng.uniform(-1.5, 1.5, (cells, 1))
    noise = rng.normal(0, 0.35, (cells, 30))
    return (centre[label] + t * along[label] * 0.6 + noise).astype(np.float32), label


def test_recall_on_a_latent_space(tmp_path):
    points, label = latent()
    exact = kept(exact_neighbors, points, 14, "euclidean")
    adata = neighbors(points, tmp_path)
    check_recall(adata.obsp["distances"], exact, label)
    check_connectivities(adata)
    true = sparse.csr_matrix(
        (exact[1].ravel() + 1e-9, exact[0].ravel(), np.arange(0, exact[0].size + 1, 14)),
        shape=(len(points),) * 2,
    )
    assert n_components(adata.obsp["connectivities"]) == n_components(fuzzy(true))


def test_components_are_those_of_the_exact_graph(result):
    adata = result("drawn")
    ids, values = kept(exact_neighbors, adata.obsm["X_pca"], 14, "euclidean")
    exact = sparse.csr_matrix(
        (values.ravel() + 1e-9, ids.ravel(), np.arange(0, ids.size + 1, 14)),
        shape=(adata.n_obs,) * 2,
    )
    assert n_components(adata.obsp["connectivities"]) == n_components(fuzzy(exact))


def test_far_islands_stay_apart(tmp_path):
    """Approximate search never joins what exact search leaves apart."""
    rng = np.random.default_rng(5)
    label = np.arange(9000) % 9
    points = rng.normal(0, 1, (9000, 10)) + 1000.0 * label[:, None]
    adata = neighbors(points.astype(np.float32), tmp_path)
    assert n_components(adata.obsp["connectivities"]) >= 9
    i, j = adata.obsp["connectivities"].nonzero()
    assert (label[i] == label[j]).all()


@pytest.mark.parametrize("cells", [2000, 12_000], ids=["exact", "approximate"])
def test_more_identical_points_than_k(cells, tmp_path):
    """Sixty copies of each of ten points: their neighbours are copies, at distance 0."""
    rng = np.random.default_rng(9)
    points = rng.normal(0, 1, (cells, 12)).astype(np.float32)
    copies = rng.permutation(cells)[:600].reshape(10, 60)
    for group in copies:
        points[group] = points[group[0]]
    adata = neighbors(points, tmp_path)
    ids, values = rows(adata.obsp["distances"])
    assert (values[copies.ravel()] == 0).all()
    for group in copies:
        assert np.isin(ids[group], group).all()
    check_connectivities(adata)
    exact = exact_neighbors(points, 14, "euclidean")
    if cells < 8192:
        assert np.allclose(values, exact[1], atol=1e-5)
    else:
        check_recall(adata.obsp["distances"], exact)


def test_more_neighbours_than_cells(tmp_path):
    """scanpy takes half of the cells then, and so do we."""
    points = np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)
    adata = neighbors(points, tmp_path, "--n-neighbors", 40)
    theirs = ad.AnnData(obs={"i": np.arange(30)}, obsm={"X_scVI": points})
    sc.pp.neighbors(theirs, n_neighbors=40, use_rep="X_scVI")
    check_exact(adata.obsp["distances"], rows(theirs.obsp["distances"]))


def test_x_is_never_opened(tmp_path):
    """A file whose X cannot be read is good enough for a step that does not need it."""
    import h5py

    rng = np.random.default_rng(2)
    source, target = tmp_path / "broken.h5ad", tmp_path / "graph.h5ad"
    ad.AnnData(
        sparse.random(500, 40, 0.1, format="csr", rng=rng, dtype=np.float32),
        obsm={"X_scVI": rng.normal(size=(500, 10)).astype(np.float32)},
    ).write_h5ad(source)
    with h5py.File(source, "r+") as file:
        file["X/indptr"][5] = -77
        file["X/indices"][3] = 10_000
    ok("neighbors", source, "-o", target, "--use-rep", "X_scVI", "--quiet")
    with h5py.File(target) as file:
        assert file["X/indptr"][5] == -77, "X is copied as it is"
        assert file["obsp/distances/data"].shape == (500 * 14,)
