"""From counts to components, 300,000 cells whose matrix is larger than the memory they may take."""

import json
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import cellmill as cm
import h5py
import numpy as np
import pytest

CELLS, TIMES = 20_000, 15
GENES = 2_000
CHUNK = 2**17
LIMIT = 1_000_000_000


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A simulated file whose cells are repeated, chunk by chunk as they are compressed."""
    folder = tmp_path_factory.mktemp("large")
    small, path = folder / "small.h5ad", folder / "large.h5ad"
    cm.datasets.simulate(CELLS, GENES, path=small, entries_per_cell=480, n_types=8, seed=2)
    x = cm.read_h5ad(small).X.compute()
    # Whole chunks only: the last cells lose their entries.
    nnz = x.nnz // CHUNK * CHUNK
    indptr = np.minimum(x.indptr.astype(np.int64), nnz)
    with h5py.File(small) as source, h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        matrix = file.create_group("X")
        matrix.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        matrix.attrs["shape"] = np.array([CELLS * TIMES, GENES])
        for name, values in (("data", x.data), ("indices", x.indices)):
            node = matrix.create_dataset(
                name, (nnz * TIMES,), values.dtype, chunks=(CHUNK,), compression="gzip"
            )
            for start in range(0, nnz, CHUNK):
                packed = zlib.compress(values[start : start + CHUNK].tobytes(), 1)
                for time in range(TIMES):
                    node.id.write_direct_chunk((time * nnz + start,), packed)
        starts = [indptr[:-1] + time * nnz for time in range(TIMES)]
        matrix["indptr"] = np.concatenate([*starts, [nnz * TIMES]])
        source.copy("var", file)
        obs = file.create_group("obs")
        obs.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0"})
        obs.attrs["_index"] = "_index"
        obs.attrs["column-order"] = np.array([], dtype=h5py.string_dtype())
        obs["_index"] = [f"cell{i}" for i in range(CELLS * TIMES)]
        obs["_index"].attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})
    assert nnz * TIMES * 8 > LIMIT, "the matrix itself fits into the limit"
    return path


PROGRAM = """
    import json, sys
    import cellmill as cm, cellmill._lazy as lazy

    def refuse(*arguments):
        raise AssertionError("a chunk was made in Python")

    def status(key):
        lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
        return int(lines[key].split()[0]) * 1024

    lazy.read_block = refuse
    cm.settings.memory, cm.settings.threads = "1G", 2
    adata = cm.read_h5ad(sys.argv[1])
    open("/proc/self/clear_refs", "w").write("5")
    entry, peaks = status("VmRSS"), {}
    cm.pp.normalize_total(adata)
    peaks["normalize_total"] = status("VmHWM") - entry
    cm.pp.log1p(adata)
    cm.pp.highly_variable_genes(adata, n_top_genes=500)
    peaks["highly_variable_genes"] = status("VmHWM") - entry
    cm.pp.pca(adata)
    peaks["pca"] = status("VmHWM") - entry
    assert adata.obsm["X_pca"].shape == (adata.n_obs, 50)
    print(json.dumps(peaks))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no /proc to measure with")
def test_normalise_to_components_stays_in_its_memory(large):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(large)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    peaks = json.loads(done.stdout.splitlines()[-1])
    print({name: f"{peak / 1e6:.0f} MB" for name, peak in peaks.items()})
    assert max(peaks.values()) < LIMIT, peaks
