"""scanpy on Dask, as in the tutorial "Using dask with Scanpy": 2 workers of one thread, annoy."""

from recorder import N_COMPS, N_GENES, N_NEIGHBORS, TARGET_SUM, Recorder

# Cells of a chunk, as the tutorial has them.
CHUNK_ROWS = 50_000


def main() -> None:
    recorder = Recorder()
    with recorder.stage("start"):
        import anndata as ad
        import dask.distributed as dd
        import h5py
        import scanpy as sc
        from scanpy_steps import graph_steps
        from sklearn_ann.kneighbors.annoy import AnnoyTransformer

        cluster = dd.LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit="9GB", dashboard_address=None
        )
        client = dd.Client(cluster)

    with recorder.stage("read"):
        counts = recorder.counts()
        file = h5py.File(recorder.atlas, "r")
        var = ad.io.read_elem(file[counts.replace("X", "var")])
        adata = ad.AnnData(obs=ad.io.read_elem(file["obs"]), var=var)
        chunks = (min(CHUNK_ROWS, adata.n_obs), adata.n_vars)
        adata.X = ad.experimental.read_elem_lazy(file[counts], chunks=chunks)
    with recorder.stage("hvg"):
        sc.pp.normalize_total(adata, target_sum=TARGET_SUM)
        sc.pp.log1p(adata)
        sc.pp.highly_variable_genes(adata, n_top_genes=N_GENES)
    with recorder.stage("pca"):
        sc.pp.pca(adata, n_comps=N_COMPS, svd_solver="covariance_eigh")
        adata.obsm["X_pca"] = adata.obsm["X_pca"].compute()
    annoy = AnnoyTransformer(n_neighbors=N_NEIGHBORS)
    graph_steps(recorder, adata, n_neighbors=N_NEIGHBORS, transformer=annoy)
    client.close()
    cluster.close()


if __name__ == "__main__":
    main()
