"""The result in anndata 0.10, with the scanpy of its time."""

import json
import subprocess

import pytest

from command import ROOT

PYTHON = ROOT / ".tools/anndata010/bin/python"
LOOK = """
import json, sys, warnings
warnings.simplefilter("ignore")
import matplotlib
matplotlib.use("Agg")
import anndata as ad, scanpy as sc
assert ad.__version__.startswith("0.10."), ad.__version__
adata = ad.read_h5ad(sys.argv[1])
sc.pl.umap(adata, color="leiden", show=False)
sc.pl.umap(adata, color=adata.var_names[0], show=False)
sc.pl.pca(adata, color="leiden", show=False)
big = adata.obs["leiden"].value_counts()
sc.tl.rank_genes_groups(adata, "leiden", groups=list(big.index[big >= 10]), method="t-test")
print(json.dumps({
    "shape": adata.shape,
    "obs": list(adata.obs), "var": list(adata.var), "uns": sorted(adata.uns),
    "leiden": adata.obs["leiden"].value_counts().sort_index().to_dict(),
    "total": float(adata.X.sum()), "counts": float(adata.layers["counts"].sum()),
    "umap": float(abs(adata.obsm["X_umap"]).sum()), "x": str(adata.X.dtype),
}))
"""


@pytest.mark.parametrize("name", ["synthetic", "pbmc3k"])
def test_opens_in_anndata_010(name, run, result):
    if not PYTHON.exists():
        pytest.skip("anndata 0.10 is absent: ./test found no Python 3.10, 3.11 or 3.12 for it")
    done = subprocess.run(
        [PYTHON, "-c", LOOK, run(name)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    seen, adata = json.loads(done.stdout.splitlines()[-1]), result(name)
    assert tuple(seen["shape"]) == adata.shape
    assert seen["obs"] == list(adata.obs)
    assert seen["var"] == list(adata.var)
    assert set(seen["uns"]) >= {"hvg", "log1p", "pca", "neighbors", "leiden", "umap"}
    assert seen["x"] == "float32"
    assert seen["counts"] == pytest.approx(float(adata.layers["counts"].sum()), rel=1e-6)
    assert seen["leiden"] == adata.obs["leiden"].value_counts().sort_index().to_dict()
