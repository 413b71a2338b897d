"""pp.regress_out on each kind of matrix against scanpy, and PCA behind it."""

import cellmill as cm
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData
from conftest import KINDS, dense
from scipy import sparse
from test_hvg import real
from test_scale import logged

NUMBERS = ["n_counts", "percent", "phase"]


def with_keys(adata):
    """The AnnData with numbers and categories of its cells."""
    rng = np.random.default_rng(0)
    adata.obs["n_counts"] = rng.normal(2e4, 3e3, adata.n_obs).astype("float32")
    adata.obs["percent"] = rng.random(adata.n_obs)
    adata.obs["phase"] = rng.integers(0, 3, adata.n_obs)
    adata.obs["batch"] = pd.Categorical(rng.choice(list("abc"), adata.n_obs), list("abcd"))
    adata.obs["sometimes"] = adata.obs["batch"].where(rng.random(adata.n_obs) < 0.8)
    adata.obs["text"] = adata.obs["batch"].astype(str)
    return adata


def both(ours, theirs, keys, **options):
    for module, adata in ((cm, ours), (sc, theirs)):
        with_keys(adata)
        module.pp.regress_out(adata, keys, **options)


def close(ours, theirs, atol=2e-5):
    np.testing.assert_allclose(dense(ours), dense(theirs), rtol=1e-5, atol=atol)


@pytest.mark.parametrize("keys", ["percent", NUMBERS, "batch"], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_regress_out(make, reference, kind, keys):
    ours = make(kind)
    logged((cm, ours), (sc, reference))
    # scanpy's regressions on categories take a second for 100 genes.
    ours, reference = ours[:, :90].copy(), reference[:, :90].copy()
    both(ours, reference, keys)
    close(ours.X, reference.X)
    lazy = kind.startswith(("lazy", "dask"))
    assert ours.X.dtype == (np.float32 if lazy else reference.X.dtype)
    assert isinstance(ours.X[:9].compute() if lazy else ours.X, np.ndarray)


@pytest.mark.parametrize("dtype", ["float64", "int32", "int64", "uint8"])
@pytest.mark.parametrize("kind", ["lazy-7", "dask-csr", "csr", "dense"])
def test_dtypes(make, reference, kind, dtype):
    ours, theirs = make(kind, dtype), reference[:, :60].copy()
    ours = ours[:, :60].copy()
    theirs.X = theirs.X.astype(dtype)
    both(ours, theirs, NUMBERS)
    assert ours.X.dtype == theirs.X.dtype
    # Its inverse of a matrix of condition 1e10 leaves scanpy six digits.
    close(ours.X, theirs.X, atol=1e-5)


@pytest.mark.parametrize("kind", ["lazy-7", "csr"])
@pytest.mark.parametrize("keys", ["sometimes", "text", ["percent", "phase", "percent"]], ids=str)
def test_missing_categories_strings_and_keys_twice(make, reference, kind, keys):
    ours, theirs = make(kind)[:, :40].copy(), reference[:, :40].copy()
    if kind == "csr":
        # The same value in every cell: scanpy leaves such a gene as it is where it uses GLM.
        for adata in (ours, theirs):
            x = adata.X.toarray()
            x[:, 3] = 0.1
            adata.X = sparse.csr_matrix(x)
    if isinstance(keys, list):
        # The residuals of keys of which one is there twice are those without it.
        with_keys(ours)
        cm.pp.regress_out(ours, keys)
        sc.pp.regress_out(with_keys(theirs), keys[:2])
        if kind == "csr":
            assert ours.X.dtype == np.float64
            assert (ours.X[:, 3] == np.float32(0.1)).all()
            ours.X[:, 3] = 0
        close(ours.X, theirs.X)
        return
    both(ours, theirs, keys)
    close(ours.X, theirs.X)
    assert ours.obs[keys].dtype == theirs.obs[keys].dtype


def test_layers_copies_and_selections(make, reference):
    lazy = with_keys(make("lazy-7"))
    lazy.layers["counts"] = lazy.X.copy()
    part = lazy[lazy.obs["phase"] > 0, 10:60].copy()
    theirs = with_keys(reference)
    theirs.layers["counts"] = theirs.X.copy()
    theirs = theirs[theirs.obs["phase"] > 0, 10:60].copy()
    copied = cm.pp.regress_out(part, ["percent"], layer="counts", copy=True)
    sc.pp.regress_out(theirs, ["percent"], layer="counts")
    close(copied.layers["counts"], theirs.layers["counts"])
    assert part.layers["counts"].dtype == np.float32
    np.testing.assert_array_equal(dense(copied.X), dense(part.X))
    np.testing.assert_array_equal(dense(part.layers["counts"]), dense(part.X))
    # And cells selected afterwards.
    close(copied[5:50].copy().layers["counts"], theirs.layers["counts"][5:50])


@pytest.mark.parametrize("kind", ["lazy", "lazy-7", "dask-csr", "csr"])
def test_pca_of_residuals(make, reference, kind):
    ours = make(kind)
    logged((cm, ours), (sc, reference))
    ours, reference = ours[:, :150].copy(), reference[:, :150].copy()
    both(ours, reference, NUMBERS)
    for module, adata in ((cm, ours), (sc, reference)):
        module.pp.pca(adata, n_comps=8)
    np.testing.assert_allclose(
        ours.uns["pca"]["variance"], reference.uns["pca"]["variance"], rtol=1e-4
    )


@pytest.mark.parametrize("keys", ["key", "batch"])
def test_one_cell_and_empty_cells(keys):
    x = np.array([[0, 0, 2.0], [1, 0, 5], [0, 0, 0], [3, 0, 1]], dtype="float32")
    for rows in (4, 1):
        obs = {
            "key": [1.0, 2, 4, 7][:rows],
            "batch": pd.Categorical(list("aabb")[:rows]),
        }
        made = [AnnData(sparse.csr_matrix(x[:rows]), pd.DataFrame(obs)) for _ in range(2)]
        for module, adata in zip((cm, sc), made, strict=True):
            module.pp.regress_out(adata, keys)
        close(made[0].X, dense(made[1].X), atol=1e-6)


def test_real_counts():
    theirs = sc.read_h5ad(real("human_pbmc/pbmc3k_raw_csr.h5ad"))
    ours = cm.read_h5ad(real("human_pbmc/pbmc3k_raw_csr.h5ad"))
    for module, adata in ((cm, ours), (sc, theirs)):
        module.pp.calculate_qc_metrics(adata, percent_top=None, inplace=True)
    logged((cm, ours), (sc, theirs))
    ours, theirs = ours[:, 100:400].copy(), theirs[:, 100:400].copy()
    for module, adata in ((cm, ours), (sc, theirs)):
        module.pp.regress_out(adata, ["total_counts", "n_genes_by_counts"])
    close(ours.X, theirs.X)


def test_what_cannot_be_is_refused(make):
    adata = with_keys(make("csr"))
    adata.obs["hole"] = adata.obs["percent"].where(adata.obs["percent"] > 0.1)
    adata.obs["flag"] = adata.obs["phase"] > 0
    refused = [
        (["hole"], ValueError, "finite"),
        (["flag"], ValueError, "bool"),
        (["percent", "batch"], ValueError, "category"),
        (["batch", "percent"], ValueError, "single one"),
        ("nothing", KeyError, "nothing"),
        ([], ValueError, "no column"),
    ]
    for keys, error, names in refused:
        with pytest.raises(error, match=names):
            cm.pp.regress_out(adata, keys)
    with pytest.raises(ValueError, match="n_jobs"):
        cm.pp.regress_out(adata, "percent", n_jobs=2)
    lazy = with_keys(make("lazy"))
    cm.pp.scale(lazy)
    with pytest.raises(ValueError, match="zero_center"):
        cm.pp.regress_out(lazy, "percent")
