"""The pipeline with filters: reads, peak memory and time, cellmill against scanpy on Dask.

Usage: python bench/filtered.py ATLAS.h5ad [--repeat 1]

QC metrics, filters of cells and genes, normalisation, highly variable genes and PCA; the command
goes on to neighbours, clusters and layout. Each runs in a process of its own, one after the other,
with two threads. "reads" is what the process read in bytes, over the bytes of X in the file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

MIN_GENES, MIN_CELLS, MAX_MT, N_TOP, TARGET = 200, 3, 20, 2000, 1e4
# Cells of a chunk of scanpy's, as its tutorial has them.
CHUNK_ROWS = 50_000


def with_cellmill(path: str) -> None:
    import cellmill as cm

    cm.settings.progress, cm.settings.threads = "off", 2
    adata = cm.read_h5ad(path)
    adata.var["mt"] = adata.var_names.str.startswith("MT-")
    cm.pp.calculate_qc_metrics(adata, qc_vars=["mt"], percent_top=None, log1p=False, inplace=True)
    cm.pp.filter_cells(adata, min_genes=MIN_GENES)
    adata = adata[adata.obs["pct_counts_mt"] <= MAX_MT]
    cm.pp.filter_genes(adata, min_cells=MIN_CELLS)
    cm.pp.normalize_total(adata, target_sum=TARGET)
    cm.pp.log1p(adata)
    cm.pp.highly_variable_genes(adata, n_top_genes=N_TOP)
    cm.pp.pca(adata)
    print(adata.shape, adata.obsm["X_pca"].shape)


def with_scanpy(path: str) -> None:
    import anndata as ad
    import dask
    import h5py
    import scanpy as sc

    with h5py.File(path, "r") as file:
        var, obs = ad.io.read_elem(file["var"]), ad.io.read_elem(file["obs"])
        x = ad.experimental.read_elem_lazy(file["X"], chunks=(CHUNK_ROWS, len(var)))
    adata = ad.AnnData(X=x, obs=obs, var=var)
    with dask.config.set(scheduler="threads", num_workers=2):
        adata.var["mt"] = adata.var_names.str.startswith("MT-")
        sc.pp.calculate_qc_metrics(
            adata, qc_vars=["mt"], percent_top=None, log1p=False, inplace=True
        )
        sc.pp.filter_cells(adata, min_genes=MIN_GENES)
        adata = adata[adata.obs["pct_counts_mt"] <= MAX_MT].copy()
        sc.pp.filter_genes(adata, min_cells=MIN_CELLS)
        sc.pp.normalize_total(adata, target_sum=TARGET)
        sc.pp.log1p(adata)
        sc.pp.highly_variable_genes(adata, n_top_genes=N_TOP)
        genes = adata[:, adata.var["highly_variable"].to_numpy()].copy()
        sc.pp.pca(genes)
        (scores,) = dask.compute(genes.obsm["X_pca"])
    print(adata.shape, scores.shape)


def command(path: str, target: str) -> list[str]:
    filters = ["--min-genes", MIN_GENES, "--max-mt", MAX_MT, "--min-cells", MIN_CELLS]
    rest = ["--n-top-genes", N_TOP, "--threads", 2, "--write-x", "none", "--force"]
    return ["cellmill", "run", path, "-o", target, *map(str, filters + rest)]


def measured(arguments: list[str], x_bytes: int) -> dict:
    """What a process took: seconds of wall and CPU, GB at its peak, reads of X."""
    start = time.perf_counter()
    child = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = child.stderr.read().decode()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    wall = time.perf_counter() - start
    # Before the process is gone for good.
    said = dict(line.split(": ") for line in Path(f"/proc/{child.pid}/io").read_text().splitlines())
    _, status, used = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{arguments} failed:\n{errors}")
    return {
        "wall": round(wall, 1),
        "CPU": round(used.ru_utime + used.ru_stime, 1),
        "peak GB": round(used.ru_maxrss / 2**20, 2),
        "reads": round(int(said["rchar"]) / x_bytes, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("atlas")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--child", choices=["cellmill", "scanpy"])
    asked = parser.parse_args()
    if asked.child is not None:
        warnings.simplefilter("ignore")
        {"cellmill": with_cellmill, "scanpy": with_scanpy}[asked.child](asked.atlas)
        return
    import h5py

    with h5py.File(asked.atlas, "r") as file:
        x_bytes = sum(file[f"X/{name}"].id.get_storage_size() for name in ("data", "indices"))
    with tempfile.TemporaryDirectory() as folder:
        child = [sys.executable, __file__, asked.atlas, "--child"]
        ways = {
            "cellmill run": command(asked.atlas, str(Path(folder, "result.h5ad"))),
            "cellmill, Python": [*child, "cellmill"],
            "scanpy on Dask": [*child, "scanpy"],
        }
        # Into the page cache, for all of them.
        Path(asked.atlas).read_bytes()
        for name, arguments in ways.items():
            runs = [measured(arguments, x_bytes) for _ in range(asked.repeat)]
            print(json.dumps({name: min(runs, key=lambda run: run["wall"])}), flush=True)


if __name__ == "__main__":
    main()
