"""Samples of cells, of genes and of counts, on each kind of matrix, against scanpy."""

import cellmill as cm
import numpy as np
import pytest
import scanpy as sc
from cellmill._lazy import plan_of
from conftest import KINDS, dense
from scipy import sparse


@pytest.mark.parametrize("kind", KINDS)
def test_sample(make, reference, kind):
    ours = make(kind)
    weights = np.linspace(1, 2, ours.n_obs)
    calls = [
        {"n": 600, "rng": 1},
        {"fraction": 0.5, "rng": 2, "axis": "var"},
        {"fraction": 0.4, "rng": 3, "p": "use"},
    ]
    for adata in (ours, reference):
        adata.obs["use"] = weights[: adata.n_obs] > 1.2
        adata.layers["two"] = adata.X
    for call in calls:
        for module, adata in ((cm, ours), (sc, reference)):
            module.pp.sample(adata, **call)
        assert set(ours.obs_names) == set(reference.obs_names)
        assert list(ours.var_names) == list(reference.var_names)
        if kind.startswith("lazy"):
            assert plan_of(ours.X) is not None
            assert plan_of(ours.layers["two"]) is not None
            reference = reference[ours.obs_names].copy()
    assert list(ours.obs_names) == list(reference.obs_names)
    np.testing.assert_array_equal(dense(ours.X), dense(reference.X))
    np.testing.assert_array_equal(dense(ours.layers["two"]), dense(reference.X))


def test_samples_of_arrays_copies_and_repeats(make, reference):
    lazy = make("lazy-7")
    x, places = cm.pp.sample(lazy.X, n=30, rng=0)
    theirs, expected = sc.pp.sample(reference.X, n=30, rng=0)
    np.testing.assert_array_equal(places, np.sort(expected))
    np.testing.assert_array_equal(dense(x), dense(reference.X[places]))
    copied = cm.pp.sample(lazy, 0.1, rng=0, copy=True)
    assert (copied.n_obs, lazy.n_obs) == (90, 900)
    for data in (reference, reference.X, reference.X.toarray()):
        ours = cm.pp.sample(data, n=2000, rng=4, replace=True, copy=True)
        theirs = sc.pp.sample(data, n=2000, rng=4, replace=True, copy=True)
        if data is reference:
            assert list(ours.obs_names) == list(theirs.obs_names)
        else:
            np.testing.assert_array_equal(ours[1], theirs[1])


@pytest.mark.parametrize(
    ("arguments", "error", "names"),
    [
        ({}, TypeError, "fraction"),
        ({"n": 3, "fraction": 0.1}, TypeError, "both"),
        ({"fraction": -0.1}, ValueError, "nonnegative"),
        ({"fraction": 1.5}, ValueError, "within"),
        ({"n": 3, "axis": 2}, ValueError, "axis"),
        ({"n": 3, "p": "nothing"}, ValueError, "nothing"),
        ({"n": 3, "p": np.ones(2)}, ValueError, "shape"),
        ({"n": 3, "replace": True}, NotImplementedError, "replace"),
    ],
)
def test_bad_samples_say_why(make, arguments, error, names):
    adata = make("lazy")
    with pytest.raises(error, match=names):
        cm.pp.sample(adata, **arguments)
    assert adata.shape == (900, 700)


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_downsample_per_cell(make, reference, kind, replace):
    ours = make(kind)
    each = np.arange(ours.n_obs) % 150
    for counts, seed in ((60, 0), (each, 9)):
        theirs = reference.copy()
        sc.pp.downsample_counts(theirs, counts, random_state=seed, replace=replace)
        found = cm.pp.downsample_counts(ours, counts, random_state=seed, replace=replace, copy=True)
        assert found.X.dtype == theirs.X.dtype
        np.testing.assert_array_equal(dense(found.X), dense(theirs.X))
    if kind.startswith("lazy"):
        assert plan_of(found.X) is not None
        assert (dense(found[::2, ::3].X) == dense(theirs[::2, ::3].X)).all()


def test_downsample_a_selection_of_cells(make, reference):
    lazy = make("lazy-7")[100:800:3].copy()
    theirs = reference[100:800:3].copy()
    each = np.arange(lazy.n_obs) % 90
    for module, adata in ((cm, lazy), (sc, theirs)):
        module.pp.downsample_counts(adata, each)
    np.testing.assert_array_equal(dense(lazy.X), dense(theirs.X))


@pytest.mark.parametrize("dtype", ["float32", "int64"])
@pytest.mark.parametrize("kind", ["csr", "csc", "csr_array", "dense"])
def test_downsample_in_total(make, reference, kind, dtype):
    ours = make(kind, dtype)
    reference.X = reference.X.astype(dtype)
    before = dense(ours.X).copy()
    for module, adata in ((cm, ours), (sc, reference)):
        module.pp.downsample_counts(adata, total_counts=20_000)
    assert dense(ours.X).sum() == 20_000
    assert (dense(ours.X) <= before).all()
    np.testing.assert_array_equal(dense(ours.X), dense(reference.X))
    if sparse.issparse(ours.X):
        assert ours.X.format == ("csc" if kind == "csc" else "csr")
        assert (ours.X.data != 0).all()


@pytest.mark.parametrize("kind", ["lazy", "dask-csr", "csr"])
def test_bad_downsamples_say_why(make, kind):
    adata = make(kind)
    with pytest.raises(ValueError, match="exactly one"):
        cm.pp.downsample_counts(adata)
    with pytest.raises(ValueError, match="900 cells"):
        cm.pp.downsample_counts(adata, [1, 2])
    with pytest.raises(ValueError, match="below 0"):
        cm.pp.downsample_counts(adata, -1)
    with pytest.raises(TypeError, match="random_state"):
        cm.pp.downsample_counts(adata, 1, random_state="x")
    if kind != "csr":
        with pytest.raises(NotImplementedError, match="total_counts"):
            cm.pp.downsample_counts(adata, total_counts=1)
    cm.pp.normalize_total(adata)
    with pytest.raises(ValueError, match="whole numbers"):
        dense(cm.pp.downsample_counts(adata, 1, copy=True).X)
