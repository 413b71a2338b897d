"""h5ad files written by hand with h5py, so that every byte can be chosen (and be wrong)."""

from pathlib import Path

import h5py
import numpy as np
from scipy import sparse

TEXT = h5py.string_dtype("utf-8")


def mark(node, kind: str, version: str):
    node.attrs["encoding-type"] = kind
    node.attrs["encoding-version"] = version


def strings(group, name: str, values):
    mark(
        group.create_dataset(name, data=np.array(values, dtype=object), dtype=TEXT),
        "string-array",
        "0.2.0",
    )


def frame(file, name: str, index):
    group = file.create_group(name)
    mark(group, "dataframe", "0.2.0")
    group.attrs["_index"] = "_index"
    group.attrs.create("column-order", np.array([], dtype=object), dtype=TEXT)
    strings(group, "_index", index)
    return group


def csr(group, name: str, data, indices, indptr, shape, **options):
    """`options` go to h5py for data and indices (chunks, compression, shuffle, …)."""
    matrix = group.create_group(name)
    mark(matrix, "csr_matrix", "0.1.0")
    matrix.attrs["shape"] = np.array(shape, dtype=np.int64)
    matrix.create_dataset("data", data=data, **options)
    matrix.create_dataset("indices", data=indices, **options)
    matrix.create_dataset("indptr", data=indptr)
    return matrix


def write(
    path: Path,
    x: sparse.csr_matrix,
    *,
    data=None,
    indices=None,
    indptr=None,
    shape=None,
    cells=None,
    genes=None,
    userblock=0,
    **options,
) -> Path:
    """A file with `x` in X; each part can be replaced by another."""
    with h5py.File(path, "w", userblock_size=userblock) as file:
        mark(file, "anndata", "0.1.0")
        csr(
            file,
            "X",
            x.data if data is None else data,
            x.indices if indices is None else indices,
            x.indptr if indptr is None else indptr,
            x.shape if shape is None else shape,
            **options,
        )
        frame(file, "obs", [f"cell{i}" for i in range(x.shape[0] if cells is None else cells)])
        frame(file, "var", [f"gene{i}" for i in range(x.shape[1] if genes is None else genes)])
        for name in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
            mark(file.create_group(name), "dict", "0.1.0")
    return path
