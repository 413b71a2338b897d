"""Real cells that scanpy carries."""

from importlib.util import find_spec
from pathlib import Path

from anndata import AnnData, read_h5ad


def pbmc68k_reduced() -> AnnData:
    """Read 700 blood cells x 765 genes, processed, from the installed scanpy: nothing is fetched.

    Returns
    -------
    anndata.AnnData
        In memory: X scaled, raw log-normalised, obs with ``bulk_labels`` and ``louvain``, obsm with
        ``X_pca`` and ``X_umap``.

    Raises
    ------
    ImportError
        Where scanpy is not installed, or its file is not there.

    Notes
    -----
    Matches :func:`scanpy.datasets.pbmc68k_reduced`, whose file it reads. The cells are the PBMC 68k
    of 10x Genomics.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.pbmc68k_reduced()
    >>> adata.shape
    (700, 765)
    """
    spec = find_spec("scanpy")
    if spec is None or spec.origin is None:
        raise ImportError(
            "pbmc68k_reduced reads a file of scanpy's, and scanpy is not installed; install "
            "scanpy, or use cellmill.datasets.simulate"
        )
    path = Path(spec.origin).parent / "datasets" / "10x_pbmc68k_reduced.h5ad"
    if not path.is_file():
        raise ImportError(f"the installed scanpy has no {path}; install scanpy 1.12")
    return read_h5ad(path)
