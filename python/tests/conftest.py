"""A small atlas, and the same matrix in every kind that the functions accept."""

import signal
import sys
from pathlib import Path

import anndata as ad
import cellmill as cm
import dask.array as da
import numpy as np
import pytest
from scipy import sparse

# The checks against scanpy that the tests of the command share.
sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))

# A shell that starts the tests in the background has Ctrl-C ignored, and some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

cm.settings.progress = "off"
cm.settings.threads = 2

KINDS = (
    "lazy",
    "lazy-7",
    "dask-csr",
    "dask-csr-7",
    "dask-csr-1",
    "dask-csc",
    "dask-dense",
    "dask-dense-7",
    "dask-dense-1",
    "csr",
    "csr_array",
    "csc",
    "dense",
)


@pytest.fixture(scope="session")
def path(tmp_path_factory):
    """An h5ad file of 900 cells x 700 genes: counts in X, float32."""
    target = tmp_path_factory.mktemp("data") / "atlas.h5ad"
    cm.datasets.simulate(900, 700, path=target, n_types=6, entries_per_cell=110, seed=3)
    return target


@pytest.fixture
def reference(path):
    """The same, in memory: an AnnData of its own for every test."""
    return ad.read_h5ad(path)


@pytest.fixture
def make(path, tmp_path_factory):
    """`make(kind, dtype)`: an AnnData whose X is of that kind and dtype."""

    def build(kind: str, dtype: str = "float32") -> ad.AnnData:
        adata = ad.read_h5ad(path)
        x = adata.X.astype(dtype)
        if kind.startswith("lazy"):
            target = tmp_path_factory.mktemp("kind") / "x.h5ad"
            adata.X = x
            adata.write_h5ad(target)
            return cm.read_h5ad(target, block_rows=7 if kind.endswith("7") else None)
        rows = {"7": 7, "1": adata.n_obs}.get(kind[-1], 250)
        adata.X = {
            "csr": lambda: x,
            "csr_array": lambda: sparse.csr_array(x),
            "csc": lambda: x.tocsc(),
            "dense": lambda: x.toarray(),
            "dask-csr": lambda: chunked(x, rows),
            "dask-csc": lambda: chunked(x, rows).map_blocks(
                lambda c: c.tocsc(), dtype=x.dtype, meta=sparse.csc_matrix((0, 0), dtype=x.dtype)
            ),
            "dask-dense": lambda: da.from_array(x.toarray(), chunks=(rows, -1)),
        }[kind.removesuffix("-7").removesuffix("-1")]()
        return adata

    return build


def chunked(x, rows):
    """A Dask array of CSR chunks of so many rows, as the tutorial makes them."""
    chunks = [
        da.from_delayed(_delayed(x[i : i + rows]), (min(rows, x.shape[0] - i), x.shape[1]), x.dtype)
        for i in range(0, x.shape[0], rows)
    ]
    whole = da.concatenate(chunks, axis=0)
    whole._meta = sparse.csr_matrix((0, 0), dtype=x.dtype)
    return whole


def _delayed(chunk):
    import dask

    return dask.delayed(lambda c: c, pure=True)(chunk)


def dense(x) -> np.ndarray:
    """Any matrix as a numpy array."""
    x = x.compute() if isinstance(x, da.Array) else x
    return x.toarray() if sparse.issparse(x) else np.asarray(x)
