"""A PCA against scanpy's on float64 data."""

import numpy as np

ANGLE = 1e-3
"""Radians, between their first 45 components and all of ours."""
VARIANCE = 1e-5
"""Relative."""
SCORE = 1e-3
"""Absolute, for components that are well separated."""
GAP = 0.02
"""A component is well separated if its variance is this far (relatively) from its neighbours'."""


def angles(theirs: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """Principal angles between the span of the columns of `theirs` and that of `ours`."""
    a, _ = np.linalg.qr(theirs)
    b, _ = np.linalg.qr(ours)
    outside = a - b @ (b.T @ a)
    return np.arcsin(np.clip(np.linalg.svd(outside, compute_uv=False), 0, 1))


def separated(variance: np.ndarray) -> np.ndarray:
    """Which components have a gap on both sides (the last one's lower side is not known)."""
    gap = -np.diff(variance)
    below = np.r_[gap, 0.0]
    above = np.r_[np.inf, gap]
    return np.minimum(above, below) > GAP * variance


def check_pca(adata, theirs: dict, *, first: int, variance=VARIANCE, score=SCORE):
    """`adata` is a result; `theirs` is what `scanpy_reference.components` gives."""
    loadings, scores = adata.varm["PCs"], adata.obsm["X_pca"]
    mask = theirs["mask"]
    assert loadings.shape == theirs["loadings"].shape
    assert scores.shape == theirs["scores"].shape
    assert (loadings[~mask] == 0).all(), "genes outside the mask have loadings"
    assert np.allclose(loadings.T @ loadings, np.eye(loadings.shape[1]), atol=1e-5)

    worst = angles(theirs["loadings"][mask][:, :first], loadings[mask].astype(np.float64)).max()
    assert worst < ANGLE, f"the largest principal angle is {worst}"

    ours = adata.uns["pca"]
    for key in ["variance", "variance_ratio"]:
        error = np.abs(ours[key] - theirs[key]) / theirs[key]
        assert error.max() < variance, f"{key} differs by {error.max()} (relative)"

    biggest = loadings[np.abs(loadings).argmax(axis=0), np.arange(loadings.shape[1])]
    assert (biggest > 0).all(), "the largest loading of each component is positive"

    which = np.flatnonzero(separated(np.asarray(theirs["variance"], np.float64)))
    assert len(which) >= 3, "too few components are well separated for this to be a test"
    error = np.abs(scores[:, which] - theirs["scores"][:, which]).max(axis=0)
    assert error.max() < score, f"scores differ: {dict(zip(which.tolist(), error, strict=True))}"
