"""brisc with its own methods: seurat_v3 genes, scaled PCA, a graph of shared neighbours."""

from recorder import N_COMPS, N_GENES, N_NEIGHBORS, Recorder

recorder = Recorder()
with recorder.stage("start"):
    from brisc import SingleCell

with recorder.stage("read"):
    cells = SingleCell(
        recorder.atlas,
        X_key=recorder.counts(),
        obsm=False,
        obsp=False,
        uns=False,
        num_threads=2,
    ).skip_qc()
with recorder.stage("hvg"):
    cells = cells.hvg(QC_column=None, num_genes=N_GENES)
with recorder.stage("pca"):
    cells = cells.normalize(QC_column=None).pca(QC_column=None, num_PCs=N_COMPS)
with recorder.stage("neighbors"):
    # It does not count the cell itself.
    cells = cells.neighbors(QC_column=None, num_neighbors=N_NEIGHBORS - 1)
    cells = cells.shared_neighbors(QC_column=None)
with recorder.stage("leiden"):
    cells = cells.cluster(QC_column=None)
with recorder.stage("umap"):
    cells = cells.umap(QC_column=None, hogwild=True, num_threads=2)
with recorder.stage("write"):
    names = cells.var.to_series(0).to_numpy().astype(str)
    recorder.save(
        pca=cells.obsm["pca"],
        umap=cells.obsm["umap"],
        labels=cells.obs["cluster"].to_numpy(),
        genes=names[cells.var["highly_variable"].to_numpy().astype(bool)],
        knn=cells.obsm["neighbors"],
        graph=cells.obsp["shared_neighbors"],
    )
