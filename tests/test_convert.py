"""`cellmill convert`: every element is kept, matrices are CSR, a subset is anndata's subset."""

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from command import ok, refused
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


@pytest.mark.parametrize("threads", [1, 2])
def test_a_subset_is_anndatas(threads, adata, path, tmp_path):
    rng = np.random.default_rng(8)
    cells = rng.random(500) < 0.3
    genes = rng.random(200) < 0.5
    lists = []
    for name, names in (("cells", adata.obs_names[cells]), ("genes", adata.var_names[genes])):
        lists += [f"--{name}", tmp_path / f"{name}.txt"]
        lists[-1].write_text("\n".join(rng.permutation(names)) + "\n")
    target = tmp_path / "out.h5ad"
    ok("convert", path, "-o", target, *lists, "--threads", threads, "--quiet")
    same(ad.read_h5ad(target), adata[cells, genes].copy())
    ok("convert", path, "-o", target, *lists[:2], "--force", "--quiet")
    same(ad.read_h5ad(target), adata[cells].copy())


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
