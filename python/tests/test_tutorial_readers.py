"""The readers that people have: the Dask tutorial's own, and anndata's."""

import anndata as ad
import cellmill as cm
import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from conftest import dense
from scipy import sparse
from test_pipeline import check_genes, prepared_by_scanpy


def read_sparse_as_dask(file, group_name, stride):
    """As the tutorial "Using dask with Scanpy" writes it."""
    with h5py.File(file, "r") as f:
        group = f[group_name]
        shape = group.attrs["shape"]
        dtype = group["data"].dtype
        indptr = group["indptr"][:]

    def make_dask_chunk(block_id=None):
        (row, _) = block_id
        start = row * stride
        end = min(start + stride, shape[0])
        with h5py.File(file, "r") as f:
            group = f[group_name]
            sl = slice(indptr[start], indptr[end])
            return sparse.csr_matrix(
                (group["data"][sl], group["indices"][sl], indptr[start : end + 1] - indptr[start]),
                shape=(end - start, shape[1]),
            )

    chunks = (
        tuple(min(stride, shape[0] - start) for start in range(0, shape[0], stride)),
        (int(shape[1]),),
    )
    return da.map_blocks(
        make_dask_chunk, dtype=dtype, chunks=chunks, meta=sparse.csr_matrix((0, 0), dtype=dtype)
    )


def by_the_tutorial(path):
    return read_sparse_as_dask(path, "X", 128)


def by_anndata(path):
    with h5py.File(path, "r") as file:
        return ad.experimental.read_elem_lazy(file["X"], chunks=(128, 700))


@pytest.mark.parametrize("read", [by_the_tutorial, by_anndata])
def test_the_tutorial(path, reference, read):
    ours = reference.copy()
    ours.X = read(path)
    ours.layers["counts"] = ours.X.copy()
    cm.pp.normalize_total(ours, target_sum=1e4)
    cm.pp.log1p(ours)
    assert isinstance(ours.X, da.Array)
    assert "foreign" in cm.explain(ours)
    prepared_by_scanpy(reference)
    for module, adata in ((cm, ours), (sc, reference)):
        module.pp.highly_variable_genes(adata, n_top_genes=150)
        module.pp.pca(adata, n_comps=6)
    check_genes(ours, reference)
    np.testing.assert_allclose(ours.obsm["X_pca"], reference.obsm["X_pca"], atol=5e-3)
    native = cm.read_h5ad(path)
    cm.pp.normalize_total(native, target_sum=1e4)
    cm.pp.log1p(native)
    cm.pp.highly_variable_genes(native, n_top_genes=150)
    cm.pp.pca(native, n_comps=6)
    assert (native.var["highly_variable"] == ours.var["highly_variable"]).all()
    np.testing.assert_allclose(native.obsm["X_pca"], ours.obsm["X_pca"], atol=1e-5)


def test_chunks_of_some_cells_and_genes(path, reference):
    x = by_the_tutorial(path)
    adata = reference.copy()
    adata.X = x
    mask, genes = np.arange(900) % 3 == 1, np.arange(700) % 2 == 0
    sub, expected = adata[mask, genes].copy(), reference[mask, genes].copy()
    cm.pp.normalize_total(sub)
    sc.pp.normalize_total(expected)
    np.testing.assert_allclose(dense(sub.X), dense(expected.X), rtol=2e-6)
    adata.X = x.rechunk((300, 100))
    with pytest.raises(ValueError, match="rechunk"):
        cm.pp.normalize_total(adata)


def test_categories_and_colours_follow_a_subset(path):
    reference, lazy = ad.read_h5ad(path), cm.read_h5ad(path)
    found = []
    for adata in (reference, lazy):
        kinds = list(adata.obs["cell_type"].cat.categories)
        adata.uns["cell_type_colors"] = np.array([f"#0000{i:02x}" for i in range(len(kinds))])
        keep = adata.obs["cell_type"].isin(kinds[1::2]).to_numpy()
        found.append(adata[keep].copy())
    expected, ours = found
    pd.testing.assert_frame_equal(ours.obs, expected.obs)
    assert list(ours.uns["cell_type_colors"]) == list(expected.uns["cell_type_colors"])
    assert len(ours.uns["cell_type_colors"]) == len(ours.obs["cell_type"].cat.categories)
    assert (dense(ours.X) == dense(expected.X)).all()


def test_a_view_that_is_written_to_becomes_its_own(path):
    adata = cm.read_h5ad(path)
    view = adata[:10]
    with pytest.warns(ad.ImplicitModificationWarning):
        view.X[:, :] = 0
    assert not view.is_view
    assert dense(view.X).sum() == 0
    assert dense(adata.X[:10]).sum() > 0


def test_the_memory_report(path):
    whole, some = cm.read_h5ad(path), cm.read_h5ad(path, columns=["cell_type"])
    text = cm.explain(whole)
    for part in ("annotations in memory: obs", "names and strings", "needs   at least", "pca"):
        assert part in text

    def held(adata):
        line = cm.explain(adata).splitlines()[-1]
        size, unit = line.split("obs ")[1].split(" ")[:2]
        return float(size) * {"B": 1, "kB": 1e3, "MB": 1e6}[unit]

    usage = whole.obs.memory_usage(deep=True).sum()
    assert held(whole) == pytest.approx(usage, rel=0.01)
    assert held(some) < held(whole)


def test_the_least_memory_is_enough_and_less_is_not(path):
    from cellmill._lazy import plan_of

    adata = cm.read_h5ad(path)
    cm.pp.log1p(adata)
    needs = dict(plan_of(adata.X).needs(700, 5))
    calls = {
        "normalize_total": lambda a: cm.pp.normalize_total(a),
        "highly_variable_genes": lambda a: cm.pp.highly_variable_genes(a, n_top_genes=50),
        "pca": lambda a: cm.pp.pca(a, n_comps=5),
    }
    assert set(needs) == set(calls)
    try:
        for name, call in calls.items():
            cm.settings.memory = needs[name]
            call(adata.copy())
            cm.settings.memory = needs[name] // 4
            with pytest.raises(MemoryError):
                call(adata.copy())
    finally:
        cm.settings.memory = None
