"""Highly variable genes of a result against scanpy's."""

import numpy as np
import pandas as pd

N_BINS = 20
MEANS = 1e-6
"""Relative."""
DISPERSIONS = 1e-5
"""Relative to 1 + |x|."""
EDGE = 1e-6
"""Genes this near to a bin's edge (of the range of means) may be on its other side."""
TIE = 1e-6
"""Normalised dispersions this near to the cut are ties with it."""


def differs(ours, theirs, tolerance) -> np.ndarray:
    """Genes whose values differ by more than tolerance * (1 + |x|), or where one alone is NaN."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    missing = np.isnan(ours) != np.isnan(theirs)
    return missing | (np.abs(ours - theirs) > tolerance * (1 + np.abs(theirs)))


def bins(means: np.ndarray, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """The bin of each gene as pandas cuts, and which genes sit on an inner edge."""
    code, edges = pd.cut(pd.Series(means), bins=n_bins, labels=False, retbins=True)
    inner = edges[1:-1]
    reach = EDGE * (means.max() - means.min())
    near = np.abs(means[:, None] - inner[None, :]).min(axis=1) <= reach
    return code.to_numpy(), near


def check_hvg(ours: pd.DataFrame, theirs: pd.DataFrame, *, n_bins=N_BINS, cut=None, tie=TIE):
    """`ours` is var of a result; `theirs` is what sc.pp.highly_variable_genes gives.

    `cut` is n_top_genes, or None for the cut-offs on means and dispersions.
    """
    assert len(ours) == len(theirs)
    means, expected = ours["means"].to_numpy(), theirs["means"].to_numpy()
    wrong = np.flatnonzero(np.abs(means - expected) > MEANS * np.abs(expected))
    assert not len(wrong), f"means differ in {len(wrong)} genes: {list(ours.index[wrong[:10]])}"
    wrong = np.flatnonzero(differs(ours["dispersions"], theirs["dispersions"], DISPERSIONS))
    assert not len(wrong), f"dispersions differ: {list(ours.index[wrong[:10]])}"

    code, near = bins(expected, n_bins)
    if near.any():
        print("within 1e-6 of a bin's edge:", list(ours.index[near]))
    touched = np.unique(np.concatenate([code[near] - 1, code[near], code[near] + 1]))
    free = np.isin(code, touched)
    wrong = differs(ours["dispersions_norm"], theirs["dispersions_norm"], DISPERSIONS) & ~free
    assert not wrong.any(), (
        f"dispersions_norm differ in {wrong.sum()} genes: "
        f"{ours['dispersions_norm'][wrong][:5].to_dict()} "
        f"against {theirs['dispersions_norm'].to_numpy()[wrong][:5]}"
    )

    chosen = ours["highly_variable"].to_numpy()
    wanted = theirs["highly_variable"].to_numpy()
    norm = theirs["dispersions_norm"].to_numpy().astype(np.float64)
    if cut is None:
        tied = np.zeros(len(norm), dtype=bool)
        for bound, values in [
            (0.5, norm),
            (0.0125, expected),
            (3.0, expected),
        ]:
            tied |= np.abs(values - bound) <= tie * (1 + abs(bound))
    else:
        known = np.sort(norm[~np.isnan(norm)])[::-1]
        last = known[min(cut, len(known)) - 1]
        tied = np.abs(norm - last) <= tie * (1 + abs(last))
    other = np.flatnonzero(chosen != wanted)
    if len(other):
        print("genes chosen otherwise:", list(ours.index[other]))
    unexplained = [ours.index[i] for i in other if not (tied[i] or free[i])]
    assert not unexplained, f"chosen otherwise, and neither tied nor at an edge: {unexplained}"
