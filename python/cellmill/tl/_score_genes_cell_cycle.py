"""Phases of the cell cycle."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from anndata import AnnData

from .._slots import prepared
from ._score_genes import score_genes


def score_genes_cell_cycle(
    adata: AnnData,
    *,
    s_genes: Sequence[str],
    g2m_genes: Sequence[str],
    copy: bool = False,
    **kwargs: Any,
) -> AnnData | None:
    """Score every cell for the S and the G2M phase, and say which phase it is in.

    Parameters
    ----------
    adata
        The annotated matrix, cells x genes.
    s_genes, g2m_genes
        Names of genes of the two phases.
    copy
        Whether to return a copy of `adata`.
    kwargs
        For :func:`score_genes`; `ctrl_size` is the length of the shorter list.

    Returns
    -------
    AnnData or None
        Writes ``obs["S_score"]``, ``obs["G2M_score"]`` (float64) and ``obs["phase"]`` (``"G1"``
        where both scores are below 0, else the phase with the higher score).

    Raises
    ------
    TypeError
        With `ctrl_size` or `score_name`, which are set here.
    ValueError, KeyError, RuntimeError
        As :func:`score_genes`.

    Notes
    -----
    Matches :func:`scanpy.tl.score_genes_cell_cycle`.

    Examples
    --------
    >>> import cellmill as cm
    >>> adata = cm.datasets.simulate(500, 300, n_types=4, entries_per_cell=60, seed=1)
    >>> genes = adata.var_names
    >>> cm.tl.score_genes_cell_cycle(adata, s_genes=genes[:5], g2m_genes=genes[5:9])
    >>> sorted(adata.obs.columns[-3:])
    ['G2M_score', 'S_score', 'phase']
    """
    adata = prepared(adata, copy)
    size = min(len(s_genes), len(g2m_genes))
    for genes, name in ((s_genes, "S_score"), (g2m_genes, "G2M_score")):
        score_genes(adata, genes, score_name=name, ctrl_size=size, **kwargs)
    scores = adata.obs[["S_score", "G2M_score"]]
    phase = pd.Series("S", index=scores.index)
    phase[scores["G2M_score"] > scores["S_score"]] = "G2M"
    phase[(scores < 0).all(axis=1)] = "G1"
    adata.obs["phase"] = phase
    return adata if copy else None
