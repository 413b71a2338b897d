"""What SeuratDisk and zellkonverter write: factors, assay names, indices as R has them."""

import json

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from command import cellmill, message, ok, refused
from datasets import synthetic
from files import TEXT, csr, mark

SMALL = ["--n-top-genes", 60, "--n-comps", 8, "--epochs", 10]
LEVELS = ["B cell", "NK", "T cell"]


@pytest.fixture(scope="module")
def counts() -> sparse.csr_matrix:
    return synthetic(cells=240, genes=120, types=3, seed=4).X


def logged(counts):
    x = counts.copy()
    x.data = np.log1p(x.data)
    return x


def table(file, at: str, names, columns):
    """A dataframe of version 0.1.0, as SeuratDisk makes it."""
    group = file.create_group(at)
    mark(group, "dataframe", "0.1.0")
    group.attrs["_index"] = "_index"
    group.attrs.create("column-order", np.array(list(columns), dtype=object), dtype=TEXT)
    group.create_dataset("_index", data=np.array(names, dtype=object), dtype=TEXT)
    for name, values in columns.items():
        text = values.dtype == object
        group.create_dataset(name, data=values, dtype=TEXT if text else None)
    return group


@pytest.fixture
def seurat(counts, tmp_path):
    """h5Seurat to h5ad: X log-normalised, counts in raw, codes in obs, rows in no order."""
    path = tmp_path / "seurat.h5ad"
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 3, counts.shape[0]).astype(np.int32)
    shuffled = [rng.permutation(np.arange(*counts.indptr[i : i + 2])) for i in range(len(codes))]
    order = np.concatenate(shuffled)
    genes = np.array([f"G{i}" for i in range(counts.shape[1])], dtype=object)
    with h5py.File(path, "w") as file:
        x = logged(counts)
        csr(file, "X", x.data, x.indices, x.indptr, x.shape)
        obs = table(
            file,
            "obs",
            [f"c{i}" for i in range(len(codes))],
            {"kind": codes, "batch": codes, "plain": codes, "text": codes, "n": codes + 0.5},
        )
        obs.create_dataset("__categories/kind", data=np.array(LEVELS, object), dtype=TEXT)
        obs["kind"].attrs["categories"] = obs["__categories/kind"].ref
        table(file, "var", genes, {"features": genes})
        raw = file.create_group("raw")
        csr(raw, "X", counts.data[order], counts.indices[order], counts.indptr, counts.shape)
        table(file, "raw/var", genes, {"features": genes})
        uns = file.create_group("uns")
        uns.create_dataset("batch_levels", data=np.array(LEVELS, object), dtype=TEXT)
        # No levels: fewer than there are codes; numbers.
        uns.create_dataset("text_levels", data=np.array(LEVELS[:2], object), dtype=TEXT)
        uns.create_dataset("plain_levels", data=np.arange(3))
        for name in ("layers", "obsm", "obsp", "varm", "varp"):
            file.create_group(name)
    return path, codes


def factors(obs: pd.DataFrame, codes):
    for name in ("kind", "batch"):
        assert list(obs[name].cat.categories) == LEVELS
        np.testing.assert_array_equal(obs[name].cat.codes, codes)
    for name in ("plain", "text"):
        np.testing.assert_array_equal(obs[name], codes)
        assert obs[name].dtype.kind == "i"


def test_seurat_disk(seurat, counts, tmp_path):
    path, codes = seurat
    assert "raw/X" in ok("info", path).out
    ok("run", path, "-o", tmp_path / "out.h5ad", "--quiet", *SMALL)
    found = ad.read_h5ad(tmp_path / "out.h5ad")
    assert abs(found.layers["counts"] - counts).max() == 0
    factors(found.obs, codes)
    assert found.var["features"].tolist() == found.var_names.tolist()


def test_seurat_disk_is_converted(seurat, counts, tmp_path):
    path, _ = seurat
    for options in ([], ["--gzip", 1, "--layout", "csc"]):
        ok("convert", path, "-o", tmp_path / "out.h5ad", "--quiet", "--force", *options)
        found = ad.read_h5ad(tmp_path / "out.h5ad")
        assert list(found.obs["kind"].cat.categories) == LEVELS
        assert abs(found.raw.X - counts).max() == 0


def test_indices_that_are_no_integers(counts, tmp_path):
    """R's numbers are doubles."""
    path = tmp_path / "in.h5ad"
    ad.AnnData(counts).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        indices = file["X/indices"][()]
        del file["X/indices"]
        file["X/indices"] = indices.astype(np.float64)
    sentence = message(cellmill("run", path, "-o", tmp_path / "out.h5ad", *SMALL))
    assert "X/indices" in sentence
    assert "float64" in sentence


def zellkonverter(path, x, name, layers=None, dense=False):
    adata = ad.AnnData(x.toarray() if dense else x, layers=layers)
    adata.obs["kind"] = pd.Categorical(np.resize(LEVELS, adata.n_obs))
    adata.var["checked"] = pd.array([None] * adata.n_vars, dtype="boolean")  # NA of R
    adata.uns["X_name"] = name
    adata.write_h5ad(path)
    return path


@pytest.mark.parametrize("dense", [False, True])
def test_the_assay_in_x_is_named(dense, counts, tmp_path):
    path = zellkonverter(tmp_path / "in.h5ad", counts, "counts", dense=dense)
    assert "uns/X_name calls it counts" in ok("info", path).out
    (matrix,) = json.loads(ok("info", path, "--json").out)["matrices"]
    assert matrix["kind"] == "raw_counts"
    assert "counts" in matrix["why"]
    ok("run", path, "-o", tmp_path / "out.h5ad", "--quiet", *SMALL)
    found = ad.read_h5ad(tmp_path / "out.h5ad")
    np.testing.assert_array_equal(found.layers["counts"].toarray(), counts.toarray())
    assert list(found.obs["kind"].cat.categories) == LEVELS
    assert found.var["checked"].isna().all()


def test_the_counts_are_in_a_layer(counts, tmp_path):
    path = zellkonverter(tmp_path / "in.h5ad", logged(counts), "logcounts", {"counts": counts})
    assert "uns/X_name calls it logcounts" in ok("info", path).out
    ok("run", path, "-o", tmp_path / "out.h5ad", "--quiet", *SMALL)
    assert abs(ad.read_h5ad(tmp_path / "out.h5ad").layers["counts"] - counts).max() == 0


@pytest.mark.parametrize("options", [[], ["--matrix", "X"]], ids=str)
def test_values_decide_and_not_names(options, counts, tmp_path):
    """X is called counts and holds fractions: both are said."""
    path = zellkonverter(tmp_path / "in.h5ad", logged(counts), "counts")
    out = ["-o", tmp_path / "out.h5ad"]
    said = ["uns/X_name calls it counts", "not whole numbers"]
    refused("run", path, *out, *options, names=said, leaves=tmp_path)


def test_two_candidates_are_named(counts, tmp_path):
    other = counts.copy()
    other.data = other.data + 1
    path = zellkonverter(tmp_path / "in.h5ad", counts, "counts", {"counts": other})
    said = ["uns/X_name calls it counts", "layers/counts", "--matrix"]
    refused("run", path, "-o", tmp_path / "out.h5ad", names=said, leaves=tmp_path)
