"""scanpy in memory, with its defaults (kNN by pynndescent above 8,192 cells)."""

from recorder import N_COMPS, N_GENES, N_NEIGHBORS, TARGET_SUM, Recorder

recorder = Recorder()
with recorder.stage("start"):
    import anndata as ad
    import h5py
    import scanpy as sc
    from scanpy_steps import graph_steps

with recorder.stage("read"), h5py.File(recorder.atlas, "r") as file:
    counts = recorder.counts()
    var = file[counts.replace("X", "var")]
    adata = ad.AnnData(
        X=ad.io.read_elem(file[counts]),
        obs=ad.io.read_elem(file["obs"]),
        var=ad.io.read_elem(var),
    )
with recorder.stage("hvg"):
    sc.pp.normalize_total(adata, target_sum=TARGET_SUM)
    sc.pp.log1p(adata)
    sc.pp.highly_variable_genes(adata, n_top_genes=N_GENES)
with recorder.stage("pca"):
    sc.pp.pca(adata, n_comps=N_COMPS)
graph_steps(recorder, adata, n_neighbors=N_NEIGHBORS, transformer=None)
