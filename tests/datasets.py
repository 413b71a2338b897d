"""The matrices of counts that the tests run on: real ones where they are there, and made ones."""

import hashlib
import os
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from command import ROOT

CACHE = ROOT / ".tools" / "cache"


def folder() -> Path | None:
    """Where the real data is: CELLMILL_TEST_DATA, else ../shared/data."""
    given = os.environ.get("CELLMILL_TEST_DATA")
    for path in [Path(given)] if given else [ROOT.parent / "shared/data"]:
        if path.is_dir():
            return path
    return None


def real(name: str) -> Path:
    """A file of the real data; the test is skipped by name where it is absent."""
    base = folder()
    if base is None or not (base / name).exists():
        pytest.skip(f"real data {name} is absent (CELLMILL_TEST_DATA or ../shared/data)")
    return base / name


def counts(path: Path, address: str = "X") -> sparse.csr_matrix:
    """A matrix of a file, by its address, as CSR."""
    adata = ad.read_h5ad(path)
    if address == "X":
        return sparse.csr_matrix(adata.X)
    if address == "raw/X":
        return sparse.csr_matrix(adata.raw.X)
    return sparse.csr_matrix(adata.layers[address.removeprefix("layers/")])


def synthetic(cells=3000, genes=2000, types=6, seed=1, depth=1500.0) -> ad.AnnData:
    """Counts of a few types that differ in a tenth of their genes, with one type of 1 %."""
    rng = np.random.default_rng(seed)
    base = rng.lognormal(0.0, 1.6, genes)
    profile = np.tile(base, (types, 1))
    for t in range(types):
        markers = rng.choice(genes, genes // 10, replace=False)
        profile[t, markers] *= rng.lognormal(1.2, 0.6, len(markers))
    profile /= profile.sum(axis=1, keepdims=True)
    share = np.r_[np.full(types - 1, 0.99 / (types - 1)), 0.01]
    label = rng.choice(types, cells, p=share)
    total = depth * rng.lognormal(0.0, 0.4, cells)
    blocks = []
    for start in range(0, cells, 500):
        rows = slice(start, min(start + 500, cells))
        rate = profile[label[rows]] * total[rows, None]
        rate *= rng.gamma(8.0, 1 / 8.0, rate.shape)
        blocks.append(sparse.csr_matrix(rng.poisson(rate).astype(np.float32)))
    return ad.AnnData(
        sparse.vstack(blocks, format="csr"),
        obs=pd.DataFrame(
            {"type": pd.Categorical([f"type {t}" for t in label])},
            index=[f"cell{i}" for i in range(cells)],
        ),
        var=pd.DataFrame(index=[f"gene{i}" for i in range(genes)]),
    )


def drawn(cells=20_000, seed=7) -> ad.AnnData:
    """Cells drawn from real ones: two cells of one type mixed, counted again at a new depth."""
    parts = []
    for name, key in [
        ("human_pbmc/pbmc3k_raw_csr.h5ad", "cell_type"),
        ("human_pbmc/pbmc14k_sub3500_raw_csr.h5ad", "celltype"),
    ]:
        part = ad.read_h5ad(real(name))
        part.var_names_make_unique()
        part.obs_names_make_unique()
        known = part.obs[key].notna().to_numpy()
        part = part[known].copy()
        part.obs = pd.DataFrame(
            {"type": name.split("/")[1][:8] + ":" + part.obs[key].astype(str)},
            index=part.obs_names,
        )
        parts.append(part)
    shared = parts[0].var_names[parts[0].var_names.isin(parts[1].var_names)]
    x = sparse.vstack([sparse.csr_matrix(p[:, shared].X) for p in parts], format="csr")
    label = pd.concat([p.obs["type"] for p in parts]).to_numpy()
    x.data = x.data.astype(np.float64)
    total = np.asarray(x.sum(axis=1)).ravel()
    rng = np.random.default_rng(seed)
    first = rng.integers(0, x.shape[0], cells)
    second = np.empty(cells, dtype=np.int64)
    for name in np.unique(label):
        members = np.flatnonzero(label == name)
        mine = np.flatnonzero(label[first] == name)
        second[mine] = rng.choice(members, len(mine))
    weight = rng.uniform(0.6, 1.0, cells)
    depth = total[first] * rng.lognormal(0.0, 0.3, cells)
    share = sparse.diags(1.0 / total) @ x
    rate = sparse.diags(weight) @ share[first] + sparse.diags(1 - weight) @ share[second]
    rate = sparse.csr_matrix(sparse.diags(depth) @ rate)
    rate.sort_indices()
    rate.data = rng.poisson(rate.data).astype(np.float32)
    rate.eliminate_zeros()
    return ad.AnnData(
        rate.astype(np.float32),
        obs=pd.DataFrame(
            {"type": pd.Categorical(label[first])}, index=[f"cell{i}" for i in range(cells)]
        ),
        var=pd.DataFrame(index=list(shared)),
    )


def made(name: str, make) -> Path:
    """A file that the tests make once: kept under .tools/cache, named by its maker's source."""
    import inspect

    key = hashlib.sha256((inspect.getsource(make) + np.__version__).encode()).hexdigest()[:12]
    path = CACHE / f"{name}-{key}.h5ad"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        make().write_h5ad(part, compression="gzip")
        part.rename(path)
    return path


def dataset(name: str) -> Path:
    """The file of a named data set."""
    match name:
        case "synthetic":
            return made("synthetic", synthetic)
        case "drawn":
            real("human_pbmc/pbmc3k_raw_csr.h5ad")
            real("human_pbmc/pbmc14k_sub3500_raw_csr.h5ad")
            return made("drawn", drawn)
        case "pbmc3k":
            return real("human_pbmc/pbmc3k_raw_csr.h5ad")
        case "mixology":
            return real("other_raw/sc_mixology_5batch_raw_csr.h5ad")
    raise KeyError(name)


LABEL = {"synthetic": "type", "drawn": "type", "pbmc3k": "cell_type", "mixology": "cell_line"}
"""The column of obs that holds the known types of each data set."""
