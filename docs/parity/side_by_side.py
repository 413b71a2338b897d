"""Draws scanpy's UMAP and cellmill's side by side, each from the raw counts of the same file.

Usage: python side_by_side.py CELLMILL FILE.h5ad LABEL OUT.png

CELLMILL is the command; LABEL an obs column. Both pictures are coloured by LABEL and by the
clusters that each tool found. Needs the packages of tests/requirements.txt.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import anndata as ad
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import scanpy as sc
from sklearn.metrics import adjusted_rand_score

command, file, label, out = sys.argv[1:5]

with tempfile.TemporaryDirectory() as folder:
    result = Path(folder) / "result.h5ad"
    subprocess.run([command, "run", file, "-o", result, "--quiet"], check=True)
    ours = ad.read_h5ad(result)

theirs = ad.read_h5ad(file)
sc.pp.normalize_total(theirs, target_sum=1e4)
sc.pp.log1p(theirs)
sc.pp.highly_variable_genes(theirs, n_top_genes=2000)
sc.pp.pca(theirs)
sc.pp.neighbors(theirs)
sc.tl.leiden(theirs, flavor="igraph", n_iterations=2)
sc.tl.umap(theirs)

figure, axes = plt.subplots(2, 2, figsize=(13, 9.5))
for row, (name, adata) in enumerate([("scanpy 1.12.4", theirs), ("cellmill", ours)]):
    for column, key in enumerate([label, "leiden"]):
        sc.pl.umap(
            adata,
            color=key,
            ax=axes[row, column],
            title=f"{name}: {key}",
            show=False,
            legend_fontsize=8,
        )
figure.tight_layout()
figure.savefig(out, dpi=110)
ari = adjusted_rand_score(ours.obs["leiden"].astype(str), theirs.obs["leiden"].astype(str))
print(f"{out}: adjusted Rand index of the two clusterings {ari:.3f}")
