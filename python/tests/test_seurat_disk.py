"""A file as SeuratDisk writes it: the factors of the command's own test."""

import cellmill as cm
from test_r_files import counts, factors, seurat  # noqa: F401  (fixtures)


def test_factors_are_categories(seurat, counts):  # noqa: F811
    path, codes = seurat
    found = cm.read_h5ad(path)
    factors(found.obs, codes)
    assert abs(found.raw.X.compute() - counts).max() == 0
