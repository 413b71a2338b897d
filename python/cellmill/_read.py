"""From a file to an AnnData whose matrices are lazy."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem

from . import _native
from ._lazy import LazyMatrix

# What describes an earlier run on another matrix of the file.
_STALE_UNS = ("log1p", "hvg", "pca", "neighbors")


def read_h5ad(
    path: str | os.PathLike[str],
    matrix: str | None = None,
    columns: Sequence[str] | None = None,
    *,
    block_rows: int | None = None,
) -> ad.AnnData:
    """Open an h5ad file: annotations in memory, matrices lazy.

    Parameters
    ----------
    path
        The file. It is never written to.
    matrix
        The matrix that becomes X: ``"X"``, ``"raw/X"`` or ``"layers/NAME"`` (or ``"NAME"``).
        ``None`` leaves X, raw and layers where they are in the file. With ``"raw/X"``, var becomes
        raw/var, with the columns of var joined by index.
    columns
        The columns of obs to load. ``None`` loads all.
    block_rows
        Cells of a chunk. ``None``: as many as hold about a million entries.

    Returns
    -------
    anndata.AnnData
        obs, var, uns, obsm, varm, obsp and varp in memory; X, layers and raw as lazy Dask arrays of
        CSR chunks (cells x genes, in the file's dtype), also where the file has them dense or CSC.
        CSC is turned around through a scratch file before its first chunk is read.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    OSError
        Where it is truncated or no HDF5 file.
    KeyError
        Where it has no such matrix or column.

    Notes
    -----
    Stands where :func:`scanpy.read_h5ad` stood.

    Examples
    --------
    >>> import cellmill as cm
    >>> atlas = cm.datasets.simulate(
    ...     500, 300, entries_per_cell=60, seed=1, path="atlas.h5ad", overwrite=True
    ... )
    >>> adata = cm.read_h5ad("atlas.h5ad", columns=["cell_type"])
    >>> list(adata.obs)
    ['cell_type']
    >>> adata.X[:20].compute().shape
    (20, 300)
    """
    path = Path(path)
    found = _native.matrices(path)
    with h5py.File(path, "r") as file:
        return _lazy(file, path, found, matrix, columns, block_rows)


def read_zarr(
    store: str | os.PathLike[str],
    matrix: str | None = None,
    columns: Sequence[str] | None = None,
    *,
    block_rows: int | None = None,
) -> ad.AnnData:
    """Open a zarr folder of AnnData, of version 2 or 3: annotations in memory, matrices lazy.

    Parameters
    ----------
    store
        The folder.
    matrix
        The matrix that becomes X, as in :func:`read_h5ad`.
    columns
        Columns of obs to read. ``None``: all.
    block_rows
        Cells of a chunk. ``None``: as many as hold about a million entries.

    Returns
    -------
    anndata.AnnData
        As :func:`read_h5ad`.

    Raises
    ------
    FileNotFoundError
        Where there is no such folder.
    OSError
        Where it is no zarr folder.
    KeyError
        Where it has no such matrix or column.

    Notes
    -----
    Stands where :func:`anndata.io.read_zarr` stood.

    Examples
    --------
    >>> import anndata as ad
    >>> import numpy as np
    >>> import cellmill as cm
    >>> ad.AnnData(np.eye(4, 3, dtype=np.float32)).write_zarr("small.zarr")
    >>> cm.read_zarr("small.zarr").X.compute().shape
    (4, 3)
    """
    import zarr

    path = Path(store)
    found = _native.matrices(path)
    return _lazy(zarr.open_group(path, mode="r"), path, found, matrix, columns, block_rows)


def _factors(frame: pd.DataFrame, uns: Any) -> None:
    """Codes whose levels SeuratDisk left in ``uns/NAME_levels`` become categories."""
    for name in frame.columns:
        levels = uns.get(f"{name}_levels")
        codes = frame[name]
        if not isinstance(levels, np.ndarray) or codes.dtype.kind not in "iu":
            continue
        texts = levels.ndim == 1 and all(isinstance(level, str) for level in levels)
        fits = codes.between(-1, len(levels) - 1).all() and len(set(levels.flat)) == levels.size
        if texts and fits:
            frame[name] = pd.Categorical.from_codes(codes.to_numpy(), list(levels))


def _lazy(
    file: Any,
    path: Path,
    matrices: list[tuple[str, str, bool]],
    matrix: str | None,
    columns: Sequence[str] | None,
    block_rows: int | None,
) -> ad.AnnData:
    found = {address: (encoding, native) for address, encoding, native in matrices}
    chosen = _address(found, matrix, path)

    def lazy(address: str) -> Any:
        if found[address][1]:
            return LazyMatrix.of(_native.Matrix.open(path, address, block_rows))
        # Stored in a way that only anndata reads.
        return ad.experimental.read_elem_lazy(file[address])

    obs = _obs(file, columns, path)
    var = _dataframe(file["var"])
    parts = {
        key: read_elem(file[key]) if key in file else {}
        for key in ("obsm", "varm", "obsp", "varp", "uns")
    }
    for frame in (obs, var):
        _factors(frame, parts["uns"])
    layers = {a.removeprefix("layers/"): a for a in found if a.startswith("layers/")}
    raw = None
    if chosen is None:
        if "raw/X" in found:
            raw = {"X": lazy("raw/X"), "var": _dataframe(file["raw/var"])}
            if "raw/varm" in file:
                raw["varm"] = read_elem(file["raw/varm"])
        x = lazy("X") if "X" in found else None
    else:
        x = lazy(chosen)
        layers.pop(chosen.removeprefix("layers/"), None) if chosen != "X" else None
        if chosen != "X":
            dropped = [f"uns/{key}" for key in _STALE_UNS if parts["uns"].pop(key, None)]
            if chosen == "raw/X":
                var, gone = _raw_var(file, var)
                if gone:
                    dropped += [f"layers/{name}" for name in layers]
                    dropped += [f"{k}/{name}" for k in ("varm", "varp") for name in parts[k]]
                    layers, parts["varm"], parts["varp"] = {}, {}, {}
            if dropped:
                warnings.warn(
                    f"X is {chosen}; what belongs to another matrix was left out: "
                    + ", ".join(dropped),
                    UserWarning,
                    stacklevel=3,
                )
    lazies = {name: lazy(address) for name, address in layers.items()}
    return ad.AnnData(X=x, obs=obs, var=var, layers=lazies, raw=raw, **parts)


def _address(found: dict, matrix: str | None, path: Path) -> str | None:
    if matrix is None:
        return None
    named = {"raw": "raw/X"}.get(matrix.strip("/"), matrix.strip("/"))
    if named not in found and f"layers/{named}" in found:
        named = f"layers/{named}"
    if named not in found:
        raise KeyError(f"{path} has no matrix {matrix!r}; it has {', '.join(found) or 'none'}")
    return named


def _obs(file: Any, columns: Sequence[str] | None, path: Path) -> pd.DataFrame:
    group = file["obs"]
    if columns is None:
        return _dataframe(group)
    if isinstance(columns, str):
        columns = [columns]
    known = list(group.attrs.get("column-order", []))
    missing = [c for c in columns if c not in known]
    if missing:
        raise KeyError(f"{path}: obs has no column {missing[0]!r}; it has {', '.join(known)}")
    index = read_elem(group[group.attrs["_index"]])
    return pd.DataFrame({c: read_elem(group[c]) for c in columns}, index=pd.Index(index))


def _dataframe(group: Any) -> pd.DataFrame:
    return read_elem(group)


def _raw_var(file: Any, var: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """raw/var with the columns of var joined; whether its genes are others."""
    raw = _dataframe(file["raw/var"])
    same = raw.index.equals(var.index)
    for name in var.columns.difference(raw.columns, sort=False):
        raw[name] = var[name].reindex(raw.index) if var.index.is_unique else None
    return raw, not same
