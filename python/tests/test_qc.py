"""Quality control and filters against scanpy, on every kind of matrix."""

import os
from pathlib import Path

import anndata as ad
import cellmill as cm
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from cellmill._lazy import plan_of
from conftest import KINDS, dense
from scipy import sparse

MIDDLE = "the median total"
ROOT = Path(__file__).resolve().parents[2]


def real(name):
    """A file of the real data; the test is skipped by name where it is absent."""
    given = os.environ.get("CELLMILL_TEST_DATA")
    path = (Path(given) if given else ROOT.parent / "shared/data") / name
    if not path.exists():
        pytest.skip(f"real data {name} is absent (CELLMILL_TEST_DATA or ../shared/data)")
    return path


def same(mine, theirs, rtol=1e-6):
    """Equal columns, order and dtypes; values within the rounding of scanpy's f32 sums."""
    assert list(mine.columns) == list(theirs.columns)
    assert mine.dtypes.astype(str).to_dict() == theirs.dtypes.astype(str).to_dict()
    pd.testing.assert_frame_equal(mine, theirs, rtol=rtol, atol=0)


def marked(adata):
    adata.var["mt"] = np.arange(adata.n_vars) % 13 == 0
    adata.var["none"] = False
    return adata


def in_memory(adata):
    """The same AnnData for scanpy: as CSR where it is lazy, or CSC chunks that scanpy refuses."""
    x = adata.X
    if plan_of(x) is None and getattr(getattr(x, "_meta", None), "format", "csr") == "csr":
        return adata.copy()
    return ad.AnnData(x.compute().tocsr(), obs=adata.obs.copy(), var=adata.var.copy())


@pytest.mark.parametrize("kind", KINDS)
def test_metrics_of_every_kind(make, kind):
    adata = marked(make(kind))
    options = {"qc_vars": ["mt", "none"], "percent_top": (10, 5, 100)}
    theirs = sc.pp.calculate_qc_metrics(in_memory(adata), **options)
    mine = cm.pp.calculate_qc_metrics(adata, **options)
    same(mine[0], theirs[0])
    same(mine[1], theirs[1])
    assert "total_counts" not in adata.obs
    assert cm.pp.calculate_qc_metrics(adata, inplace=True, **options) is None
    assert list(adata.obs.columns)[-len(mine[0].columns) :] == list(mine[0].columns)
    same(adata.var[mine[1].columns], mine[1])


@pytest.mark.parametrize("dtype", ["float64", "int32", "int64", "uint8", "uint16"])
@pytest.mark.parametrize("kind", ["lazy", "csr", "csc", "dense", "dask-csr"])
def test_dtypes_of_every_dtype(make, kind, dtype):
    adata = marked(make(kind, dtype))
    options = {"qc_vars": "mt", "percent_top": [7]}
    theirs = sc.pp.calculate_qc_metrics(in_memory(adata), **options)
    mine = cm.pp.calculate_qc_metrics(adata, **options)
    if dtype == "uint8":
        # scanpy sums the largest counts in uint8, which holds no more than 255.
        wide = ad.AnnData(np.asarray(dense(adata.X), dtype="float64"), var=adata.var)
        top = "pct_counts_in_top_7_genes"
        theirs[0][top] = sc.pp.calculate_qc_metrics(wide, **options)[0][top].to_numpy()
    same(mine[0], theirs[0])
    same(mine[1], theirs[1])


def test_names_and_logarithms_can_be_chosen(reference):
    options = {
        "expr_type": "umis",
        "var_type": "features",
        "percent_top": None,
        "log1p": False,
    }
    theirs = sc.pp.calculate_qc_metrics(reference, **options)
    mine = cm.pp.calculate_qc_metrics(reference, **options)
    same(mine[0], theirs[0])
    same(mine[1], theirs[1])
    with pytest.warns(FutureWarning, match="parallel"):
        cm.pp.calculate_qc_metrics(reference, parallel=True, **options)


def test_layers_and_raw(make):
    adata = marked(make("lazy"))
    adata.layers["counts"] = adata.X
    cm.pp.log1p(adata)
    mine = cm.pp.calculate_qc_metrics(adata, layer="counts", percent_top=None)
    memory = marked(make("csr"))
    memory.raw = memory.copy()
    theirs = sc.pp.calculate_qc_metrics(memory, percent_top=None)
    same(mine[0], theirs[0])
    sc.pp.log1p(memory)
    raw = cm.pp.calculate_qc_metrics(memory, use_raw=True, percent_top=None)
    same(raw[1], theirs[1])


def test_explicit_zeros_empty_cells_and_one_cell(tmp_path):
    x = sparse.csr_matrix(
        (
            np.array([3, 0, 1, 0, 2], "f4"),
            np.array([0, 1, 2, 0, 3]),
            np.array([0, 3, 3, 4, 5]),
        ),
        shape=(4, 5),
    )
    path = tmp_path / "zeros.h5ad"
    adata = ad.AnnData(x.copy(), var=pd.DataFrame({"mt": [True, False, False, False, True]}))
    adata.var_names = [f"g{i}" for i in range(5)]
    adata.write_h5ad(path)
    theirs = sc.pp.calculate_qc_metrics(adata, qc_vars=["mt"], percent_top=[2])
    lazy = cm.read_h5ad(path)
    for one in (lazy, ad.read_h5ad(path)):
        mine = cm.pp.calculate_qc_metrics(one, qc_vars=["mt"], percent_top=[2])
        same(mine[0], theirs[0])
        same(mine[1], theirs[1])
        assert mine[0]["n_genes_by_counts"].tolist() == [2, 0, 0, 1]
    assert np.isnan(mine[0]["pct_counts_mt"].iloc[1])
    single = cm.pp.calculate_qc_metrics(lazy[:1].copy(), percent_top=[5])
    assert single[1]["pct_dropout_by_counts"].tolist() == [0, 100, 0, 100, 100]
    with pytest.raises(IndexError, match="range of features"):
        cm.pp.calculate_qc_metrics(lazy, percent_top=[6])
    with pytest.raises(KeyError, match="ribo"):
        cm.pp.calculate_qc_metrics(lazy, qc_vars=["ribo"], percent_top=None)


def test_metrics_are_one_read(make):
    adata = marked(make("lazy"))
    plan = plan_of(adata.X)
    before = plan.bytes_read()
    cm.pp.normalize_total(adata)
    one = plan.bytes_read() - before
    adata = marked(make("lazy"))
    plan = plan_of(adata.X)
    before = plan.bytes_read()
    cm.pp.calculate_qc_metrics(adata, qc_vars=["mt"], percent_top=[20], inplace=True)
    assert plan.bytes_read() - before == one


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("function", "bound"),
    [
        ("filter_cells", {"min_genes": 100}),
        ("filter_cells", {"max_genes": 100}),
        ("filter_cells", {"min_counts": MIDDLE}),
        ("filter_cells", {"max_counts": MIDDLE}),
        ("filter_genes", {"min_cells": 30}),
        ("filter_genes", {"max_cells": 30}),
        ("filter_genes", {"min_counts": 50}),
        ("filter_genes", {"max_counts": 50}),
    ],
    ids=str,
)
def test_filters_of_every_kind(make, kind, function, bound):
    adata = make(kind)
    ours, theirs = getattr(cm.pp, function), getattr(sc.pp, function)
    expected = in_memory(adata)
    if MIDDLE in bound.values():
        totals = dense(expected.X).sum(axis=1)
        bound = dict.fromkeys(bound, int(np.median(totals)))
    mask, number = theirs(expected, inplace=False, **bound)
    mine = ours(adata, inplace=False, **bound)
    assert (mine[0] == mask).all()
    assert mine[0].dtype == bool
    assert 0 < mask.sum() < len(mask)
    assert mine[1].dtype == number.dtype
    np.testing.assert_allclose(mine[1], number, rtol=1e-6)
    theirs(expected, **bound)
    assert ours(adata, **bound) is None
    pd.testing.assert_frame_equal(adata.obs, expected.obs)
    pd.testing.assert_frame_equal(adata.var, expected.var)
    assert (dense(adata.X) == dense(expected.X)).all()
    assert (plan_of(adata.X) is not None) == kind.startswith("lazy")


def test_filters_take_one_bound_and_matrices(make):
    adata = make("csr")
    for bounds in ({}, {"min_genes": 1, "max_genes": 2}):
        with pytest.raises(ValueError, match="Only provide one"):
            cm.pp.filter_cells(adata, **bounds)
    mask, number = cm.pp.filter_genes(adata.X, min_cells=3)
    assert (number == (adata.X > 0).sum(axis=0)).all()
    assert (mask == (number >= 3)).all()
    copy = cm.pp.filter_cells(adata, min_genes=100, copy=True)
    assert copy.n_obs < adata.n_obs
    assert "n_genes" not in adata.obs


def test_values_below_zero_are_not_expressed(make):
    adata = make("dense")
    adata.X -= 0.5
    mask, number = cm.pp.filter_cells(adata.X, min_genes=100)
    expected = sc.pp.filter_cells(adata.X, min_genes=100)
    assert (mask == expected[0]).all()
    assert (number == expected[1]).all()


def test_subset_by_masks_and_names(make):
    adata = make("lazy-7")
    expected = make("csr")
    cells = np.arange(adata.n_obs) % 3 == 0
    genes = [adata.var_names[i] for i in (40, 3, 7)]
    part = cm.pp.subset(adata, cells=cells, genes=genes, copy=True)
    assert plan_of(part.X) is not None
    assert (dense(part.X) == dense(expected[cells, [3, 7, 40]].X)).all()
    assert cm.pp.subset(adata, cells=adata.obs_names[5:9]) is None
    assert adata.shape == (4, expected.n_vars)
    with pytest.raises(KeyError, match=r"1 of 2 genes .* nothing"):
        cm.pp.subset(adata, genes=["nothing", genes[0]])
    with pytest.raises(ValueError, match="mask of 2"):
        cm.pp.subset(adata, cells=np.array([True, False]))
    with pytest.raises(TypeError, match="names of obs"):
        cm.pp.subset(adata, cells="one")


@pytest.mark.parametrize(
    "name",
    ["human_pbmc/pbmc3k_raw_csr.h5ad", "other_raw/sc_mixology_5batch_raw_csr.h5ad"],
)
def test_the_tutorials_filters_on_real_data(name):
    theirs = ad.read_h5ad(real(name))
    mine = cm.read_h5ad(real(name), block_rows=7)
    for module, adata in ((sc, theirs), (cm, mine)):
        adata.var_names_make_unique()
        adata.var["mt"] = adata.var_names.str.startswith("MT-")
        module.pp.calculate_qc_metrics(adata, qc_vars=["mt"], inplace=True)
        module.pp.filter_cells(adata, min_genes=400)
        module.pp.filter_genes(adata, min_cells=3)
        module.pp.normalize_total(adata, target_sum=1e4)
        module.pp.log1p(adata)
    assert mine.shape == theirs.shape
    same(mine.obs.select_dtypes("number"), theirs.obs.select_dtypes("number"), rtol=2e-6)
    same(mine.var.select_dtypes("number"), theirs.var.select_dtypes("number"), rtol=2e-6)
    assert plan_of(mine.X) is not None
    rows = np.arange(0, mine.n_obs, 37)
    np.testing.assert_allclose(dense(mine.X[rows]), dense(theirs.X[rows]), rtol=2e-6)


def test_the_reference_of_pbmc3k():
    expected = real("reference_outputs/scanpy_pbmc3k")
    adata = cm.read_h5ad(real("human_pbmc/pbmc3k_raw_csr.h5ad"))
    cm.pp.filter_cells(adata, min_genes=200)
    cm.pp.filter_genes(adata, min_cells=3)
    adata.var["mt"] = adata.var_names.str.startswith("MT-")
    obs, var = cm.pp.calculate_qc_metrics(adata, qc_vars=["mt"])
    for mine, name in ((obs, "qc_obs"), (var, "qc_var")):
        table = pd.read_csv(expected / f"{name}.csv.gz", index_col=0)
        shared = [c for c in mine.columns if c in table.columns]
        assert len(shared) >= 4
        np.testing.assert_allclose(
            mine[shared].to_numpy("f8"), table[shared].to_numpy("f8"), rtol=1e-5
        )
