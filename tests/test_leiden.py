"""leiden against igraph's, as scanpy calls it, on the same graph over ten seeds."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc

from check_clusters import check_clusterings, check_connected, check_labels, modularity
from command import ok
from datasets import LABEL
from scanpy_reference import graph, kept, leiden_runs

SEEDS = 10


@pytest.fixture
def only_graph(result, tmp_path):
    """`only_graph(name)`: a file with the graph of a result and nothing else."""

    def make(name):
        adata = result(name)
        path = tmp_path / f"{name}-graph.h5ad"
        ad.AnnData(
            obs=adata.obs[[LABEL[name]]],
            obsp={k: adata.obsp[k] for k in ("distances", "connectivities")},
            uns={"neighbors": adata.uns["neighbors"]},
        ).write_h5ad(path)
        return path

    return make


def leiden(source, folder, *options) -> ad.AnnData:
    target = folder / "clusters.h5ad"
    ok("leiden", source, "-o", target, "--quiet", "--force", *options)
    return ad.read_h5ad(target)


@pytest.mark.parametrize("resolution", [1.0, 0.4])
@pytest.mark.parametrize("name", ["synthetic", "pbmc3k", "mixology", "drawn"])
def test_ten_seeds(name, resolution, result, only_graph, tmp_path):
    connectivities = result(name).obsp["connectivities"]
    theirs = kept(leiden_runs, connectivities, resolution, SEEDS)
    source, ours = only_graph(name), []
    for seed in range(SEEDS):
        adata = leiden(source, tmp_path, "--resolution", resolution, "--seed", seed)
        check_labels(adata.obs["leiden"])
        check_connected(connectivities, adata.obs["leiden"])
        ours.append(adata.obs["leiden"].to_numpy())
    truth = result(name).obs[LABEL[name]]
    check_clusterings(connectivities, ours, theirs, resolution=resolution, truth=truth)


def test_until_no_gain(result, only_graph, tmp_path):
    """More iterations never lose; -1 ends where another run finds nothing."""
    connectivities = result("pbmc3k").obsp["connectivities"]
    g, source = graph(connectivities), only_graph("pbmc3k")
    reached = []
    for n in (1, 2, -1):
        adata = leiden(source, tmp_path, "--n-iterations", n)
        assert adata.uns["leiden"]["params"]["n_iterations"] == n
        check_connected(connectivities, adata.obs["leiden"])
        reached.append(modularity(g, adata.obs["leiden"]))
    assert reached[0] <= reached[1] + 1e-9 <= reached[2] + 2e-9, reached


def test_several_resolutions(run, only_graph, tmp_path):
    source = only_graph("pbmc3k")
    adata = leiden(source, tmp_path, "--resolution", 0.25, "--resolution", 1, "--resolution", 2)
    keys = [k for k in adata.obs if k.startswith("leiden_")]
    assert len(keys) == 3, keys
    assert sorted(float(k.removeprefix("leiden_")) for k in keys) == [0.25, 1.0, 2.0]
    sizes = [adata.obs[k].nunique() for k in sorted(keys, key=lambda k: float(k[7:]))]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
    for key in keys:
        assert adata.uns[key]["params"]["resolution"] == float(key.removeprefix("leiden_"))


def test_modularity_in_uns(result):
    """uns['leiden']['modularity'] is what scanpy's own function calculates."""
    adata = result("pbmc3k")
    stored = adata.uns["leiden"]["modularity"]
    assert stored == pytest.approx(
        modularity(graph(adata.obsp["connectivities"]), adata.obs["leiden"])
    )
    assert stored == pytest.approx(
        sc.metrics.modularity(adata.obsp["connectivities"], adata.obs["leiden"], is_directed=False)
    )


def test_known_communities(tmp_path):
    """Cliques joined in a ring are the communities; a lonely vertex is its own."""
    n, size = 12, 20
    i, j = [], []
    for c in range(n):
        members = np.arange(c * size, (c + 1) * size)
        a, b = np.meshgrid(members, members)
        i.extend(a[a != b])
        j.extend(b[a != b])
        i += [c * size, ((c + 1) % n) * size + 1]
        j += [((c + 1) % n) * size + 1, c * size]
    from scipy import sparse

    total = n * size + 1
    graph = sparse.coo_matrix((np.ones(len(i), np.float32), (i, j)), shape=(total, total)).tocsr()
    source = tmp_path / "ring.h5ad"
    ad.AnnData(
        obs=pd.DataFrame(index=[str(k) for k in range(total)]),
        obsp={"distances": graph, "connectivities": graph},
        uns={
            "neighbors": {
                "connectivities_key": "connectivities",
                "distances_key": "distances",
                "params": {"method": "umap", "n_neighbors": 15},
            }
        },
    ).write_h5ad(source)
    adata = leiden(source, tmp_path)
    labels = adata.obs["leiden"].to_numpy()
    assert len(np.unique(labels)) == n + 1
    for c in range(n):
        assert len(np.unique(labels[c * size : (c + 1) * size])) == 1
    check_labels(adata.obs["leiden"])
