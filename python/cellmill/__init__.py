"""cellmill: scanpy's calls on a matrix that is larger than memory.

``import cellmill as cm`` stands where ``import scanpy as sc`` stood: :func:`read_h5ad` returns a
real :class:`anndata.AnnData` whose matrices are lazy, ``cm.pp``, ``cm.tl``, ``cm.get`` and
``cm.pl`` have scanpy 1.12's signatures and write scanpy's slots, and scanpy's own functions work on
the result.
"""

from importlib.metadata import version as _version

from . import datasets, errors, experimental, get, pl, pp, tl
from ._explain import explain
from ._read import read_h5ad, read_zarr
from ._settings import settings
from ._tenx import read_10x_h5, read_10x_mtx
from ._write import attach, write_h5ad
from .errors import Error

__version__ = _version("cellmill")

__all__ = [
    "Error",
    "attach",
    "datasets",
    "errors",
    "experimental",
    "explain",
    "get",
    "pl",
    "pp",
    "read_10x_h5",
    "read_10x_mtx",
    "read_h5ad",
    "read_zarr",
    "settings",
    "tl",
    "write_h5ad",
]
