# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A single-cell atlas that is larger than memory
#
# This is scanpy's tutorial "Using dask with Scanpy", done with cellmill. An atlas of counts goes
# to highly variable genes, principal components, neighbours, clusters and a UMAP layout. The
# counts stay in their file: each step reads them piece by piece, on all cores, within a limit of
# memory.
#
# Where you wrote `sc.pp` and `sc.tl`, write `cm.pp` and `cm.tl`. Results are where scanpy puts
# them, so scanpy's plots and everything else that works on an `AnnData` work as before.

# %%
from pathlib import Path

import cellmill as cm
import numpy as np
import scanpy as sc
from scipy import sparse

sc.set_figure_params(dpi=60, dpi_save=60, frameon=False, figsize=(5, 4))

# %% [markdown]
# ## An atlas
#
# We make one: 100,000 cells of 30 types from several donors. Use the path of your own file
# instead; nothing below depends on its size. As in files of CELLxGENE, `X` is already normalised
# and the raw counts are in `raw/X`.

# %%
path = Path("atlas.h5ad")
cm.datasets.simulate(
    100_000, 2_000, path=path, plain=False, entries_per_cell=120, seed=1, overwrite=True
)
print(f"{path.stat().st_size / 1e6:.0f} MB")

# %% [markdown]
# ## Open it
#
# The annotations of cells and genes are loaded, the matrix is not: `X` is a lazy Dask array that
# knows where its pieces are in the file. With `matrix="raw/X"`, the raw counts become `X`.
#
# `cm.settings.memory` is a promise: a step that needs more says so before it starts.

# %%
cm.settings.memory = "2G"
adata = cm.read_h5ad(path, matrix="raw/X")
adata

# %%
adata.X

# %% [markdown]
# Keep the counts under a name of their own. This copies nothing, since both names mean the same
# part of the file.

# %%
adata.layers["counts"] = adata.X.copy()

# %% [markdown]
# ## Normalise
#
# Every cell is scaled to 10,000 counts, and logarithms are taken. Both calls return at once: they
# only write down what is to happen whenever the matrix is read.

# %%
cm.pp.normalize_total(adata, target_sum=1e4)
cm.pp.log1p(adata)

# %% [markdown]
# `explain` says what will happen, before it happens.

# %%
_ = cm.explain(adata)

# %% [markdown]
# ## Highly variable genes
#
# The first step that needs numbers: it reads the file once. The counts are normalised on the way.

# %%
cm.pp.highly_variable_genes(adata, n_top_genes=1_000)
adata.var.head()

# %% [markdown]
# ## Principal components
#
# A second read, of the variable genes only.

# %%
cm.pp.pca(adata)

# %%
sc.pl.pca(adata, color="cell_type_major")

# %% [markdown]
# ## Neighbours, clusters, layout
#
# From here on, the 50 components of each cell are all that is needed, and they fit into memory.

# %%
cm.pp.neighbors(adata)

# %%
cm.tl.leiden(adata, flavor="igraph", n_iterations=2, directed=False)
adata.obs["leiden"].value_counts().head()

# %%
cm.tl.umap(adata)

# %%
sc.pl.umap(adata, color=["leiden", "cell_type_major"], legend_loc="on data", legend_fontsize=6)

# %% [markdown]
# ## Some of the cells, again
#
# A selection of cells is lazy as well: only pieces of the file that hold selected cells are read.
# Genes and components are found anew, for these cells.

# %%
sub = adata[adata.obs["cell_type_major"] == "T and NK cell"].copy()
sub

# %%
cm.pp.highly_variable_genes(sub, n_top_genes=500)
cm.pp.pca(sub)
cm.pp.neighbors(sub)
cm.tl.umap(sub)
sc.pl.umap(sub, color="cell_type")

# %% [markdown]
# ## Pictures of millions of cells
#
# `cm.pl` has scanpy's plots for embeddings that scanpy's are slow on: points become pixels before
# matplotlib sees them. Parameters are scanpy's.

# %%
cm.pl.umap(adata, color="cell_type_major")

# %% [markdown]
# ## It is a Dask array
#
# Whatever works on Dask arrays works on `X`. Its pieces are sparse matrices; here they become
# dense, sparse again, and of another size. A slice that is computed reads only what it needs.

# %%
x = adata.layers["counts"]
dense = x[:5_000].map_blocks(lambda piece: piece.toarray(), dtype=x.dtype, meta=np.empty((0, 0)))
again = dense.map_blocks(sparse.csr_matrix, dtype=x.dtype, meta=sparse.csr_matrix((0, 0)))
print("the same counts:", (again.compute() != x[:5_000].compute()).nnz == 0)

# %%
pieces = x.rechunk((10_000, -1))
print(f"{x.numblocks[0]} pieces became {pieces.numblocks[0]}")

# %% [markdown]
# A matrix that Dask has changed is no longer read by cellmill itself, but through Dask, piece by
# piece. The functions work on it all the same, with the same results.

# %%
_ = cm.explain(pieces)

# %% [markdown]
# ## Save
#
# The result is an ordinary file. `X` and the layers are written piece by piece, and are never in
# memory as a whole. With `write_x=False`, only what was found is saved, which takes little room;
# it can be joined to the atlas later.

# %%
cm.write_h5ad(adata, "result.h5ad", compression="lzf")
cm.write_h5ad(adata, "annotations.h5ad", write_x=False)

# %%
later = cm.read_h5ad(path, matrix="raw/X", columns=["cell_type"])
cm.attach(later, "annotations.h5ad")
