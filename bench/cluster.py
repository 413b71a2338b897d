"""How long HVG and PCA take: cellmill on Dask, cellmill's threads, scanpy on the same cluster.

Usage: python bench/cluster.py ATLAS.h5ad [--workers 2] [--repeat 2] [--skip-scanpy]

Every engine gets the same number of cores. Times are the best of the repeats, in seconds; the file
is read once beforehand, so that all of them find it in the page cache.
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
from distributed import Client, LocalCluster

N_TOP, TARGET = 2000, 1e4


def cellmill_steps(path: str, block_rows: int | None) -> dict[str, float]:
    """Seconds of HVG and of PCA, as cellmill's settings say."""
    adata = cm.read_h5ad(path, block_rows=block_rows)
    cm.pp.normalize_total(adata, target_sum=TARGET)
    cm.pp.log1p(adata)
    return {
        "hvg": timed(lambda: cm.pp.highly_variable_genes(adata, n_top_genes=N_TOP)),
        "pca": timed(lambda: cm.pp.pca(adata)),
    }


def scanpy_steps(path: str) -> dict[str, float]:
    """The same by scanpy on Dask, as its tutorial does it: chunks of cells, persisted by nobody."""
    with h5py.File(path, "r") as file:
        x = ad.experimental.read_elem_lazy(file["X"])
        var = ad.io.read_elem(file["var"])
        obs = ad.io.read_elem(file["obs"])
    adata = ad.AnnData(X=x, obs=obs, var=var)
    sc.pp.normalize_total(adata, target_sum=TARGET)
    sc.pp.log1p(adata)
    found = {"hvg": timed(lambda: sc.pp.highly_variable_genes(adata, n_top_genes=N_TOP))}
    genes = adata[:, adata.var["highly_variable"].to_numpy()].copy()
    found["pca"] = timed(lambda: (sc.pp.pca(genes), dask.compute(genes.obsm["X_pca"])))
    return found


def timed(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def best(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(min(run[key] for run in runs), 2) for key in runs[0]}


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
    cm.settings.engine = "threads"
    cellmill_steps(asked.atlas, None)
    found = {"threads": best([cellmill_steps(asked.atlas, None) for _ in n])}
    cm.settings.engine = None
    cluster = LocalCluster(
        n_workers=asked.workers, threads_per_worker=1, dashboard_address=None, memory_limit="6GiB"
    )
    with cluster, Client(cluster):
        cellmill_steps(asked.atlas, None)
        found["dask"] = best([cellmill_steps(asked.atlas, None) for _ in n])
        # The grid has at most 128 spans until a span has 64 blocks; small blocks make more of them.
        for block_rows in (64, 32):
            rows = best([cellmill_steps(asked.atlas, block_rows) for _ in n])
            found[f"dask, blocks of {block_rows}"] = rows
        if not asked.skip_scanpy:
            found["scanpy on dask"] = scanpy_steps(asked.atlas)
    for step in ("hvg", "pca"):
        over = found["dask"][step] / found["threads"][step] - 1
        found["dask"][f"{step} over threads, %"] = round(100 * over)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
