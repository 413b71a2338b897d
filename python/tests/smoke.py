"""The wheel in an environment with its requirements only: no pytest, no scanpy, no matplotlib.

Usage: python smoke.py FOLDER
"""

import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

folder = Path(sys.argv[1])
for absent in ("scanpy", "matplotlib", "sklearn"):
    assert find_spec(absent) is None, f"{absent} is installed here"

import anndata as ad  # noqa: E402
import cellmill as cm  # noqa: E402
import numpy as np  # noqa: E402

package = Path(cm.__file__).parent
assert Path(sys.prefix) in package.parents, f"{package} is not the wheel's"
assert (package / "py.typed").exists()
assert (package / "_native.pyi").exists()

cm.settings.progress, cm.settings.threads = "off", 2
source = folder / "atlas.h5ad"
adata = cm.datasets.simulate(
    600, 500, path=source, entries_per_cell=90, n_types=4, seed=1, overwrite=True
)
cm.pp.normalize_total(adata, target_sum=1e4)
cm.pp.log1p(adata)
assert "native" in cm.explain(adata)
cm.pp.highly_variable_genes(adata, n_top_genes=100)
cm.pp.pca(adata, n_comps=8)
cm.pp.neighbors(adata)
cm.tl.leiden(adata, flavor="igraph", n_iterations=2)
cm.tl.umap(adata)
sub = adata[adata.obs["leiden"] == "0"].copy()
assert sub.X.compute().shape == sub.shape
cm.write_h5ad(adata, folder / "python.h5ad")

command = Path(sys.prefix) / "bin" / "cellmill"
options = ["--n-top-genes", "100", "--n-comps", "8", "--quiet", "--force"]
result = folder / "command.h5ad"
subprocess.run([command, "run", source, "-o", result, *options], check=True)
ours, theirs = ad.read_h5ad(folder / "python.h5ad"), ad.read_h5ad(result)
assert (ours.X != theirs.X).nnz == 0
assert (ours.obs["leiden"] == theirs.obs["leiden"]).all()
for key in ("X_pca", "X_umap"):
    np.testing.assert_array_equal(ours.obsm[key], theirs.obsm[key])
print(f"the wheel works: Python {sys.version.split()[0]}, anndata {version('anndata')}")
