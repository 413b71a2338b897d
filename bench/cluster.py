"""How long HVG and PCA take: cellmill on Dask, cellmill's threads, scanpy on the same cluster.

Usage: python bench/cluster.py ATLAS.h5ad [--workers 2] [--repeat 2] [--skip-scanpy]

Every engine gets the same number of cores. Times are the best of the repeats, in seconds of
wall and of CPU (this process and the workers); the file is read once beforehand, so that all of
them find it in the page cache.
"""

import argparse
import json
import time
import warnings

import anndata as ad
import cellmill as cm
import dask
import h5py
import scanpy as sc
from cellmill._lazy import plan_of
from distributed import Client, LocalCluster

N_TOP, TARGET = 2000, 1e4
# Cells of a chunk of scanpy's: small ones would cost it more tasks.
CHUNK_ROWS = 50_000


def cellmill_steps(path: str, block_rows: int | None) -> dict[str, tuple]:
    """Seconds of HVG and of PCA, as cellmill's settings say."""
    adata = cm.read_h5ad(path, block_rows=block_rows)
    cm.pp.normalize_total(adata, target_sum=TARGET)
    cm.pp.log1p(adata)
    return {
        "hvg": timed(lambda: cm.pp.highly_variable_genes(adata, n_top_genes=N_TOP)),
        "pca": timed(lambda: cm.pp.pca(adata)),
    }


def scanpy_steps(path: str) -> dict[str, tuple]:
    """The same by scanpy on Dask, as its tutorial does it: chunks of cells, persisted by nobody."""
    with h5py.File(path, "r") as file:
        var = ad.io.read_elem(file["var"])
        x = ad.experimental.read_elem_lazy(file["X"], chunks=(CHUNK_ROWS, len(var)))
        obs = ad.io.read_elem(file["obs"])
    adata = ad.AnnData(X=x, obs=obs, var=var)
    sc.pp.normalize_total(adata, target_sum=TARGET)
    sc.pp.log1p(adata)
    found = {"hvg": timed(lambda: sc.pp.highly_variable_genes(adata, n_top_genes=N_TOP))}
    genes = adata[:, adata.var["highly_variable"].to_numpy()].copy()
    found["pca"] = timed(lambda: (sc.pp.pca(genes), dask.compute(genes.obsm["X_pca"])))
    return found


def timed(call) -> tuple[float, float]:
    """Wall seconds, and CPU seconds of this process and of the workers."""
    before, start = cpu(), time.perf_counter()
    call()
    wall = time.perf_counter() - start
    return wall, cpu() - before


def cpu() -> float:
    here = time.process_time()
    if cm.settings.engine == "threads":
        return here
    return here + sum(Client.current().run(time.process_time).values())


def best(runs: list[dict[str, tuple]]) -> dict[str, float]:
    """The least wall time of each step, and the least CPU time."""
    found = {}
    for step in runs[0]:
        for i, what in enumerate(("wall", "CPU")):
            found[f"{step} {what}"] = round(min(run[step][i] for run in runs), 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("atlas")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--skip-scanpy", action="store_true")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    cm.settings.progress = "off"
    cm.settings.threads = asked.workers
    n = range(asked.repeat)
    grids = (None, 8)
    found: dict[str, dict] = {}
    cm.settings.engine = "threads"
    cellmill_steps(asked.atlas, None)
    for rows in grids:
        found[f"threads, {named(asked.atlas, rows)}"] = best(
            [cellmill_steps(asked.atlas, rows) for _ in n]
        )
    cm.settings.engine = None
    cluster = LocalCluster(
        n_workers=asked.workers, threads_per_worker=1, dashboard_address=None, memory_limit="6GiB"
    )
    with cluster, Client(cluster):
        cellmill_steps(asked.atlas, None)
        for rows in grids:
            name = named(asked.atlas, rows)
            steps = best([cellmill_steps(asked.atlas, rows) for _ in n])
            local = found[f"threads, {name}"]
            over = {f"{s} over threads, %": round(100 * (steps[s] / local[s] - 1)) for s in local}
            found[f"dask, {name}"] = steps | over
        print(json.dumps(found, indent=1), flush=True)
        if not asked.skip_scanpy:
            print(json.dumps({"scanpy on dask": best([scanpy_steps(asked.atlas)])}, indent=1))


def named(path: str, block_rows: int | None) -> str:
    """The grid, by its spans."""
    plan = cm.read_h5ad(path, block_rows=block_rows).X
    return f"{cm._native.fold_size('totals', plan_of(plan))[0]} spans"


if __name__ == "__main__":
    main()
