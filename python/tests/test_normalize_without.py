"""pp.normalize_total without highly expressed genes, and pp.sqrt, against scanpy."""

import cellmill as cm
import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData
from cellmill._lazy import plan_of
from conftest import KINDS, dense
from scipy import sparse
from test_hvg import real

FRACTION = 0.15


def normalised(ours, theirs, **options):
    for module, adata in ((cm, ours), (sc, theirs)):
        module.pp.normalize_total(adata, exclude_highly_expressed=True, **options)


def close(ours, theirs):
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(dense(ours), dense(theirs), rtol=2e-6)


@pytest.mark.parametrize("target", [None, 1e4])
@pytest.mark.parametrize("kind", KINDS)
def test_without_highly_expressed_genes(make, reference, kind, target):
    ours = make(kind)
    before = dense(reference.X)
    much = (before > FRACTION * before.sum(axis=1, keepdims=True)).any(axis=0)
    assert 0 < much.sum() < 100
    options = {"target_sum": target, "max_fraction": FRACTION, "key_added": "factor"}
    normalised(ours, reference, **options)
    close(ours.X, reference.X)
    close(ours.obs["factor"].to_numpy(), reference.obs["factor"].to_numpy())
    if kind.startswith("lazy"):
        assert f"without {much.sum()} genes" in plan_of(ours.X).op_names()[0]


@pytest.mark.parametrize("dtype", ["int32", "uint16", "float64"])
@pytest.mark.parametrize("kind", ["lazy-7", "dask-csr", "csr", "dense"])
def test_dtypes_layers_and_dictionaries(make, reference, kind, dtype):
    ours = make(kind, dtype)
    reference.X = reference.X.astype(dtype)
    for adata in (ours, reference):
        adata.layers["counts"] = adata.X.copy()
    options = {"layer": "counts", "max_fraction": FRACTION}
    mine, theirs = (
        module.pp.normalize_total(adata, exclude_highly_expressed=True, inplace=False, **options)
        for module, adata in ((cm, ours), (sc, reference))
    )
    close(mine["X"], theirs["X"])
    close(mine["norm_factor"], theirs["norm_factor"])
    normalised(ours, reference, **options)
    close(ours.layers["counts"], reference.layers["counts"])
    np.testing.assert_array_equal(dense(ours.X), dense(reference.X))


def test_behind_selections_and_before_others(make, reference):
    lazy = make("lazy-7")
    cells = np.arange(900) % 3 > 0
    ours, theirs = lazy[cells, 20:500].copy(), reference[cells, 20:500].copy()
    normalised(ours, theirs, max_fraction=FRACTION)
    close(ours.X, theirs.X)
    close(ours[7:90, ::5].copy().X, theirs[7:90, ::5].X)


@pytest.mark.parametrize("kind", ["csr", "dense", "dask"])
def test_cells_whose_counts_are_all_left_out(kind):
    x = np.array([[3, 3, 3, 6, 6], [0, 9, 0, 0, 0], [0, 0, 0, 0, 0], [1, 22, 1, 2, 2]], "f4")
    ours, theirs = AnnData(x.copy()), AnnData(x.copy())
    if kind != "dense":
        ours.X, theirs.X = sparse.csr_matrix(x), sparse.csr_matrix(x)
    if kind == "dask":
        from conftest import chunked

        ours.X = chunked(ours.X, 3)
    options = {"max_fraction": 0.5, "target_sum": 10, "exclude_highly_expressed": True}
    if kind == "dask":
        cm.pp.normalize_total(ours, **options)
    else:
        with pytest.warns(UserWarning, match="zero counts"):
            cm.pp.normalize_total(ours, **options)
    with pytest.warns(UserWarning, match="zero counts"):
        sc.pp.normalize_total(theirs, **options)
    close(ours.X, theirs.X)
    assert dense(ours.X)[1, 1] == 9


def test_fractions(make):
    with pytest.raises(ValueError, match="max_fraction"):
        cm.pp.normalize_total(make("csr"), exclude_highly_expressed=True, max_fraction=-1)
    # With 0, every gene that is there is left out.
    with pytest.raises(ValueError, match="zero counts"):
        cm.pp.normalize_total(make("lazy"), exclude_highly_expressed=True, max_fraction=0)


def test_real_counts():
    theirs = sc.read_h5ad(real("human_pbmc/pbmc3k_raw_csr.h5ad"))
    ours = cm.read_h5ad(real("human_pbmc/pbmc3k_raw_csr.h5ad"))
    normalised(ours, theirs, key_added="factor")
    close(ours.X, theirs.X)
    close(ours.obs["factor"].to_numpy(), theirs.obs["factor"].to_numpy())
    for module, adata in ((cm, ours), (sc, theirs)):
        module.pp.sqrt(adata)
    close(ours.X, theirs.X)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint16"])
@pytest.mark.parametrize("kind", KINDS)
def test_sqrt(make, reference, kind, dtype):
    ours = make(kind, dtype)
    reference.X = reference.X.astype(dtype)
    assert cm.pp.sqrt(ours) is None
    sc.pp.sqrt(reference)
    assert ours.X.dtype == reference.X.dtype
    np.testing.assert_array_equal(dense(ours.X), dense(reference.X))
    if kind.startswith("lazy"):
        assert plan_of(ours.X).op_names() == ["sqrt"]


def test_sqrt_of_copies_matrices_and_small_integers(make):
    adata = make("csr", "uint8")
    assert cm.pp.sqrt(adata, copy=True).X.dtype == np.float32
    assert adata.X.dtype == np.uint8
    lazy = make("lazy", "uint8")
    roots = cm.pp.sqrt(lazy.X)
    assert roots.dtype == np.float32
    np.testing.assert_array_equal(dense(roots), dense(cm.pp.sqrt(adata.X)))


def test_sqrt_refuses(make):
    for options in ({"chunked": True}, {"chunk_size": 100}):
        with pytest.raises(ValueError, match="chunk"):
            cm.pp.sqrt(make("csr"), **options)
    lazy = make("lazy")
    cm.pp.scale(lazy)
    with pytest.raises(ValueError, match="zero_center"):
        cm.pp.sqrt(lazy)
    with pytest.raises(ValueError, match="row 1, column 0"):
        cm.pp.sqrt(np.array([[1.0, 4], [-1, 0]]))
    np.testing.assert_array_equal(cm.pp.sqrt(np.array([[1.0, 4], [0, 9]])), [[1, 2], [0, 3]])
