"""crest-sc in memory. Its reader takes X only, so the arrays of the counts are handed to it."""

from recorder import N_COMPS, N_GENES, N_NEIGHBORS, TARGET_SUM, Recorder

recorder = Recorder()
with recorder.stage("start"):
    import crest
    import h5py
    import polars as pl

with recorder.stage("read"), h5py.File(recorder.atlas, "r") as file:
    counts = recorder.counts()
    matrix, var = file[counts], file[counts.replace("X", "var")]
    names = var[var.attrs["_index"]].asstr()[:]
    frame = crest.BioFrame.from_csr(
        matrix["indptr"][:],
        matrix["indices"][:],
        matrix["data"][:],
        len(names),
        None,
        pl.DataFrame({"gene": names}),
    )
with recorder.stage("hvg"):
    crest.pp.normalize_total(frame, target_sum=TARGET_SUM)
    crest.pp.log1p(frame)
    crest.pp.highly_variable_genes(frame, n_top_genes=N_GENES, flavor="seurat")
with recorder.stage("pca"):
    crest.tl.pca(frame, n_comps=N_COMPS)
with recorder.stage("neighbors"):
    crest.pp.neighbors(frame, n_neighbors=N_NEIGHBORS)
with recorder.stage("leiden"):
    crest.tl.leiden(frame, resolution=1.0)
with recorder.stage("umap"):
    crest.tl.umap(frame)
with recorder.stage("write"):
    recorder.save(
        pca=frame.obsm["X_pca"],
        umap=frame.obsm["X_umap"],
        labels=frame.obs["leiden"].to_numpy().astype(str),
        genes=names[frame.var["highly_variable"].to_numpy().astype(bool)],
        knn=frame.uns["neighbors"]["indices"],
        graph=crest.pp.connectivities_matrix(frame),
    )
