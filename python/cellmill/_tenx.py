"""Files of 10x Genomics: what they say of cells and genes here, and the counts as a lazy matrix."""

import os
from pathlib import Path
from typing import Any, Literal

import anndata as ad
import h5py
import numpy as np
import pandas as pd

from . import _native
from ._lazy import LazyMatrix
from .pp._pca import Empty, _empty

_GENES = "Gene Expression"


def read_10x_h5(
    filename: str | os.PathLike[str],
    *,
    genome: str | None = None,
    gex_only: bool = True,
    backup_url: str | None = None,
    block_rows: int | None = None,
) -> ad.AnnData:
    """
    Opens an HDF5 file of Cell Ranger, of version 2 or 3: annotations in memory, counts on disk.

    Parameters
    ----------
    filename
        The file.
    genome
        The genome whose genes are kept. A file of version 2 with several genomes needs it.
    gex_only
        Whether features other than ``Gene Expression`` are left out.
    backup_url
        Has to be ``None``: nothing is downloaded.
    block_rows
        Cells of a chunk. ``None``: as many as hold about a million entries.

    Returns
    -------
    anndata.AnnData
        X: a lazy Dask array of CSR chunks, cells x genes, ``float32``. obs: the barcodes. var:
        names of the genes (which may stand twice), ``gene_ids``, ``feature_types``, ``genome`` and
        what else the file has of them.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where the genome is not in it, or has to be named; where `backup_url` is given.

    Notes
    -----
    Matches :func:`scanpy.read_10x_h5`.

    Examples
    --------
    >>> import h5py
    >>> import cellmill as cm
    >>> with h5py.File("small.h5", "w") as file:
    ...     file["hg19/barcodes"] = [b"AAAC-1", b"AAAG-1"]
    ...     file["hg19/gene_names"], file["hg19/genes"] = [b"CD3E"], [b"ENSG00000198851"]
    ...     file["hg19/data"], file["hg19/indices"] = [5], [0]
    ...     file["hg19/indptr"], file["hg19/shape"] = [0, 1, 1], [1, 2]
    >>> adata = cm.read_10x_h5("small.h5")
    >>> list(adata.var_names), adata.X.compute().toarray().tolist()
    (['CD3E'], [[5.0], [0.0]])
    """
    if backup_url is not None:
        raise ValueError("backup_url is not followed: download the file first")
    path = Path(filename)
    with h5py.File(path, "r") as file:
        if "matrix" in file:
            obs, var = _version_3(file)
            address = "X"
        else:
            obs, var, address = _version_2(file, genome, path)
            genome = None
    keep = np.ones(len(var), dtype=bool)
    if genome is not None:
        if genome not in set(var["genome"]):
            known = list(var["genome"].unique())
            raise ValueError(f"{path} has no features of the genome {genome!r}; it has {known}")
        keep &= (var["genome"] == genome).to_numpy()
    if gex_only and "feature_types" in var:
        keep &= (var["feature_types"] == _GENES).to_numpy()
    x = LazyMatrix.of(_native.Matrix.open(path, address, block_rows))
    return _adata(x, obs, var, keep)


def read_10x_mtx(
    path: str | os.PathLike[str],
    *,
    var_names: Literal["gene_symbols", "gene_ids"] = "gene_symbols",
    make_unique: bool = True,
    cache: bool = False,
    cache_compression: Literal["gzip", "lzf"] | Empty | None = _empty,
    gex_only: bool = True,
    prefix: str | None = None,
    compressed: bool = True,
    block_rows: int | None = None,
) -> ad.AnnData:
    """
    Opens a folder of Cell Ranger's text files: annotations in memory, counts in scratch.

    Parameters
    ----------
    path
        The folder, with ``matrix.mtx``, ``barcodes.tsv`` and ``features.tsv`` or ``genes.tsv``.
    var_names
        What names the genes: ``"gene_symbols"`` or ``"gene_ids"``. The other becomes a column.
    make_unique
        Whether symbols that stand twice get ``-1``, ``-2``, … appended.
    cache
        Has to be ``False``: the matrix is read once, into scratch.
    cache_compression
        Has to be left out, as there is no cache.
    gex_only
        Whether features other than ``Gene Expression`` are left out (version 3).
    prefix
        What stands before ``matrix.mtx``, ``genes.tsv`` and ``barcodes.tsv``.
    compressed
        Whether the files of version 3 are gzip. Without a meaning for version 2.
    block_rows
        Cells of a chunk. ``None``: as many as hold about a million entries.

    Returns
    -------
    anndata.AnnData
        X: a lazy Dask array of CSR chunks, cells x genes, ``float32``. obs: the barcodes. var:
        ``gene_ids`` (or ``gene_symbols``) and, of version 3, ``feature_types``.

    Raises
    ------
    FileNotFoundError
        Where one of the files is not there.
    ValueError
        Where `cache` or `cache_compression` is given, or `var_names` is neither.

    Notes
    -----
    Matches :func:`scanpy.read_10x_mtx`. The text is read once, when the matrix is opened.

    Examples
    --------
    >>> from pathlib import Path
    >>> import cellmill as cm
    >>> folder = Path("hg19")
    >>> folder.mkdir()
    >>> banner = "%%MatrixMarket matrix coordinate integer general"
    >>> n = (folder / "matrix.mtx").write_text(f"{banner}\\n1 2 1\\n1 2 5\\n")
    >>> n = (folder / "genes.tsv").write_text("ENSG00000198851\\tCD3E\\n")
    >>> n = (folder / "barcodes.tsv").write_text("AAAC-1\\nAAAG-1\\n")
    >>> adata = cm.read_10x_mtx("hg19")
    >>> adata.X.compute().toarray().tolist()
    [[0.0], [5.0]]
    """
    if cache or cache_compression is not _empty:
        raise ValueError(
            "there is no cache: leave cache and cache_compression out, or write the data with "
            "cellmill.write_h5ad and read that"
        )
    if var_names not in ("gene_symbols", "gene_ids"):
        raise ValueError("var_names needs to be 'gene_symbols' or 'gene_ids'")
    folder, before = Path(path), prefix or ""
    legacy = (folder / f"{before}genes.tsv").is_file()
    suffix = ".gz" if compressed and not legacy else ""
    matrix = folder / f"{before}matrix.mtx{suffix}"
    if not matrix.is_file():
        raise FileNotFoundError(f"{matrix}: no such file")
    name = "genes" if legacy else "features"
    genes = pd.read_csv(folder / f"{before}{name}.tsv{suffix}", header=None, sep="\t")
    if var_names == "gene_symbols":
        index = pd.Index(genes[1].array)
        if make_unique:
            index = ad.utils.make_index_unique(index)
        var = pd.DataFrame({"gene_ids": genes[0].array}, index=index.astype("str"))
    else:
        var = pd.DataFrame({"gene_symbols": genes[1].array}, index=genes[0].array.astype("str"))
    if not legacy:
        var["feature_types"] = genes[2].array
    barcodes = pd.read_csv(folder / f"{before}barcodes.tsv{suffix}", header=None)
    obs = pd.DataFrame(index=pd.Index(barcodes[0].array))
    keep = np.ones(len(var), dtype=bool)
    if gex_only and not legacy:
        keep = (var["feature_types"] == _GENES).to_numpy()
    x = LazyMatrix.of(_native.Matrix.open(matrix, "X", block_rows))
    return _adata(x, obs, var, keep)


def _adata(x: LazyMatrix, obs: pd.DataFrame, var: pd.DataFrame, keep: np.ndarray) -> ad.AnnData:
    if not keep.all():
        x, var = x[:, keep], var[keep]
    return ad.AnnData(X=x, obs=obs, var=var)


def _texts(node: Any) -> np.ndarray:
    return np.asarray(node[()].astype(str))


def _version_3(file: h5py.File) -> tuple[pd.DataFrame, pd.DataFrame]:
    matrix = file["matrix"]
    if "features" not in matrix:
        raise ValueError("10x h5 has no features group")
    features = matrix["features"]
    columns = {}
    if "gene_id" in features:
        columns["gene_ids"] = _texts(features["gene_id"])
        columns["probe_ids"] = _texts(features["id"])
    else:
        columns["gene_ids"] = _texts(features["id"])
    columns["feature_types"] = _texts(features["feature_type"])
    for name, node in features.items():
        known = name in ("name", "feature_type", "id", "gene_id", "_all_tag_keys")
        if isinstance(node, h5py.Dataset) and not known:
            columns[name] = node[()].astype(bool if node.dtype.kind == "b" else str)
    obs = pd.DataFrame(index=pd.Index(_texts(matrix["barcodes"])))
    if "filtered_barcodes" in matrix:
        obs["filtered_barcodes"] = matrix["filtered_barcodes"][()].astype(bool)
    return obs, pd.DataFrame(columns, index=pd.Index(_texts(features["name"])))


def _version_2(
    file: h5py.File, genome: str | None, path: Path
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    genomes = list(file)
    if genome is None:
        if len(genomes) > 1:
            raise ValueError(
                f"{path} has more than one genome; name one with genome=: {', '.join(genomes)}"
            )
        genome = genomes[0]
    elif genome not in genomes:
        raise ValueError(f"{path} has no genome {genome!r}; it has {', '.join(genomes)}")
    group = file[genome]
    obs = pd.DataFrame(index=pd.Index(_texts(group["barcodes"])))
    var = pd.DataFrame(
        {"gene_ids": _texts(group["genes"])}, index=pd.Index(_texts(group["gene_names"]))
    )
    return obs, var, genome if len(genomes) > 1 else "X"
