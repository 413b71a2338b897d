"""From an AnnData to a file, and from a result file to an AnnData."""

import os
import tempfile
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
from anndata.io import read_elem

from ._lazy import plan_of


def write_h5ad(
    adata: ad.AnnData,
    path: str | os.PathLike[str],
    *,
    write_x: bool = True,
    compression: str | None = "gzip",
) -> None:
    """Write an AnnData to an h5ad file, which appears whole or not at all.

    Parameters
    ----------
    adata
        What to write. Lazy matrices are written chunk by chunk and never held whole.
    path
        The file; one that exists is replaced when the new one is complete.
    write_x
        Whether X, layers and raw are written; without them the file holds the annotations only.
    compression
        HDF5's filter for the values.

    Raises
    ------
    ValueError
        Where `path` is the file that a lazy matrix of `adata` reads.

    Notes
    -----
    Entries of uns that are None are left out: older versions of anndata cannot read them.

    Examples
    --------
    >>> import cellmill as cm
    >>> atlas = cm.datasets.simulate(
    ...     500, 300, entries_per_cell=60, seed=1, path="atlas.h5ad", overwrite=True
    ... )
    >>> cm.pp.normalize_total(atlas, target_sum=1e4)
    >>> cm.write_h5ad(atlas, "normalised.h5ad")
    >>> cm.read_h5ad("normalised.h5ad").shape
    (500, 300)
    """
    path = Path(path)
    for name, x in _matrices(adata):
        plan = plan_of(x)
        read = [] if plan is None or not path.exists() else plan.paths
        if any(one.exists() and os.path.samefile(one, path) for one in read):
            raise ValueError(
                f"{name} of this AnnData is read from {path}, so that file cannot be written to; "
                "choose another name"
            )
    out = ad.AnnData(
        X=adata.X if write_x else None,
        obs=adata.obs,
        var=adata.var,
        uns=_without_none(dict(adata.uns)),
        layers=dict(adata.layers) if write_x else None,
        **{key: dict(getattr(adata, key)) for key in ("obsm", "varm", "obsp", "varp")},
    )
    if write_x and adata.raw is not None:
        out.raw = adata.raw.to_adata()
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    try:
        out.write_h5ad(temporary, compression=compression)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _matrices(adata: ad.AnnData) -> list[tuple[str, Any]]:
    found = [("X", adata.X), *((f"layers/{k}", v) for k, v in adata.layers.items())]
    return found + ([("raw/X", adata.raw.X)] if adata.raw is not None else [])


def _without_none(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {k: _without_none(v) for k, v in value.items() if v is not None}


def attach(
    adata: ad.AnnData, path: str | os.PathLike[str], *, overwrite: bool = False
) -> list[str]:
    """Take the annotations of a result file into an AnnData, cell by cell and gene by gene.

    Parameters
    ----------
    adata
        What is added to. Its cells must all be in the file.
    path
        A result of the ``cellmill`` command, or any h5ad file.
    overwrite
        Whether slots that `adata` has already are replaced; else they are left as they are.

    Returns
    -------
    list of str
        The slots that were added, such as ``"obs/leiden"``.

    Raises
    ------
    ValueError
        Where names are not unique, or a cell of `adata` is not in the file.

    Examples
    --------
    >>> import cellmill as cm
    >>> atlas = cm.datasets.simulate(
    ...     500, 300, entries_per_cell=60, seed=1, path="atlas.h5ad", overwrite=True
    ... )
    >>> cm.pp.pca(atlas, n_comps=5)
    >>> cm.write_h5ad(atlas, "annotations.h5ad", write_x=False)
    >>> adata = cm.read_h5ad("atlas.h5ad")
    >>> "obsm/X_pca" in cm.attach(adata, "annotations.h5ad")
    True
    >>> adata.obsm["X_pca"].shape
    (500, 5)
    """
    with h5py.File(path, "r") as file:
        parts = {
            key: read_elem(file[key]) if key in file else {}
            for key in ("obs", "var", "obsm", "varm", "obsp", "uns")
        }
    cells = _join(parts["obs"].index, adata.obs_names, "cell", path)
    added: list[str] = []

    def put(group: str, key: str, value: Any) -> None:
        slot = getattr(adata, group)
        if overwrite or key not in slot:
            slot[key] = value
            added.append(f"{group}/{key}")

    for key in parts["obs"].columns:
        put("obs", key, parts["obs"][key].iloc[cells].array)
    for key, value in parts["obsm"].items():
        put("obsm", key, value.iloc[cells] if hasattr(value, "iloc") else value[cells])
    for key, value in parts["obsp"].items():
        put("obsp", key, value[cells][:, cells])
    if adata.var_names.isin(parts["var"].index).all():
        genes = _join(parts["var"].index, adata.var_names, "gene", path)
        for key in parts["var"].columns:
            put("var", key, parts["var"][key].iloc[genes].array)
        for key, value in parts["varm"].items():
            put("varm", key, value.iloc[genes] if hasattr(value, "iloc") else value[genes])
    for key, value in parts["uns"].items():
        put("uns", key, value)
    return added


def _join(have: Any, want: Any, what: str, path: Any) -> np.ndarray:
    if not have.is_unique or not want.is_unique:
        raise ValueError(f"the names of the {what}s must be unique to be joined by name")
    at: np.ndarray = have.get_indexer(want)
    if (at < 0).any():
        missing = want[at < 0]
        raise ValueError(f"{path} has no {what} {missing[0]!r} ({len(missing)} are missing)")
    return at
