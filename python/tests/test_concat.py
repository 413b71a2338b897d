"""A concatenation of lazy matrices is a lazy matrix: anndata.concat stays native."""

import copy
import gc
import pickle

import anndata as ad
import cellmill as cm
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from cellmill._lazy import LazyMatrix, plan_of
from conftest import dense
from scipy import sparse


@pytest.fixture(scope="module")
def parts(path, tmp_path_factory):
    """Three files: the same genes, fewer in another order, and some of which no other has."""
    whole = ad.read_h5ad(path)
    rng = np.random.default_rng(0)
    fewer = rng.permutation(700)[:500]
    other = whole[650:, np.arange(0, 700, 2)].copy()
    other.var_names = [
        f"new-{name}" if i % 5 == 0 else name for i, name in enumerate(other.var_names)
    ]
    pieces = {
        "same": whole[:300].copy(),
        "fewer": whole[300:650, fewer].copy(),
        "other": other,
    }
    folder = tmp_path_factory.mktemp("parts")
    for name, piece in pieces.items():
        piece.write_h5ad(folder / f"{name}.h5ad")
    return {name: folder / f"{name}.h5ad" for name in pieces}


def opened(parts, names, read):
    return {name: read(parts[name]) for name in names}


def lazily(path):
    return cm.read_h5ad(path, block_rows=70)


@pytest.mark.parametrize("join", ["inner", "outer"])
@pytest.mark.parametrize(
    "names",
    [
        ("same", "same"),
        ("same", "fewer"),
        ("fewer", "same"),
        ("other", "same", "fewer"),
    ],
)
def test_concat_is_native_and_equals_the_one_in_memory(parts, names, join):
    def joined(read):
        pieces = [read(parts[name]) for name in names]
        return ad.concat(pieces, join=join, label="part", index_unique="-")

    ours, theirs = joined(lazily), joined(ad.read_h5ad)
    assert isinstance(ours.X, LazyMatrix)
    assert plan_of(ours.X) is not None
    assert ours.X.dtype == theirs.X.dtype
    assert list(ours.var_names) == list(theirs.var_names)
    pd.testing.assert_frame_equal(ours.obs, theirs.obs)
    assert (dense(ours.X) == dense(theirs.X)).all()
    text = cm.explain(ours)
    assert "native" in text
    assert all(str(parts[name]) in text for name in names)


@pytest.mark.parametrize("join", ["inner", "outer"])
def test_parts_with_ops_and_selections(parts, join):
    pieces = []
    for module, read in ((cm, lazily), (sc, ad.read_h5ad)):
        a, b = read(parts["same"]), read(parts["fewer"])
        module.pp.normalize_total(a, target_sum=1e4)
        module.pp.log1p(a)
        b = b[np.arange(b.n_obs) % 3 == 0]
        c = read(parts["other"])[10:90, 5:200].copy()
        module.pp.normalize_total(c, target_sum=1e3)
        pieces.append(ad.concat([a, b, c, b], join=join, index_unique="-", keys=list("abcd")))
    ours, theirs = pieces
    assert plan_of(ours.X) is not None
    np.testing.assert_allclose(dense(ours.X), dense(theirs.X), rtol=2e-6, atol=1e-6)
    some = np.flatnonzero(np.arange(ours.n_obs) % 5 == 1)
    genes = np.random.default_rng(1).permutation(ours.n_vars)[:50]
    sub = ours[some, genes]
    assert plan_of(sub.X) is not None
    expected = dense(theirs.X)[np.ix_(some, genes)]
    np.testing.assert_allclose(dense(sub.X), expected, rtol=2e-6, atol=1e-6)


def test_dtypes_are_promoted_as_numpy_does(parts, tmp_path):
    files = {}
    for dtype in ("float32", "float64", "int32", "int64", "uint8"):
        piece = ad.read_h5ad(parts["same"])
        piece.X = piece.X.astype(dtype)
        files[dtype] = tmp_path / f"{dtype}.h5ad"
        piece.write_h5ad(files[dtype])
    for one in files:
        for two in files:
            ours = ad.concat([cm.read_h5ad(files[one]), cm.read_h5ad(files[two])])
            assert ours.X.dtype == np.result_type(one, two)
            assert dense(ours.X[:5]).dtype == ours.X.dtype
    pair = []
    for module, read in ((cm, lazily), (sc, ad.read_h5ad)):
        a, b = read(files["float32"]), read(files["float64"])
        module.pp.normalize_total(a, target_sum=1e4)
        module.pp.normalize_total(b, target_sum=1e4)
        pair.append(ad.concat([a, b]))
    np.testing.assert_allclose(dense(pair[0].X), dense(pair[1].X), rtol=2e-6)


@pytest.mark.parametrize("join", ["inner", "outer"])
def test_the_pipeline_on_a_concatenation(parts, join):
    both = []
    for module, read in ((cm, lazily), (sc, ad.read_h5ad)):
        pieces = opened(parts, ("same", "fewer", "other"), read)
        adata = ad.concat(pieces, join=join, label="part", index_unique="-")
        module.pp.normalize_total(adata, key_added="factor")
        module.pp.log1p(adata)
        module.pp.highly_variable_genes(adata, n_top_genes=100)
        module.pp.pca(adata, n_comps=8)
        module.pp.neighbors(adata, 10)
        both.append(adata)
    ours, theirs = both
    np.testing.assert_allclose(ours.obs["factor"], theirs.obs["factor"], rtol=1e-6)
    assert (ours.var["highly_variable"] == theirs.var["highly_variable"]).all()
    for column in ("means", "dispersions", "dispersions_norm"):
        np.testing.assert_allclose(ours.var[column], theirs.var[column], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.obsm["X_pca"], theirs.obsm["X_pca"], atol=5e-3)
    assert abs(ours.obsp["connectivities"] - theirs.obsp["connectivities"]).max() < 1e-2
    cm.tl.leiden(ours)
    cm.tl.umap(ours, maxiter=10)


def test_a_file_cut_in_parts_gives_the_same_numbers(path):
    whole, pieces = cm.read_h5ad(path), cm.read_h5ad(path)
    joined = ad.concat([pieces[:200], pieces[200:500], pieces[500:]])
    for adata in (whole, joined):
        cm.pp.normalize_total(adata)
        cm.pp.log1p(adata)
        cm.pp.highly_variable_genes(adata, n_top_genes=100)
    assert (dense(whole.X) == dense(joined.X)).all()
    np.testing.assert_allclose(
        whole.var["dispersions_norm"], joined.var["dispersions_norm"], rtol=1e-5
    )


def test_what_cannot_stay_native_is_foreign_and_right(parts):
    a, b = lazily(parts["same"]), lazily(parts["fewer"])
    c, d = ad.read_h5ad(parts["same"]), ad.read_h5ad(parts["fewer"])
    doubled = a.copy()
    doubled.X = doubled.X * 2
    mixed = ad.concat([doubled, b])
    assert plan_of(mixed.X) is None
    assert "Dask operation" in cm.explain(mixed)
    c.X = c.X * 2
    assert (dense(mixed.X) == dense(ad.concat([c, d]).X)).all()
    beside = np.concatenate([a.X[:, :10], a.X[:, 10:]], axis=1)
    assert plan_of(beside) is None
    filled = ad.concat([a, b], join="outer", fill_value=1)
    assert plan_of(filled.X) is None


def test_concatenations_are_copied_and_sent(parts):
    made = ad.concat(opened(parts, ("same", "other"), lazily), join="outer", index_unique="-")
    again = ad.concat([made, made[::2]], index_unique="+")
    cm.pp.normalize_total(again, target_sum=1e4)
    expected = dense(again.X)
    copies = [
        again.X.copy(),
        copy.deepcopy(again.X),
        pickle.loads(pickle.dumps(again.X)),
        again.copy().X,
        pickle.loads(pickle.dumps(again)).X,
    ]
    name = again.X.name
    del made, again
    gc.collect()
    for x in copies:
        assert plan_of(x) is not None
        assert x.name == name
        assert (dense(x) == expected).all()


def test_files_of_a_concatenation_are_not_written_to(parts, tmp_path):
    made = ad.concat(opened(parts, ("same", "fewer"), lazily), index_unique="-")
    for name in ("same", "fewer"):
        with pytest.raises(ValueError, match="read from"):
            cm.write_h5ad(made, parts[name])
    cm.write_h5ad(made, tmp_path / "out.h5ad")
    assert (dense(ad.read_h5ad(tmp_path / "out.h5ad").X) == dense(made.X)).all()


@pytest.mark.parametrize("genes", [[5, 3, 9], list(range(699, -1, -1))], ids=["some", "all"])
def test_genes_in_another_order(path, reference, genes):
    adata = cm.read_h5ad(path, block_rows=90)
    for found, expected in (
        (adata.X[:, genes], reference.X[:, genes]),
        (adata[:, adata.var_names[genes]].X, reference.X[:, genes]),
        (adata[100:300:3, genes].copy().X, reference.X[100:300:3][:, genes]),
        (adata.X[:, ::-1], reference.X[:, ::-1]),
    ):
        assert plan_of(found) is not None
        chunk = found.compute()
        assert sparse.issparse(chunk)
        assert chunk.has_sorted_indices
        assert (dense(chunk) == dense(expected)).all()
    twice = adata.X[:, [3, 3, 1]]
    assert plan_of(twice) is None
    assert (dense(twice) == dense(reference.X[:, [3, 3, 1]])).all()
