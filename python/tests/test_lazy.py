"""The laws of the lazy matrix: it is read when asked for, and stays native where it can."""

import copy
import gc
import os
import pickle
import threading
import time

import anndata as ad
import cellmill as cm
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from cellmill._lazy import LazyMatrix, plan_of
from conftest import dense


@pytest.fixture
def adata(path):
    return cm.read_h5ad(path, block_rows=100)


def is_native(x):
    return plan_of(x) is not None


def test_reading_is_what_anndata_reads(path, adata, reference):
    assert isinstance(adata.X, LazyMatrix)
    assert adata.X.numblocks == (9, 1)
    pd.testing.assert_frame_equal(adata.obs, reference.obs)
    pd.testing.assert_frame_equal(adata.var, reference.var)
    assert (dense(adata.X) == dense(reference.X)).all()
    some = cm.read_h5ad(path, columns=["cell_type"])
    assert list(some.obs.columns) == ["cell_type"]
    assert (some.obs_names == reference.obs_names).all()
    with pytest.raises(KeyError, match="nothing"):
        cm.read_h5ad(path, columns=["nothing"])
    with pytest.raises(KeyError, match="no matrix"):
        cm.read_h5ad(path, matrix="nothing")
    with pytest.raises(FileNotFoundError):
        cm.read_h5ad("nothing.h5ad")


def test_raw_and_layers(tmp_path, reference):
    target = tmp_path / "raw.h5ad"
    reference.raw = reference
    reference.layers["counts"] = reference.X.copy()
    sc.pp.normalize_total(reference)
    sc.pp.log1p(reference)
    small = reference[:, 10:300].copy()
    small.var["mine"] = np.arange(290)
    small.write_h5ad(target)
    whole = cm.read_h5ad(target)
    assert is_native(whole.X)
    assert is_native(whole.layers["counts"])
    assert whole.raw.shape == reference.shape
    assert (dense(whole.raw.X) == dense(reference.raw.X)).all()
    with pytest.warns(UserWarning, match="layers/counts"):
        raw = cm.read_h5ad(target, matrix="raw/X")
    assert raw.shape == reference.shape
    assert "log1p" not in raw.uns
    assert raw.var["mine"].iloc[10] == 0
    assert np.isnan(raw.var["mine"].iloc[0])
    with pytest.warns(UserWarning, match="uns/log1p"):
        counts = cm.read_h5ad(target, matrix="counts")
    assert (dense(counts.X) == dense(small.layers["counts"])).all()


def test_dense_and_csc_files_are_native(tmp_path, reference):
    for name, x in (("dense", reference.X.toarray()), ("csc", reference.X.tocsc())):
        target = tmp_path / f"{name}.h5ad"
        ad.AnnData(x, obs=reference.obs, var=reference.var).write_h5ad(target)
        found = cm.read_h5ad(target)
        assert is_native(found.X)
        assert (dense(found.X) == dense(reference.X)).all()
        assert (dense(found.X[100:200:3]) == dense(reference.X[100:200:3])).all()


@pytest.mark.parametrize(
    "index",
    [
        slice(None, 250),
        slice(10, 400, 7),
        np.arange(900) % 4 == 1,
        np.array([3, 77, 500]),
        np.zeros(900, dtype=bool),
        np.array([800, 3, 3]),
        slice(None, None, -1),
    ],
    ids=["slice", "steps", "mask", "integers", "none", "unsorted", "backwards"],
)
def test_selections(adata, reference, index):
    cm.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.normalize_total(reference, target_sum=1e4)
    genes = np.arange(700) % 3 == 0
    stays = not (
        (isinstance(index, slice) and index.step == -1)
        or (getattr(index, "size", 0) and index[0] == 800)
    )
    for found, expected in (
        (adata.X[index], reference.X[index]),
        (adata[index].X, reference[index].X),
        (adata[index].copy().X, reference[index].X),
        (adata[index, genes].X, reference[index, genes].X),
        (adata[:, genes][index].copy().X, reference[:, genes][index].X),
    ):
        assert found.shape == expected.shape
        assert is_native(found) == stays
        np.testing.assert_allclose(dense(found), dense(expected), rtol=1e-6)


def test_a_subset_runs_natively_and_reads_only_its_chunks(adata, reference):
    mask = np.zeros(900, dtype=bool)
    mask[105:190] = True
    sub, expected = adata[mask].copy(), reference[mask].copy()
    plan = plan_of(sub.X)
    assert plan.block_rows == [85]
    before = plan.bytes_read()
    cm.pp.normalize_total(sub)
    part = plan.bytes_read() - before
    cm.pp.normalize_total(adata)
    whole = plan.bytes_read() - before - part
    assert part < whole / 3
    sc.pp.normalize_total(expected)
    for module, one in ((cm, sub), (sc, expected)):
        module.pp.log1p(one)
        module.pp.highly_variable_genes(one, n_top_genes=100)
        module.pp.pca(one, n_comps=4)
    assert (sub.var["highly_variable"] == expected.var["highly_variable"]).all()
    np.testing.assert_allclose(sub.obsm["X_pca"], expected.obsm["X_pca"], atol=1e-3)


def test_copies_pickles_and_garbage(path, adata, reference):
    cm.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.normalize_total(reference, target_sum=1e4)
    copies = [
        adata.X.copy(),
        copy.copy(adata.X),
        copy.deepcopy(adata.X),
        pickle.loads(pickle.dumps(adata.X)),
        adata.copy().X,
        pickle.loads(pickle.dumps(adata)).X,
    ]
    assert len(pickle.dumps(adata.X)) < 5000
    del adata
    gc.collect()
    for x in copies:
        assert is_native(x)
        assert x.name == copies[0].name
        np.testing.assert_allclose(dense(x[:20]), dense(reference.X[:20]), rtol=1e-6)


def test_two_objects_on_one_file_do_not_disturb_each_other(path):
    one, two = cm.read_h5ad(path), cm.read_h5ad(path)
    one.layers["counts"] = one.X.copy()
    cm.pp.normalize_total(one, target_sum=10)
    assert (dense(two.X) == dense(one.layers["counts"])).all()
    assert one.X.name != two.X.name


def test_layers_are_worked_on_by_name(path, reference):
    adata = cm.read_h5ad(path)
    adata.layers["norm"] = adata.X
    cm.pp.normalize_total(adata, target_sum=1e4, layer="norm")
    assert (dense(adata.X) == dense(reference.X)).all()
    sc.pp.normalize_total(reference, target_sum=1e4)
    np.testing.assert_allclose(dense(adata.layers["norm"]), dense(reference.X), rtol=1e-6)
    assert "layers/norm: native" in cm.explain(adata, layer="norm")


def test_other_operations_make_it_foreign_and_are_said(adata):
    doubled = adata.X * 2
    assert not is_native(doubled)
    assert "Dask operation" in cm.explain(doubled)
    kept = adata.X.persist()
    assert not is_native(kept)
    assert "persist" in cm.explain(kept)
    assert "native" in cm.explain(adata)
    assert "ops     none" in cm.explain(adata)
    cm.pp.log1p(adata)
    assert "ops     log1p" in cm.explain(adata)


def test_persisted_chunks_are_used_and_not_read_again(adata):
    plan = plan_of(adata.X)
    adata.X = adata.X.persist()
    before = plan.bytes_read()
    cm.pp.normalize_total(adata)
    cm.pp.pca(adata, n_comps=3)
    assert plan.bytes_read() == before


def test_scanpys_functions_work_on_it(adata, reference):
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.highly_variable_genes(adata, n_top_genes=100)
    sc.pp.normalize_total(reference, target_sum=1e4)
    sc.pp.log1p(reference)
    sc.pp.highly_variable_genes(reference, n_top_genes=100)
    assert (adata.var["highly_variable"] == reference.var["highly_variable"]).all()
    cm.pp.pca(adata, n_comps=4)
    cm.pp.pca(reference, n_comps=4)
    np.testing.assert_allclose(adata.obsm["X_pca"], reference.obsm["X_pca"], atol=1e-3)


def test_concatenation_and_rechunking(adata, reference):
    both = ad.concat({"a": adata[:300], "b": adata[300:]}, label="part")
    assert (dense(both.X) == dense(reference.X)).all()
    cm.pp.normalize_total(both)
    assert both.X.rechunk((450, -1)).numblocks == (2, 1)
    turned = adata.X.map_blocks(
        lambda c: c.toarray(), dtype=adata.X.dtype, meta=np.empty((0, 0), "f4")
    )
    assert (turned.compute() == dense(reference.X)).all()


def test_x_is_never_read_by_an_analysis_in_python(adata, monkeypatch):
    import cellmill._lazy as lazy

    def refuse(*arguments):
        raise AssertionError("a chunk was made in Python")

    cm.pp.normalize_total(adata)
    cm.pp.log1p(adata)
    monkeypatch.setattr(lazy, "read_block", refuse)
    adata.X = LazyMatrix.of(plan_of(adata.X))
    cm.pp.highly_variable_genes(adata, n_top_genes=100)
    cm.pp.pca(adata, n_comps=4)
    cm.pp.neighbors(adata)


def test_views_are_copied_with_scanpys_warning(adata):
    view = adata[:100]
    with pytest.warns(UserWarning, match="Received a view"):
        cm.pp.normalize_total(view, target_sum=1e4)
    assert not view.is_view
    assert plan_of(adata.X).op_names() == []


def test_writing(path, adata, tmp_path):
    with pytest.raises(ValueError, match="read from"):
        cm.write_h5ad(adata, path)
    cm.pp.normalize_total(adata, target_sum=1e4)
    cm.pp.log1p(adata)
    target = tmp_path / "out.h5ad"
    cm.write_h5ad(adata, target)
    written = ad.read_h5ad(target)
    np.testing.assert_allclose(dense(written.X), dense(adata.X))
    assert "base" not in written.uns.get("log1p", {})
    pd.testing.assert_frame_equal(written.obs, adata.obs)
    cm.write_h5ad(adata, target, write_x=False)
    assert ad.read_h5ad(target).X is None
    adata.write_h5ad(tmp_path / "anndatas.h5ad")
    np.testing.assert_allclose(dense(ad.read_h5ad(tmp_path / "anndatas.h5ad").X), dense(adata.X))
    assert sorted(os.listdir(tmp_path)) == ["anndatas.h5ad", "out.h5ad"]


def test_a_damaged_file_is_an_error_with_an_address(path, tmp_path):
    cut = tmp_path / "cut.h5ad"
    cut.write_bytes(path.read_bytes()[:200_000])
    with pytest.raises(OSError, match=r"cut\.h5ad"):
        cm.read_h5ad(cut)
    not_hdf5 = tmp_path / "text.h5ad"
    not_hdf5.write_text("no")
    with pytest.raises(OSError, match="not an HDF5 file"):
        cm.read_h5ad(not_hdf5)


def test_memory_is_a_promise(adata):
    cm.settings.memory = "1M"
    try:
        with pytest.raises(MemoryError, match=r"settings\.memory"):
            cm.pp.pca(adata, n_comps=4)
    finally:
        cm.settings.memory = None
    assert "X_pca" not in adata.obsm


def test_settings_refuse_nonsense(tmp_path):
    cm.settings.memory = "1.5GB"
    assert cm.settings.memory == 1_500_000_000
    cm.settings.memory = None
    for name, value in (("memory", "much"), ("threads", -1), ("progress", "maybe")):
        with pytest.raises(ValueError, match=name):
            setattr(cm.settings, name, value)
    with pytest.raises(FileNotFoundError):
        cm.settings.scratch = tmp_path / "none"


def test_ctrl_c_stops_within_a_second_and_changes_nothing():
    rng = np.random.default_rng(0)
    adata = ad.AnnData(np.zeros((60_000, 1), dtype="f4"))
    adata.obsm["X_pca"] = rng.normal(size=(60_000, 50)).astype("f4")
    pressed = []

    def press():
        pressed.append(time.monotonic())
        os.kill(os.getpid(), 2)

    timer = threading.Timer(0.7, press)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        cm.pp.neighbors(adata, 30, use_rep="X_pca")
    took = time.monotonic() - pressed[0]
    assert took < 5, took
    assert list(adata.uns) == []
    assert list(adata.obsp) == []
