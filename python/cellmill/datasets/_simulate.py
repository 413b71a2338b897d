"""A synthetic atlas."""

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

from anndata import AnnData

from .. import _native
from .._read import read_h5ad
from .._settings import settings


def simulate(
    n_cells: int = 10_000,
    n_genes: int = 5_000,
    *,
    path: str | os.PathLike[str] | None = None,
    n_types: int | None = None,
    n_batches: int | None = None,
    entries_per_cell: float | None = None,
    seed: int = 0,
    plain: bool = True,
    overwrite: bool = False,
) -> AnnData:
    """Make a realistic synthetic atlas: raw counts with cell types, samples and batches.

    Parameters
    ----------
    n_cells, n_genes
        The size.
    path
        The h5ad file to write; ``None``: the atlas is made in memory.
    n_types, n_batches, entries_per_cell
        Cell types, batches, and mean entries of a cell; ``None``: the command's defaults.
    seed
        Equal seeds give equal atlases.
    plain
        ``True``: counts are X. ``False``: counts are raw/X and X is log-normalised, as CELLxGENE
        has it.
    overwrite
        Whether `path` may exist.

    Returns
    -------
    anndata.AnnData
        X are the counts (cells x genes, float32): lazy where a `path` was given, else a CSR matrix
        in memory. obs has the true types, batches and donors.

    Raises
    ------
    FileExistsError
        Where `path` exists and `overwrite` is not set.

    Notes
    -----
    The simulator of ``cellmill simulate``.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> adata.shape
    (500, 300)
    >>> adata.obs["cell_type"].nunique()
    4
    """
    asked = SimpleNamespace(
        n_cells=n_cells,
        n_genes=n_genes,
        n_types=n_types,
        n_batches=n_batches,
        entries_per_cell=entries_per_cell,
        seed=seed,
        plain=plain,
    )
    machine = settings._machine()
    if path is not None:
        matrix = _native.simulate(machine, Path(path), overwrite, asked)
        return read_h5ad(path, matrix=matrix)
    with tempfile.TemporaryDirectory(dir=settings.scratch) as folder:
        target = Path(folder) / "atlas.h5ad"
        matrix = _native.simulate(machine, target, True, asked)
        adata = read_h5ad(target, matrix=matrix)
        adata.X = adata.X.compute()
        return adata
