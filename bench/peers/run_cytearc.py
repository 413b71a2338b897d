"""CyteArc: its conversion to its own store, then its pipeline without filters and markers.

Genes are chosen by its own flavour. Its stages are timed by its callback, and shown under the
names that other tools' stages have.
"""

import time

from recorder import N_COMPS, N_GENES, N_NEIGHBORS, Recorder

STAGES = {
    "highly_variable_features": "hvg",
    "normalization": "pca",
    "pca": "pca",
    "ann_index": "neighbors",
    "neighbors": "neighbors",
    "connectivity": "neighbors",
    "embedding_initialization": "umap",
    "umap": "umap",
    "leiden_1.0": "leiden",
}

recorder = Recorder()
with recorder.stage("start"):
    import cytearc

    cytearc.configure_output(level="WARNING", progress=False)

with recorder.stage("read"):
    counts = recorder.counts()
    store = str(recorder.folder / "store.zarr")
    reader = cytearc.H5adReader(
        recorder.atlas,
        matrix_key=counts,
        feature_attrs_key=counts.replace("X", "var"),
        feature_name_key="feature_name",
    )
    cytearc.H5adToZarr(reader, store, assay_name="RNA", nthreads=2, overwrite=True).dump()
    cells = cytearc.DataStore(store, nthreads=2, min_features_per_cell=-1)

began = {}


def heard(event) -> None:
    stage = STAGES.get(event.stage)
    if stage is None:
        return
    if event.kind == "stage_started":
        recorder.begin(stage)
        began[event.stage] = time.perf_counter()
    elif event.kind == "stage_completed":
        recorder.end(stage, time.perf_counter() - began[event.stage])


run = cells.pipeline.run(
    filtering=False,
    hvg_count=N_GENES,
    pca_dims=N_COMPS,
    # It does not count the cell itself.
    neighbors_k=N_NEIGHBORS - 1,
    cell_cycle=False,
    paris=False,
    doublets=False,
    markers=False,
    params={"leiden": {"partitions": [1.0], "selected": 1.0}},
    callback=heard,
)

with recorder.stage("write"):
    from cytearc.storage.artifacts import artifact_group

    def array(name: str, field: str):
        return artifact_group(cells.zw, run[name])[field][:]

    # Its Leiden takes each directed edge as an edge.
    graph = cells.graph.load(run["connectivity_map"])
    names = cells.get_assay("RNA").feats.fetch_all("ids")
    recorder.save(
        pca=array("pca", "data"),
        umap=array("umap", "values"),
        labels=array("leiden_1.0", "values"),
        genes=names[array("highly_variable_features", "values")],
        knn=array("neighbors", "indices"),
        graph=(graph + graph.T).tocsr(),
    )
