"""Pseudobulk and scores of gene sets, on each kind of matrix, against scanpy."""

import warnings

import cellmill as cm
import dask
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from conftest import KINDS

FUNCS = ["sum", "mean", "count_nonzero", "var"]


def labelled(adata, seed=0):
    """Two columns of groups, some of one cell, some cells without one; and a mask."""
    rng = np.random.default_rng(seed)
    donor = rng.choice(["d2", "d10", "d1", "unseen"], adata.n_obs, p=[0.5, 0.3, 0.2, 0])
    donor[7] = "alone"
    adata.obs["donor"] = pd.Categorical(donor, categories=["d1", "d10", "unseen", "d2", "alone"])
    kind = pd.Series(rng.choice(["T", "B", "NK"], adata.n_obs), index=adata.obs_names)
    kind[rng.random(adata.n_obs) < 0.1] = None
    adata.obs["kind"] = kind
    adata.obs["use"] = rng.random(adata.n_obs) < 0.7
    return adata


def same(ours, theirs, rtol=1e-12):
    pd.testing.assert_frame_equal(ours.obs, theirs.obs)
    pd.testing.assert_frame_equal(ours.var, theirs.var)
    assert list(ours.layers) == list(theirs.layers)
    assert ours.X is None
    for name in theirs.layers:
        a, b = ours.layers[name], theirs.layers[name]
        assert a.dtype == b.dtype, name
        exact = name in ("sum", "count_nonzero")
        np.testing.assert_allclose(a, b, rtol=0 if exact else rtol, atol=0 if exact else 1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_aggregate(make, reference, kind):
    ours, theirs = labelled(make(kind)), labelled(reference)
    if "dense" in kind:
        theirs.X = theirs.X.toarray()
    for by, mask in ((["donor", "kind"], None), ("kind", "use")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = sc.get.aggregate(theirs, by=by, func=FUNCS, mask=mask)
            found = cm.get.aggregate(ours, by=by, func=FUNCS, mask=mask)
        same(found, expected)


@pytest.mark.parametrize("dtype", ["int32", "float64"])
@pytest.mark.parametrize("kind", ["lazy-7", "csr", "csc", "dense"])
def test_dtypes_layers_and_single_functions(make, reference, kind, dtype):
    ours, theirs = labelled(make(kind, dtype)), labelled(reference)
    theirs.X = theirs.X.astype(dtype)
    theirs.X = theirs.X.toarray() if kind == "dense" else theirs.X
    ours.layers["counts"], theirs.layers["counts"] = ours.X, theirs.X
    for func in FUNCS:
        expected = sc.get.aggregate(theirs, by="kind", func=func, layer="counts")
        same(cm.get.aggregate(ours, by="kind", func=func, layer="counts"), expected)


@pytest.mark.parametrize("kind", ["lazy", "dask-csr-7", "csr"])
def test_groups_too_small_for_a_variance(make, reference, kind):
    ours, theirs = labelled(make(kind)), labelled(reference)
    mask = np.ones(ours.n_obs, dtype=bool)
    mask[7] = False
    for dof in (0, 1, 3):
        for given in (None, mask):
            for func in ("var", ["mean", "var"], "mean"):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    expected = sc.get.aggregate(theirs, by="donor", func=func, dof=dof, mask=given)
                    found = cm.get.aggregate(ours, by="donor", func=func, dof=dof, mask=given)
                same(found, expected)
    with pytest.warns(RuntimeWarning, match="alone"):
        cm.get.aggregate(ours, by="donor", func="var")


def test_aggregate_after_selections_and_log(make, reference):
    ours, theirs = labelled(make("lazy-7")), labelled(reference)
    keep = np.arange(ours.n_obs) % 3 != 0
    results = []
    for module, adata in ((cm, ours), (sc, theirs)):
        module.pp.normalize_total(adata, target_sum=1e4)
        module.pp.log1p(adata)
        part = adata[keep, np.arange(adata.n_vars)[::-2]].copy()
        results.append(module.get.aggregate(part, by=["kind", "donor"], func=["mean", "var"]))
    same(*results, rtol=2e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "names"),
    [
        ({"axis": 1}, NotImplementedError, "axis=1"),
        ({"axis": 2}, ValueError, "axis"),
        ({"obsm": "X_pca"}, NotImplementedError, "X_pca"),
        ({"varm": "PCs"}, NotImplementedError, "PCs"),
        ({"func": "median"}, NotImplementedError, "median"),
        ({"func": "max"}, ValueError, "max"),
        ({"by": "nothing"}, KeyError, "nothing"),
        ({"mask": "donor"}, ValueError, "boolean"),
        ({"mask": np.ones(3, dtype=bool)}, ValueError, "shape"),
        ({"dof": -1}, ValueError, "dof"),
        ({"by": ["a", "b"]}, ValueError, "x_y_z"),
    ],
)
def test_bad_aggregations_say_why(reference, arguments, error, names):
    adata = labelled(reference)
    adata.obs["a"] = ["x", "x_y"] * 450
    adata.obs["b"] = ["y_z", "z"] * 450
    with pytest.raises(error, match=names):
        cm.get.aggregate(adata, **{"by": "donor", "func": "sum", **arguments})


@pytest.fixture
def logged(make, reference):
    def both(kind):
        ours = make(kind)
        reference.X = reference.X.toarray() if kind == "dense" else reference.X
        for module, adata in ((cm, ours), (sc, reference)):
            module.pp.normalize_total(adata, target_sum=1e4)
            module.pp.log1p(adata)
        if kind == "dense":
            ours.X = reference.X.copy()
        return ours, reference

    return both


@pytest.mark.parametrize("kind", KINDS)
def test_scores(logged, kind):
    ours, theirs = logged(kind)
    genes = theirs.var_names
    for i, options in enumerate(
        [
            {},
            {"ctrl_as_ref": False, "ctrl_size": 7, "random_state": 5},
            {"n_bins": 10, "ctrl_size": 1000},
            {"gene_pool": genes[::2], "ctrl_size": 20},
        ]
    ):
        for module, adata in ((cm, ours), (sc, theirs)):
            module.tl.score_genes(adata, genes[20:60:2], score_name=f"s{i}", **options)
        assert ours.obs[f"s{i}"].dtype == theirs.obs[f"s{i}"].dtype
        np.testing.assert_allclose(ours.obs[f"s{i}"], theirs.obs[f"s{i}"], rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["lazy-7", "dask-csr", "csr"])
def test_cell_cycle(logged, kind):
    ours, theirs = logged(kind)
    genes = theirs.var_names
    for module, adata in ((cm, ours), (sc, theirs)):
        module.tl.score_genes_cell_cycle(adata, s_genes=genes[:40], g2m_genes=genes[100:130])
    for column in ("S_score", "G2M_score"):
        np.testing.assert_allclose(ours.obs[column], theirs.obs[column], rtol=2e-6, atol=1e-6)
    assert (ours.obs["phase"] == theirs.obs["phase"]).mean() > 0.995
    assert set(ours.obs["phase"]) == {"S", "G2M", "G1"}


def test_scores_of_raw_layers_and_missing_values(logged):
    ours, theirs = logged("dense")
    for adata in (ours, theirs):
        adata.raw = adata
        adata.layers["double"] = adata.X * 2
        adata.X[3, :200] = np.nan
    genes = theirs.var_names[:30]
    for options in ({}, {"use_raw": False}, {"layer": "double"}):
        for module, adata in ((cm, ours), (sc, theirs)):
            module.tl.score_genes(adata, genes, **options)
        np.testing.assert_allclose(ours.obs["score"], theirs.obs["score"], rtol=1e-12)


def test_scores_of_a_cluster_of_threads_are_the_same_bits(make, reference):
    distributed = pytest.importorskip("distributed")
    lazy = labelled(make("lazy-7"))
    results = []
    for engine in ("threads", "cluster"):
        with dask.config.set({"distributed.worker.memory.target": False}):
            if engine == "threads":
                results.append(_scored(lazy, engine))
                continue
            with (
                distributed.LocalCluster(
                    n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
                ) as cluster,
                distributed.Client(cluster) as client,
            ):
                results.append(_scored(lazy, client))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def _scored(adata, engine):
    cm.tl.score_genes(adata, adata.var_names[:20], engine=engine)
    bulk = cm.get.aggregate(adata, by="donor", func=["sum", "var"], dof=0, engine=engine)
    return adata.obs["score"].to_numpy(), bulk.layers["sum"], bulk.layers["var"]


@pytest.mark.parametrize(
    ("arguments", "error", "names"),
    [
        ({"gene_list": ["nothing"]}, ValueError, "No valid genes were passed for scoring"),
        ({"gene_pool": ["nothing"]}, ValueError, "reference set"),
        ({"gene_pool": "second"}, KeyError, "gene_pool"),
        ({"use_raw": True, "layer": "a"}, ValueError, "use_raw"),
        ({"layer": "a"}, KeyError, "layer"),
        ({"random_state": "x"}, TypeError, "random_state"),
    ],
)
def test_bad_scores_say_why(reference, arguments, error, names):
    genes = reference.var_names
    if arguments.get("gene_pool") == "second":
        arguments = {"gene_pool": genes[100:]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(error, match=names):
            cm.tl.score_genes(reference, **{"gene_list": genes[:9], **arguments})
    assert "score" not in reference.obs


def test_missing_genes_are_said(reference):
    with pytest.warns(UserWarning, match="nothing"):
        cm.tl.score_genes(reference, ["nothing", *reference.var_names[:9]])
    reference.var_names = ["same"] * reference.n_vars
    with pytest.raises(ValueError, match="var_names_make_unique"):
        cm.tl.score_genes(reference, ["same"])
