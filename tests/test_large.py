"""More than 2^31 entries: few genes and many cells, in a file that is small on disk."""

import h5py
import numpy as np
import pytest
from scipy import sparse

from check_hvg import check_hvg
from command import ok
from files import frame, mark
from scanpy_reference import variable

GENES = 2100
ENTRIES = 2048
ROWS = 1024
CHUNKS = 1030
PATTERNS = 6
"""Distinct rows in a chunk: few, so that they repeat within gzip's window."""


def pattern() -> sparse.csr_matrix:
    """The cells of one chunk of the file; all chunks are the same."""
    rng = np.random.default_rng(0)
    rate = rng.lognormal(0, 1.2, GENES)
    rows, values = [], []
    for _ in range(PATTERNS):
        rows.append(np.sort(rng.permutation(GENES)[:ENTRIES]))
        values.append(np.minimum(1 + rng.poisson(rate[rows[-1]]), 255))
    which = np.arange(ROWS) % PATTERNS
    return sparse.csr_matrix(
        (
            np.concatenate([values[w] for w in which]).astype(np.uint8),
            np.concatenate([rows[w] for w in which]).astype(np.int32),
            np.arange(ROWS + 1) * ENTRIES,
        ),
        shape=(ROWS, GENES),
    )


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "large.h5ad"
    one = pattern()
    cells, nnz = ROWS * CHUNKS, ROWS * CHUNKS * ENTRIES
    assert nnz > 2**31
    import zlib

    with h5py.File(path, "w") as file:
        mark(file, "anndata", "0.1.0")
        matrix = file.create_group("X")
        mark(matrix, "csr_matrix", "0.1.0")
        matrix.attrs["shape"] = np.array([cells, GENES], dtype=np.int64)
        for name, values in [("data", one.data), ("indices", one.indices.astype("<u2"))]:
            chunk = zlib.compress(values.tobytes(), 6)
            node = matrix.create_dataset(
                name, (nnz,), values.dtype, chunks=(one.nnz,), compression="gzip"
            )
            for i in range(CHUNKS):
                node.id.write_direct_chunk((i * one.nnz,), chunk)
        indptr = np.arange(cells + 1, dtype=np.int64) * ENTRIES
        matrix.create_dataset(
            "indptr", data=indptr, chunks=(65536,), compression="gzip", shuffle=True
        )
        frame(file, "obs", [str(i) for i in range(cells)])
        frame(file, "var", [f"gene{i}" for i in range(GENES)])
        for name in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
            mark(file.create_group(name), "dict", "0.1.0")
    return path


@pytest.mark.large
def test_info(atlas):
    text = ok("info", atlas).out.replace(",", "").replace("_", "")
    assert str(ROWS * CHUNKS) in text
    assert str(ROWS * CHUNKS * ENTRIES) in text


@pytest.mark.large
def test_highly_variable_genes(atlas, tmp_path):
    """Equal to scanpy's on one chunk, but for n/(n-1)."""
    target = tmp_path / "hvg.h5ad"
    ok("hvg", atlas, "-o", target, "--n-top-genes", 500, "--quiet", timeout=900)
    import anndata as ad

    with h5py.File(target) as file:
        ours = ad.io.read_elem(file["var"])
        assert file["X/data"].shape == (ROWS * CHUNKS * ENTRIES,)
    theirs = variable(pattern(), n_top_genes=500).var
    n = ROWS * CHUNKS
    shift = np.log((n / (n - 1)) / (ROWS / (ROWS - 1)))
    theirs["dispersions"] += shift
    check_hvg(ours, theirs, cut=500)
