"""`cellmill aggregate`: the file that scanpy's `sc.get.aggregate` would make, from one read."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse

from command import cellmill, events, ok, refused
from datasets import real, synthetic

FUNCS = ["sum", "mean", "count_nonzero", "var"]


def same(found: ad.AnnData, expected: ad.AnnData, same_na=True):
    assert found.X is None
    pd.testing.assert_frame_equal(found.obs, expected.obs)
    pd.testing.assert_frame_equal(found.var, expected.var, check_dtype=same_na)
    assert set(found.layers) == set(expected.layers)
    for name, layer in expected.layers.items():
        assert found.layers[name].dtype == layer.dtype, name
        # Sums and numbers are exact; merged centred moments stand in place of Welford's.
        tolerance = 1e-10 if name == "var" else 1e-14 if name == "mean" else 0
        np.testing.assert_allclose(found.layers[name], layer, rtol=tolerance, atol=tolerance / 10)
    for slot in ("obsm", "varm", "obsp", "varp", "uns"):
        assert not len(getattr(found, slot)), slot


def scanpys(adata: ad.AnnData, folder, by, func=FUNCS, **options) -> ad.AnnData:
    """What scanpy makes, as it reads it back."""
    path = folder / "scanpy.h5ad"
    sc.get.aggregate(adata, by, func, **options).write_h5ad(path)
    return ad.read_h5ad(path)


def keys(by) -> list:
    return [word for key in by for word in ("--by", key)]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Keys of every kind: unused categories, an order, missing values, numbers, truth values."""
    adata = synthetic(cells=900, genes=120, types=4)
    rng = np.random.default_rng(3)
    donor = rng.choice(["d1", "d2", "d3", None], 900)
    adata.obs["donor"] = pd.Categorical(
        donor, categories=["d3", "absent", "d2", "d1"], ordered=True
    )
    adata.obs["n"] = rng.integers(-2, 3, 900).astype(np.int16)
    adata.obs["dose"] = rng.choice([0.5, 1e-5, 1e16, -3, 0.0, -0.0, np.nan], 900)
    adata.obs["dose32"] = rng.choice([0.1, 2], 900).astype(np.float32)
    adata.obs["treated"] = rng.random(900) < 0.3
    adata.obs["batch"] = pd.array(rng.integers(0, 3, 900), dtype="Int64")
    adata.obs.loc[adata.obs_names[::7], "batch"] = pd.NA
    adata.obs["nobody"] = np.nan
    adata.obs["one"] = ["alone", *["others"] * 899]
    adata.var["symbol"] = [f"S{i}" for i in range(120)]
    adata.layers["log"] = sc.pp.log1p(adata.X, copy=True)
    adata.layers["scaled"] = adata.layers["log"].toarray() - 1
    adata.layers["integers"] = sparse.csc_matrix(adata.X.astype(np.int32) * 3)
    adata.layers["dense"] = adata.X.toarray().astype(np.int64) * 2
    path = tmp_path_factory.mktemp("aggregate") / "in.h5ad"
    adata.write_h5ad(path)
    return path


@pytest.mark.parametrize(
    "by",
    [
        ["type"],
        ["donor"],
        ["type", "donor"],
        ["n", "dose"],
        ["dose32"],
        ["treated", "donor", "type"],
    ],
    ids="-".join,
)
def test_parity(by, path, tmp_path):
    target = tmp_path / "bulk.h5ad"
    ok("aggregate", path, "-o", target, *keys(by), "--matrix", "X", "--func", ",".join(FUNCS))
    same(ad.read_h5ad(target), scanpys(ad.read_h5ad(path), tmp_path, by))


def test_nullable_integers(path, tmp_path):
    """As scanpy's, but that the categories are plain integers: none of them is missing."""
    target = tmp_path / "bulk.h5ad"
    ok("aggregate", path, "-o", target, "--by", "batch", "--matrix", "X")
    expected = sc.get.aggregate(ad.read_h5ad(path), "batch", "sum")
    found = ad.read_h5ad(target)
    assert list(found.obs_names) == list(expected.obs_names)
    assert list(found.obs["n_obs_aggregated"]) == list(expected.obs["n_obs_aggregated"])
    np.testing.assert_array_equal(found.layers["sum"], expected.layers["sum"])


@pytest.mark.parametrize("layer", ["log", "scaled", "integers", "dense"])
def test_a_matrix_of_any_kind(layer, path, tmp_path):
    target = tmp_path / "bulk.h5ad"
    options = ["--func", "mean", "--func", "var,count_nonzero", "--dof", 0, "--matrix", layer]
    if layer in ("integers", "dense"):
        options += ["--func", "sum"]
    ok("aggregate", path, "-o", target, "--by", "type", *options)
    funcs = [f for f in FUNCS if f != "sum" or "sum" in options]
    expected = scanpys(ad.read_h5ad(path), tmp_path, "type", funcs, layer=layer, dof=0)
    same(ad.read_h5ad(target), expected)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("human_pbmc/pbmc3k_raw_csr.h5ad", "cell_type"),
        ("formats_pbmc3k/pbmc3k_200_csr_int32_nocomp.h5ad", None),
    ],
)
def test_real_counts(name, key, tmp_path):
    """Counts are found, and all is from one read."""
    source, target = real(name), tmp_path / "bulk.h5ad"
    adata = ad.read_h5ad(source)
    key = key or adata.obs.columns[0]
    log = tmp_path / "events"
    ok("aggregate", source, "-o", target, "--by", key, "--func", "sum,mean,var", "--events", log)
    same(ad.read_h5ad(target), scanpys(adata, tmp_path, key, ["sum", "mean", "var"]))
    stages = [e for e in events(log) if e.get("bytes_read")]
    assert len({e["stage"] for e in stages}) == 1, stages


def test_counts_of_raw(tmp_path):
    """The counts stand in raw/X, with genes of their own."""
    adata = synthetic(cells=300, genes=80, types=3)
    adata.raw = adata
    adata = adata[:, 10:50].copy()
    sc.pp.log1p(adata)
    path, target = tmp_path / "in.h5ad", tmp_path / "bulk.h5ad"
    adata.write_h5ad(path)
    ok("aggregate", path, "-o", target, "--by", "type")
    same(ad.read_h5ad(target), scanpys(adata.raw.to_adata(), tmp_path, "type", "sum"))


def test_equal_bytes(path, tmp_path):
    def made(name, *options):
        target = tmp_path / name
        by = keys(["type", "donor"])
        ok("aggregate", path, "-o", target, *by, "--matrix", "log", "--func", "var,mean", *options)
        return target.read_bytes()

    assert made("1.h5ad", "--threads", 1) == made("2.h5ad", "--threads", 2)


def test_the_least_budget_does(path, tmp_path):
    options = ["--by", "type", "--matrix", "X", "--func", "var"]
    options = [path, "-o", tmp_path / "bulk.h5ad", *options, "--memory"]
    least = refused("aggregate", *options, "49M", names=["4 groups x 120 genes"]).split()
    megabytes = float(least[-2])
    assert least[-1] == "MB"
    ok("aggregate", *options, f"{megabytes + 0.1}M")


def test_zarr(path, tmp_path):
    options = ["--by", "type", "--by", "donor", "--matrix", "X", "--func", ",".join(FUNCS)]
    ok("aggregate", path, "-o", tmp_path / "bulk.h5ad", *options)
    ok("aggregate", path, "-o", tmp_path / "bulk.zarr", *options)
    same(ad.read_zarr(tmp_path / "bulk.zarr"), ad.read_h5ad(tmp_path / "bulk.h5ad"), same_na=False)


def test_one_cell_has_no_variance(path, tmp_path):
    target = tmp_path / "bulk.h5ad"
    done = ok("aggregate", path, "-o", target, "--by", "one", "--func", "var", "--matrix", "X")
    assert "alone" in done.err
    assert np.isnan(ad.read_h5ad(target)["alone"].layers["var"]).all()
    with pytest.warns(RuntimeWarning, match="alone"):
        expected = scanpys(ad.read_h5ad(path), tmp_path, "one", "var")
    same(ad.read_h5ad(target), expected)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--by", "colour"], ["obs/colour", "type", "donor", "treated"]),
        (["--by", "nobody"], ["nobody", "no cell"]),
        (["--by", "type", "--by", "type"], ["type twice"]),
        (["--by", "type", "--matrix", "layers/none"], ["layers/none", "layers/log"]),
        (["--by", "type", "--memory", "1M"], ["budget is 1.00 MB"]),
    ],
    ids=lambda x: " ".join(x),
)
def test_refused(options, names, path, tmp_path):
    if "--matrix" not in options:
        options = [*options, "--matrix", "X"]
    refused("aggregate", path, "-o", tmp_path / "x.h5ad", *options, names=names, leaves=tmp_path)


def test_several_counts_are_refused(path, tmp_path):
    target = tmp_path / "x.h5ad"
    names = ["several", "layers/integers", "--matrix"]
    refused("aggregate", path, "-o", target, "--by", "type", names=names, leaves=tmp_path)


@pytest.mark.parametrize(
    ("func", "why"), [("median", "all of its values at once"), ("max", "count_nonzero")]
)
def test_functions_that_are_none(func, why, path, tmp_path):
    done = cellmill("aggregate", path, "-o", tmp_path / "x.h5ad", "--by", "type", "--func", func)
    assert done.code == 2
    assert why in done.err
    assert not list(tmp_path.iterdir())


def test_targets(path, tmp_path):
    target = tmp_path / "bulk.h5ad"
    options = ["--by", "type", "--matrix", "X"]
    refused("aggregate", path, "-o", tmp_path / "bulk.mtx", *options, names=[".h5ad", ".zarr"])
    refused("aggregate", path, "-o", path, "--force", *options, names=["input"])
    ok("aggregate", path, "-o", target, *options)
    refused("aggregate", path, "-o", target, *options, names=["exists"], leaves=tmp_path)
    ok("aggregate", path, "-o", target, *options, "--force")
