"""`cellmill convert --layout`: X and the layers as CSR, CSC or dense; raw and graphs stay CSR."""

import anndata as ad
import h5py
import numpy as np
import pytest
from scipy import sparse

from command import ok, refused
from datasets import synthetic
from test_convert import adata, path, same, subset  # noqa: F401

ENCODING = {"csr": "csr_matrix", "csc": "csc_matrix", "dense": "array"}
MATRICES = ["X", "layers/csc", "layers/dense"]


def read(target) -> ad.AnnData:
    return ad.read_zarr(target) if target.suffix == ".zarr" else ad.read_h5ad(target)


def convert(source, target, layout, *options):
    ok("convert", source, "-o", target, "--layout", layout, "--quiet", "--force", *options)


@pytest.mark.parametrize("layout", ENCODING)
@pytest.mark.parametrize("name", ["out.h5ad", "out.zarr"])
@pytest.mark.parametrize("options", [[], ["--gzip", 0], ["--chunk", 3000]], ids=str)
def test_layouts(layout, name, options, adata, path, tmp_path):  # noqa: F811
    target, back = tmp_path / name, tmp_path / "back.h5ad"
    convert(path, target, layout, *options)
    found = read(target)
    same(found, adata)
    kinds = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "dense": np.ndarray}
    for matrix in [found.X, *found.layers.values()]:
        assert isinstance(matrix, kinds[layout])
        assert layout == "dense" or matrix.has_sorted_indices
    if name.endswith("h5ad"):
        with h5py.File(target) as file:
            for matrix in MATRICES:
                assert file[matrix].attrs["encoding-type"] == ENCODING[layout]
            assert file["raw/X"].attrs["encoding-type"] == "csr_matrix"
            assert file["obsp/connectivities"].attrs["encoding-type"] == "csr_matrix"
            if layout == "dense" and options:
                rows, columns = file["X"].chunks
                assert columns == 200
                assert rows == (15 if "--chunk" in options else 500)
                assert file["X"].compression == (None if "--gzip" in options else "gzip")
    # By this program's own reader.
    convert(target, back, "csr")
    same(ad.read_h5ad(back), adata)


@pytest.mark.parametrize("layout", ["csc", "dense"])
@pytest.mark.parametrize("name", ["out.h5ad", "out.zarr"])
def test_a_subset(layout, name, adata, path, subset, tmp_path):  # noqa: F811
    cells, genes, lists = subset
    convert(path, tmp_path / name, layout, *lists, "--chunk", 700)
    same(read(tmp_path / name), adata[cells, genes].copy())
    convert(path, tmp_path / name, layout, *lists[2:])
    same(read(tmp_path / name), adata[:, genes].copy())


@pytest.mark.parametrize("layout", ["csc", "dense"])
def test_threads_and_memory_leave_the_bytes(layout, path, tmp_path):  # noqa: F811
    found = []
    for options in (["--threads", 1], ["--threads", 2, "--memory", "300M"]):
        convert(path, tmp_path / "out.h5ad", layout, "--chunk", 1000, *options)
        found.append((tmp_path / "out.h5ad").read_bytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32", "float64"])
def test_dtypes_and_explicit_zeros(dtype, tmp_path):
    counts = synthetic(cells=60, genes=30).X.astype(np.float64)
    counts.data = np.minimum(counts.data, 200)
    counts.data[::5] = 0
    x = counts.astype(dtype)
    ad.AnnData(x).write_h5ad(tmp_path / "in.h5ad")
    for layout in ("csc", "dense"):
        convert(tmp_path / "in.h5ad", tmp_path / "out.h5ad", layout)
        found = ad.read_h5ad(tmp_path / "out.h5ad").X
        assert found.dtype == ("int32" if dtype == "uint8" else dtype)
        if layout == "csc":
            assert found.nnz == counts.nnz  # zeros that are stored stay
            found = found.toarray()
        np.testing.assert_array_equal(found, x.toarray())


@pytest.mark.parametrize("shape", [(0, 5), (4, 0), (1, 1), (7, 3)])
@pytest.mark.parametrize("name", ["out.h5ad", "out.zarr"])
def test_small_and_empty(shape, name, tmp_path):
    x = sparse.csr_matrix(shape, dtype=np.float32)
    ad.AnnData(x).write_h5ad(tmp_path / "in.h5ad")
    for layout in ("csc", "dense"):
        convert(tmp_path / "in.h5ad", tmp_path / name, layout)
        found = read(tmp_path / name).X
        assert found.shape == shape
        assert np.count_nonzero(found.toarray() if layout == "csc" else found) == 0


def test_what_is_said(path, tmp_path):  # noqa: F811
    done = ok("convert", path, "-o", tmp_path / "out.h5ad", "--layout", "dense", "--gzip", 1)
    assert "dense matrices of" in done.out
    refused(
        "convert", path, "-o", tmp_path / "out.mtx", "--layout", "csc", names=["--layout"],
    )  # fmt: skip
