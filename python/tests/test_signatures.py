"""Every function has scanpy's parameters: names, order, defaults, kinds."""

import inspect

import cellmill as cm
import numpy as np
import pytest
import scanpy as sc

PAIRS = [
    (cm.read_10x_h5, sc.read_10x_h5),
    (cm.read_10x_mtx, sc.read_10x_mtx),
    (cm.pp.calculate_qc_metrics, sc.pp.calculate_qc_metrics),
    (cm.pp.filter_cells, sc.pp.filter_cells),
    (cm.pp.filter_genes, sc.pp.filter_genes),
    (cm.pp.normalize_total, sc.pp.normalize_total),
    (cm.pp.log1p, sc.pp.log1p),
    (cm.pp.sqrt, sc.pp.sqrt),
    (cm.pp.regress_out, sc.pp.regress_out),
    (cm.pp.highly_variable_genes, sc.pp.highly_variable_genes),
    (cm.experimental.pp.highly_variable_genes, sc.experimental.pp.highly_variable_genes),
    (cm.pp.pca, sc.pp.pca),
    (cm.pp.neighbors, sc.pp.neighbors),
    (cm.tl.leiden, sc.tl.leiden),
    (cm.tl.umap, sc.tl.umap),
    (cm.get.aggregate, sc.get.aggregate),
    (cm.tl.score_genes, sc.tl.score_genes),
    (cm.tl.score_genes_cell_cycle, sc.tl.score_genes_cell_cycle),
    (cm.pp.sample, sc.pp.sample),
    (cm.pp.scale, sc.pp.scale),
    (cm.pp.downsample_counts, sc.pp.downsample_counts),
]
# Our own keywords, which come last and are keyword-only.
OWN: dict[str, set[str]] = {
    **{
        name: {"engine"}
        for name in (
            "normalize_total",
            "highly_variable_genes",
            "pca",
            "neighbors",
            "aggregate",
            "score_genes",
            "scale",
            "regress_out",
        )
    },
    "read_10x_h5": {"block_rows"},
    "read_10x_mtx": {"block_rows"},
}
OWN["pca"] = {"engine", "lazy"}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda f: f.__name__)
def test_signature(ours, theirs):
    mine = inspect.signature(ours).parameters
    reference = inspect.signature(theirs).parameters
    own = OWN.get(ours.__name__, set())
    assert [n for n in mine if n not in own] == list(reference)
    assert list(mine)[len(reference) :] == [n for n in mine if n in own]
    for name, parameter in reference.items():
        assert mine[name].kind is parameter.kind, name
        if "_empty" in (repr(parameter.default), repr(mine[name].default)) or "Empty" in repr(
            type(parameter.default)
        ):
            assert type(mine[name].default).__name__ == "Empty", name
        else:
            assert mine[name].default == parameter.default, name
    for name in own:
        assert mine[name].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda f: f.__name__)
def test_every_parameter_is_documented(ours, theirs):
    text = inspect.getdoc(ours)
    for name in inspect.signature(ours).parameters:
        assert name in text, name
    path = ["scanpy", *ours.__module__.split(".")[1:-1], ours.__name__]
    assert ".".join(path) in text


@pytest.fixture
def adata(reference):
    cm.pp.normalize_total(reference, target_sum=1e4)
    cm.pp.log1p(reference)
    return reference


@pytest.mark.parametrize(
    ("call", "error", "names"),
    [
        (lambda a: cm.pp.normalize_total(a, max_fraction=2), ValueError, "max_fraction"),
        (lambda a: cm.pp.normalize_total(a, target_sum=-1), ValueError, "target_sum"),
        (lambda a: cm.pp.normalize_total(a, copy=True, inplace=False), ValueError, "inplace"),
        (lambda a: cm.pp.normalize_total(a, layer="none"), KeyError, "none"),
        (lambda a: cm.pp.log1p(a, chunked=True), ValueError, "chunked"),
        (lambda a: cm.pp.sqrt(a, chunked=True), ValueError, "chunked"),
        (lambda a: cm.pp.regress_out(a, "nothing"), KeyError, "nothing"),
        (lambda a: cm.pp.regress_out(a, "cell_type", n_jobs=1), ValueError, "n_jobs"),
        (lambda a: cm.pp.highly_variable_genes(a, flavor="seurat_v4"), ValueError, "seurat_v4"),
        (lambda a: cm.pp.highly_variable_genes(a, batch_key="batch_"), KeyError, "batch_"),
        (
            lambda a: cm.pp.highly_variable_genes(a, flavor="seurat_v3", min_mean=0.1, n_bins=9),
            ValueError,
            "n_bins, min_mean",
        ),
        (
            lambda a: cm.pp.highly_variable_genes(a, flavor="seurat_v3", span=0),
            ValueError,
            "span",
        ),
        (
            lambda a: cm.pp.highly_variable_genes(a, flavor="cell_ranger", check_values=False),
            ValueError,
            "check_values",
        ),
        (lambda a: cm.experimental.pp.highly_variable_genes(a), ValueError, "n_top_genes"),
        (
            lambda a: cm.experimental.pp.highly_variable_genes(a, n_top_genes=5, theta=0),
            ValueError,
            "theta",
        ),
        (
            lambda a: cm.experimental.pp.highly_variable_genes(a, n_top_genes=5, clip=-1),
            ValueError,
            "clip",
        ),
        (
            lambda a: cm.experimental.pp.highly_variable_genes(a, n_top_genes=5, chunksize=7),
            ValueError,
            "chunksize",
        ),
        (lambda a: cm.pp.highly_variable_genes(a, span=0.5), ValueError, "span"),
        (lambda a: cm.pp.highly_variable_genes(a, n_top_genes=0), ValueError, "n_top_genes"),
        (lambda a: cm.pp.pca(a, lazy=True), ValueError, "lazy"),
        (lambda a: cm.pp.pca(a, obsm="none"), KeyError, "none"),
        (lambda a: cm.pp.pca(a, svd_solver="randomized"), ValueError, "randomized"),
        (lambda a: cm.pp.pca(a, chunked=True), ValueError, "chunked"),
        (lambda a: cm.pp.pca(a, mask_var="nothing"), ValueError, "nothing"),
        (lambda a: cm.pp.pca(a, n_comps=700), ValueError, "n_comps"),
        (lambda a: cm.pp.neighbors(a, use_rep="X", knn=False), NotImplementedError, "knn"),
        (lambda a: cm.pp.neighbors(a, use_rep="X", method="gauss"), NotImplementedError, "gauss"),
        (
            lambda a: cm.pp.neighbors(a, use_rep="X", transformer="rapids"),
            NotImplementedError,
            "rapids",
        ),
        (lambda a: cm.pp.neighbors(a, use_rep="X", transformer="faiss"), ValueError, "faiss"),
        (lambda a: cm.pp.neighbors(a, use_rep="X", method="other"), ValueError, "other"),
        (lambda a: cm.pp.neighbors(a, use_rep="X_none"), ValueError, "X_none"),
        (
            lambda a: cm.pp.neighbors(a, use_rep="X", random_state=np.random.RandomState(0)),
            TypeError,
            "random_state",
        ),
        (lambda a: cm.tl.leiden(a), ValueError, "pp.neighbors"),
        (lambda a: cm.tl.leiden(a, flavor="leidenalg"), NotImplementedError, "leidenalg"),
        (lambda a: cm.tl.leiden(a, directed=True), NotImplementedError, "directed"),
        (lambda a: cm.tl.leiden(a, partition_type=object), NotImplementedError, "partition_type"),
        (lambda a: cm.tl.leiden(a, beta=0.1), TypeError, "beta"),
        (lambda a: cm.tl.umap(a), ValueError, "pp.neighbors"),
        (lambda a: cm.tl.umap(a, method="rapids"), NotImplementedError, "rapids"),
    ],
)
def test_what_has_no_meaning_raises_and_changes_nothing(adata, call, error, names):
    slots = {key: set(getattr(adata, key)) for key in ("obs", "var", "obsm", "varm", "obsp", "uns")}
    with pytest.raises(error, match=names):
        call(adata)
    assert slots == {key: set(getattr(adata, key)) for key in slots}
