"""Every file of the real data: read as anndata and scanpy read it, or refused with a sentence."""

import zipfile
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse

from command import ok, refused
from datasets import folder, real

BASE = folder()
REFUSED = {
    "fixtures/anndata_archives/adata-comments.tsv": "not an HDF5 file",
    "fixtures/anndata_archives/adata.csv": "not an HDF5 file",
    "fixtures/anndata_archives/excel.xlsx": "not an HDF5 file",
    "fixtures/anndata_archives/umi_tools.tsv.gz": "not an HDF5 file",
    "fixtures/bpcells_mini/double_mat.mtx": "not an HDF5 file",
    "fixtures/bpcells_mini/int_mat.mtx.gz": "not an HDF5 file",
    "fixtures/bpcells_mini/mini_mat_crlf": "neither zarr",
    "fixtures/bpcells_mini/mini_mat_lf": "neither zarr",
    "fixtures/scvi_tools/mpfc-starmap.loom": "no element obs",
    "fixtures/scvi_tools/pbmc_10k_protein_v3_filtered_feature_bc_matrix.tar.gz": "unpacked",
    "tenx/10x-10k-subset.zarr": "not an encoding",
    "tenx/10x_data/1.2.0/multiple_genomes.h5": "choose one with --matrix",
}
# Tables that belong to other tests, and texts.
OTHER = ("reference_outputs/scanpy_tests", ".csv.gz", ".txt", "readme.md")


def found() -> list[str]:
    """The files and folders of data below the folder, each once."""
    if BASE is None:
        return ["human_pbmc/pbmc3k_raw_csr.h5ad"]
    names = set()
    for path in sorted(BASE.rglob("*")):
        name = str(path.relative_to(BASE))
        parts = [p for p in path.parents if p.suffix == ".zarr" or p.name.startswith("mini_mat_")]
        if path.is_dir() or any(word in name for word in OTHER):
            continue
        if parts:
            names.add(str(parts[-1].relative_to(BASE)))
        elif path.parent.joinpath("barcodes.tsv").exists() or path.name in (
            "barcodes.tsv.gz",
            "features.tsv.gz",
            "matrix.mtx.gz",
        ):
            names.add(str(path.parent.relative_to(BASE)))
        else:
            names.add(name)
    return sorted(names)


def reference(path: Path) -> ad.AnnData:
    """What anndata or scanpy read."""
    if path.suffix == ".h5ad":
        return ad.read_h5ad(path)
    if path.suffix == ".zarr" or (path / ".zgroup").exists():
        return ad.read_zarr(path)
    if path.suffix == ".h5":
        return sc.read_10x_h5(path, gex_only=False)
    packed = (path / "matrix.mtx.gz").exists()
    return sc.read_10x_mtx(path, gex_only=False, make_unique=False, compressed=packed)


def equal(a, b):
    if b is None:
        assert a is None
        return
    a, b = sparse.csr_matrix(a), sparse.csr_matrix(b)
    assert a.shape == b.shape
    assert (a != b).nnz == 0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", found())
def test_every_file(name, tmp_path):
    path = real(name)
    target = tmp_path / "out.h5ad"
    if name in REFUSED:
        refused("convert", path, "-o", target, names=[path.name, REFUSED[name]], leaves=tmp_path)
        return
    if name.endswith(".zarr.zip"):
        refused("convert", path, "-o", target, names=["unpacked"], leaves=tmp_path)
        path = tmp_path / "unpacked.zarr"
        zipfile.ZipFile(real(name)).extractall(path)
        assert "cells x" in ok("info", path).out
        values = reference(path).uns.values()
        if any(getattr(value, "dtype", np.dtype(int)).names for value in values):
            # Record arrays cannot be written anew.
            refused("convert", path, "-o", target, names=["not an encoding"])
            return
    ok("convert", path, "-o", target, "--quiet")
    ours, theirs = ad.read_h5ad(target), reference(path)
    assert list(ours.obs_names) == list(theirs.obs_names)
    assert list(ours.var_names) == list(theirs.var_names)
    equal(ours.X, theirs.X)
    assert set(ours.layers) == set(theirs.layers)
    for layer in theirs.layers:
        equal(ours.layers[layer], theirs.layers[layer])
    if theirs.raw is not None:
        equal(ours.raw.X, theirs.raw.X)
        assert list(ours.raw.var_names) == list(theirs.raw.var_names)
    for frame in ("obs", "var"):
        a, b = getattr(ours, frame), getattr(theirs, frame)
        assert list(a.columns) == list(b.columns)
        for column in b:
            values = b[column]
            if pd.api.types.is_numeric_dtype(values.dtype):
                np.testing.assert_array_equal(a[column].to_numpy(), values.to_numpy())
            else:
                assert list(a[column].astype(str)) == list(values.astype(str)), column
    # Categories of the first form of files are read as their columns, and stay in uns besides.
    for column in theirs.obs:
        ours.uns.pop(f"{column}_categories", None)
    for where in ("obsm", "varm", "obsp", "varp", "uns"):
        assert set(getattr(ours, where)) == set(getattr(theirs, where)), where
