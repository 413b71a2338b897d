"""`cellmill convert`: every element is kept, matrices are CSR, a subset is anndata's subset."""

import gzip
import json
import signal

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse

from command import listing, ok, refused, start
from datasets import synthetic


def same(found: ad.AnnData, expected: ad.AnnData):
    # A column of strings comes back as one, with another NA.
    pd.testing.assert_frame_equal(found.obs, expected.obs, check_dtype=False)
    pd.testing.assert_frame_equal(found.var, expected.var, check_dtype=False)
    for where in ("layers", "obsm", "varm", "obsp", "varp"):
        ours, theirs = getattr(found, where), getattr(expected, where)
        assert set(ours) == set(theirs), where
        for key in theirs:
            equal(ours[key], theirs[key])
    equal(found.X, expected.X)
    assert (found.raw is None) == (expected.raw is None)
    if expected.raw is not None:
        equal(found.raw.X, expected.raw.X)
        pd.testing.assert_frame_equal(found.raw.var, expected.raw.var, check_dtype=False)
    assert set(found.uns) == set(expected.uns)


def equal(a, b):
    if isinstance(b, pd.DataFrame):
        pd.testing.assert_frame_equal(a, b)
        return
    full = [x.toarray() if sparse.issparse(x) else np.asarray(x) for x in (a, b)]
    np.testing.assert_array_equal(*full)


@pytest.fixture(scope="module")
def adata():
    adata = synthetic(cells=500, genes=200)
    rng = np.random.default_rng(5)
    graph = sparse.random(500, 500, 0.02, format="csr", rng=rng)
    adata.obs["n"] = rng.integers(0, 9, 500)
    adata.var["symbol"] = [f"S{i}" for i in range(200)]
    adata.obsm["X_pca"] = rng.normal(size=(500, 4)).astype(np.float32)
    adata.obsm["frame"] = pd.DataFrame({"a": rng.normal(size=500)}, index=adata.obs_names)
    adata.obsm["sparse"] = sparse.random(500, 6, 0.3, format="csr", rng=rng)
    adata.varm["PCs"] = rng.normal(size=(200, 4))
    adata.obsp["connectivities"] = graph
    adata.obsp["dense"] = graph.toarray()
    adata.varp["links"] = sparse.random(200, 200, 0.05, format="csc", rng=rng)
    adata.layers["dense"] = adata.X.toarray() + 1
    adata.layers["csc"] = sparse.csc_matrix(adata.X)
    adata.uns["text"] = {"inner": np.arange(3), "name": "x"}
    adata.raw = adata
    return adata


@pytest.fixture(scope="module")
def path(adata, tmp_path_factory):
    path = tmp_path_factory.mktemp("convert") / "in.h5ad"
    adata.write_h5ad(path, compression="gzip")
    return path


@pytest.mark.parametrize("options", [[], ["--gzip", 0], ["--gzip", 6, "--chunk", 5000]], ids=str)
def test_everything_is_kept(options, adata, path, tmp_path):
    target = tmp_path / "out.h5ad"
    ok("convert", path, "-o", target, "--quiet", *options)
    same(ad.read_h5ad(target), adata)
    with h5py.File(target) as file:
        assert file["layers/csc"].attrs["encoding-type"] == "csr_matrix"
        assert file["layers/dense"].attrs["encoding-type"] == "csr_matrix"
        if options:
            assert file["X/data"].compression == ("gzip" if options[1] else None)
        if "--chunk" in options:
            assert file["X/data"].chunks == (5000,)


@pytest.fixture
def subset(adata, tmp_path):
    """Masks of cells and genes, and the options that select them."""
    rng = np.random.default_rng(8)
    cells = rng.random(500) < 0.3
    genes = rng.random(200) < 0.5
    lists = []
    for name, names in (("cells", adata.obs_names[cells]), ("genes", adata.var_names[genes])):
        lists += [f"--{name}", tmp_path / f"{name}.txt"]
        lists[-1].write_text("\n".join(rng.permutation(names)) + "\n")
    return cells, genes, lists


@pytest.mark.parametrize("threads", [1, 2])
def test_a_subset_is_anndatas(threads, adata, path, subset, tmp_path):
    cells, genes, lists = subset
    target = tmp_path / "out.h5ad"
    ok("convert", path, "-o", target, *lists, "--threads", threads, "--quiet")
    same(ad.read_h5ad(target), adata[cells, genes].copy())
    ok("convert", path, "-o", target, *lists[:2], "--force", "--quiet")
    same(ad.read_h5ad(target), adata[cells].copy())


@pytest.mark.parametrize("options", [[], ["--gzip", 0], ["--chunk", 5000]], ids=str)
def test_zarr_keeps_everything(options, adata, path, tmp_path):
    """anndata reads it, and so does this program."""
    target, back = tmp_path / "out.zarr", tmp_path / "back.h5ad"
    ok("convert", path, "-o", target, "--quiet", *options)
    same(ad.read_zarr(target), adata)
    array = json.loads((target / "X/data/zarr.json").read_text())
    assert [c["name"] for c in array["codecs"]] == ["bytes", "gzip"][
        : 1 if "--gzip" in options else 2
    ]
    if "--chunk" in options:
        assert array["chunk_grid"]["configuration"]["chunk_shape"] == [5000]
    ok("convert", target, "-o", back, "--quiet")
    same(ad.read_h5ad(back), adata)
    ok("convert", target, "-o", target.with_name("again.zarr"), "--quiet")
    same(ad.read_zarr(target.with_name("again.zarr")), adata)


def test_zarr_subset(adata, path, subset, tmp_path):
    cells, genes, lists = subset
    ok("convert", path, "-o", tmp_path / "out.zarr", *lists, "--quiet")
    same(ad.read_zarr(tmp_path / "out.zarr"), adata[cells, genes].copy())


def test_zarr_is_the_same_on_any_number_of_threads(path, tmp_path):
    found = []
    for threads in (1, 2):
        target = tmp_path / f"{threads}.zarr"
        ok("convert", path, "-o", target, "--chunk", 1000, "--threads", threads, "--quiet")
        found.append(
            {p.relative_to(target): p.read_bytes() for p in target.rglob("*") if p.is_file()}
        )
    assert found[0] == found[1]


def test_zarr_of_every_encoding(tmp_path):
    """Strings, missing values, scalars, None, empty arrays, names of anndata's."""
    adata = synthetic(cells=30, genes=20)
    adata.obs["whole"] = pd.array([1, None, 3] * 10, dtype="Int64")
    adata.obs["flag"] = pd.array([True, None, False] * 10, dtype="boolean")
    adata.obs["group"] = pd.Categorical(["a", "b", None] * 10, ordered=True)
    adata.obs["text"] = ["é", "", "x y"] * 10
    adata.uns = {
        "none": None,
        "number": 3.5,
        "whole": 7,
        "yes": True,
        "text": "hé",
        "empty": np.zeros((0, 3)),
        "texts": np.array(["a", "bb"]),
        "table of texts": np.array([["a", "bb"], ["c", ""]], dtype=object),
        "colours": {"deep": {"er": np.arange(6, dtype=np.uint8).reshape(2, 3)}},
    }
    adata.write_h5ad(tmp_path / "in.h5ad")
    ok("convert", tmp_path / "in.h5ad", "-o", tmp_path / "out.zarr", "--quiet")
    ok("convert", tmp_path / "out.zarr", "-o", tmp_path / "back.h5ad", "--quiet")
    for found in (ad.read_zarr(tmp_path / "out.zarr"), ad.read_h5ad(tmp_path / "back.h5ad")):
        same(found, adata)
        assert found.uns["none"] is None
        assert (found.uns["number"], found.uns["whole"], found.uns["yes"]) == (3.5, 7, True)
        assert found.uns["text"] == "hé"
        assert found.uns["empty"].shape == (0, 3)
        assert found.uns["texts"].tolist() == ["a", "bb"]
        assert found.uns["table of texts"].tolist() == [["a", "bb"], ["c", ""]]
        np.testing.assert_array_equal(found.uns["colours"]["deep"]["er"], [[0, 1, 2], [3, 4, 5]])


def test_records_go_to_zarr(tmp_path):
    """What rank_genes_groups writes."""
    adata = synthetic(cells=30, genes=20)
    names = np.rec.fromarrays([["é", "bcd"], ["x", ""]], names=["0", "1"])
    scores = np.rec.fromarrays([np.array([1.5, 2], np.float32), [3.0, 4.0]], names=["0", "1"])
    adata.uns["ranks"] = {"names": names, "scores": scores}
    adata.write_h5ad(tmp_path / "in.h5ad")
    ok("convert", tmp_path / "in.h5ad", "-o", tmp_path / "out.zarr", "--quiet")
    found = ad.read_zarr(tmp_path / "out.zarr").uns["ranks"]
    assert [tuple(row) for row in found["names"]] == [("é", "x"), ("bcd", "")]
    assert [tuple(row) for row in found["scores"]] == [(1.5, 3.0), (2.0, 4.0)]
    assert found["scores"].dtype["0"] == np.float32


def test_categories_of_old_files_leave_uns(tmp_path):
    """anndata 0.5 kept the names of factors in uns; they are joined to the column."""
    with h5py.File(tmp_path / "old.h5ad", "w") as file:
        cells = np.array([(b"a", 1), (b"b", 0)], dtype=[("index", "S1"), ("kind", "i1")])
        file["obs"] = cells
        file["var"] = np.array([(b"g", 2.5)], dtype=[("index", "S1"), ("score", "f8")])
        file["X"] = np.array([[1.0], [2.0]], dtype=np.float32)
        file["uns/kind_categories"] = [b"T cell", b"B cell"]
        file["uns/score_categories"] = [1, 2]  # of a column that holds no codes
    for name in ("out.h5ad", "out.zarr"):
        ok("convert", tmp_path / "old.h5ad", "-o", tmp_path / name, "--quiet")
        found = (ad.read_zarr if name.endswith("zarr") else ad.read_h5ad)(tmp_path / name)
        assert found.obs["kind"].tolist() == ["B cell", "T cell"]
        assert isinstance(found.obs["kind"].dtype, pd.CategoricalDtype)
        assert list(found.uns) == ["score_categories"]


def counts_read(folder, adata, **options):
    found = sc.read_10x_mtx(folder, **options)
    equal(found.X, adata.X)
    assert found.obs_names.tolist() == adata.obs_names.tolist()
    assert found.var_names.tolist() == adata.var_names.tolist()
    assert set(found.var["feature_types"]) == {"Gene Expression"}
    return found


def test_mtx_is_read_by_scanpy(adata, path, subset, tmp_path):
    cells, genes, lists = subset
    counts = ["--matrix", "X"]  # layers/dense looks like other counts
    target = tmp_path / "out.mtx"
    ok("convert", path, "-o", target, *counts, "--quiet")
    found = counts_read(target, adata)
    assert found.var["gene_ids"].tolist() == adata.var_names.tolist()
    ok("convert", path, "-o", target, *counts, *lists, "--quiet", "--force", "--threads", 2)
    counts_read(target, adata[cells, genes])
    with gzip.open(target / "matrix.mtx.gz", "rt") as text:
        assert text.readline() == "%%MatrixMarket matrix coordinate integer general\n"
    # By this program too, and from a folder to a folder.
    ok("convert", target, "-o", tmp_path / "folder", "--to", "mtx", "--quiet")
    counts_read(tmp_path / "folder", adata[cells, genes])


def test_mtx_finds_the_counts_and_the_symbols(tmp_path):
    adata = synthetic(cells=40, genes=30)
    counts = adata.X.copy()
    names = [f"G{i}" for i in range(30)]
    adata.var["feature_name"] = names
    adata.var_names = [f"ENSG{i:011d}" for i in range(30)]
    adata.raw = adata
    adata.X = np.log1p(adata.X.toarray())
    adata.write_h5ad(tmp_path / "in.h5ad")
    ok("convert", tmp_path / "in.h5ad", "-o", tmp_path / "out.mtx", "--quiet")
    expected = ad.AnnData(counts, obs=adata.obs, var=pd.DataFrame(index=names))
    found = counts_read(tmp_path / "out.mtx", expected)
    assert found.var["gene_ids"].tolist() == adata.var_names.tolist()
    refused(
        "convert", tmp_path / "in.h5ad", "-o", tmp_path / "x.mtx", "--matrix", "X",
        names=["X", "raw counts"], leaves=tmp_path,
    )  # fmt: skip


def test_what_to_write_is_said(path, tmp_path):
    refused("convert", path, "-o", tmp_path / "out", names=["--to", ".zarr"], leaves=tmp_path)
    refused("convert", path, "-o", tmp_path / "out.h5", names=["--to"], leaves=tmp_path)
    out = ["-o", tmp_path / "out.mtx"]
    refused("convert", path, *out, "--chunk", 9, names=["--chunk"], leaves=tmp_path)
    refused("convert", path, *out, names=["several", "--matrix"], leaves=tmp_path)
    refused("convert", path, "-o", tmp_path / "out.zarr", "--matrix", "X", names=["--matrix"])
    ok("convert", path, "-o", tmp_path / "out", "--to", "zarr", "--quiet")
    assert ad.read_zarr(tmp_path / "out").shape == (500, 200)


@pytest.mark.parametrize("name", ["out.zarr", "out.mtx"])
def test_a_folder_is_replaced_only_when_it_is_ours(name, adata, path, tmp_path):
    target = tmp_path / name
    options = ["--matrix", "X"] if name.endswith("mtx") else []
    target.mkdir()
    (target / "thesis.txt").write_text("mine")
    out = ["-o", target, *options]
    refused("convert", path, *out, names=["--force"], leaves=tmp_path)
    refused("convert", path, *out, "--force", names=["something else"], leaves=tmp_path)
    (target / "thesis.txt").unlink()
    ok("convert", path, *out, "--quiet", "--force")
    (target / "stale").write_text("old")
    ok("convert", path, *out, "--quiet", "--force")
    assert not (target / "stale").exists()
    assert [p.name for p in tmp_path.iterdir()] == [name]
    if name.endswith("zarr"):
        refused("convert", target, "-o", target / "in.zarr", names=["input"], leaves=tmp_path)


@pytest.mark.parametrize("name", ["out.zarr", "out.mtx"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted(name, how, tmp_path):
    """Nothing under the target's name; what a kill leaves, the next run removes."""
    source, work = tmp_path / "in.h5ad", tmp_path / "work"
    synthetic(cells=12_000, genes=3000).write_h5ad(source)
    work.mkdir()
    process = start("convert", source, "-o", work / name, "--quiet", "--threads", 1)
    while process.poll() is None and not listing(work):
        pass
    process.send_signal(how)
    _, err = process.communicate(timeout=30)
    if process.returncode == 0:
        pytest.skip("it ended before the signal came")
    assert "panicked" not in err
    assert not (work / name).exists()
    if how == signal.SIGINT:
        assert process.returncode == 130, err
        assert not list(work.iterdir())
    ok("convert", source, "-o", work / name, "--quiet")
    assert [p.name for p in work.iterdir()] == [name]


def test_refusals(path, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("cell1\nnobody\n")
    out = ["-o", tmp_path / "out.h5ad"]
    refused("convert", path, *out, "--cells", names, names=["nobody", "obs"], leaves=tmp_path)
    names.write_text("\n")
    refused("convert", path, *out, "--genes", names, names=["names.txt"], leaves=tmp_path)
    refused(
        "convert", path, *out, "--genes", tmp_path / "no.txt", names=["no.txt"], leaves=tmp_path
    )
    refused("convert", path, "-o", path, "--force", names=["input"])
    (tmp_path / "out.h5ad").write_text("here")
    refused("convert", path, *out, names=["--force"], leaves=tmp_path)
