"""Quality control, filters and gene identity of the command, against scanpy itself."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse

from command import events, ok, refused
from datasets import dataset, real

THRESHOLDS = {
    "pbmc3k": {"min-genes": 200, "max-genes": 2500, "max-mt": 5, "min-cells": 3},
    "mixology": {"min-counts": 40000, "max-counts": 250000, "min-cells": 20},
}


def filtered(adata, options):
    """scanpy, in the order of its tutorial; mitochondrial genes by name."""
    adata.var["mt"] = adata.var_names.str.startswith("MT-")
    sc.pp.calculate_qc_metrics(adata, qc_vars=["mt"], percent_top=None, inplace=True)
    for name in ("min-genes", "max-genes", "min-counts", "max-counts"):
        if name in options:
            sc.pp.filter_cells(adata, **{name.replace("-", "_"): options[name]})
    if "max-mt" in options:
        adata = adata[adata.obs["pct_counts_mt"] <= options["max-mt"]].copy()
    if "min-cells" in options:
        sc.pp.filter_genes(adata, min_cells=options["min-cells"])
    adata.layers["counts"] = adata.X.copy()
    adata.X = adata.X.astype(np.float64)
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.highly_variable_genes(adata, n_top_genes=1000)
    sc.pp.pca(adata, n_comps=20)
    return adata


def flags(options):
    return [part for name, value in options.items() for part in (f"--{name}", value)]


@pytest.mark.parametrize("block_rows", [None, 7])
@pytest.mark.parametrize("name", list(THRESHOLDS))
def test_a_filtered_run_is_scanpys(name, block_rows, tmp_path):
    options = THRESHOLDS[name]
    expected = filtered(ad.read_h5ad(dataset(name)), options)
    target, log = tmp_path / "r.h5ad", tmp_path / "log.jsonl"
    blocks = [] if block_rows is None else ["--block-rows", block_rows]
    ok(
        *("run", dataset(name), "-o", target, "--events", log, "--quiet"),
        *("--n-top-genes", 1000, "--n-comps", 20),
        *flags(options),
        *blocks,
    )
    found = ad.read_h5ad(target)
    assert found.shape == expected.shape
    assert 0 < found.n_obs < ad.read_h5ad(dataset(name), backed="r").n_obs
    assert (found.obs_names == expected.obs_names).all()
    assert (found.var_names == expected.var_names).all()
    for mine, theirs in ((found.obs, expected.obs), (found.var, expected.var)):
        columns = [c for c in theirs if "counts" in c and c in mine and "mt" not in c]
        assert len(columns) >= 4
        pd.testing.assert_frame_equal(mine[columns], theirs[columns], rtol=1e-6)
    assert (found.layers["counts"] != expected.layers["counts"]).nnz == 0
    np.testing.assert_allclose(found.X.toarray(), expected.X.toarray(), rtol=1e-6)
    assert (found.var["highly_variable"] == expected.var["highly_variable"]).all()
    np.testing.assert_allclose(
        found.uns["pca"]["variance"], expected.uns["pca"]["variance"], rtol=1e-4
    )
    assert found.obsp["connectivities"].shape == (found.n_obs, found.n_obs)
    reads = [
        e["stage"] for e in events(log) if e["event"] == "stage_started" and "read" in e["stage"]
    ]
    assert [r.split(":")[0] for r in reads] == ["read 1", "read 2", "read 3"]
    assert found.uns["cellmill"]["min_cells"] == options["min-cells"]


def test_the_share_of_mitochondria_is_scanpys(result):
    found = result("pbmc3k")
    expected = ad.read_h5ad(dataset("pbmc3k"))
    expected.var["mt"] = expected.var_names.str.startswith("MT-")
    expected.var["ribo"] = expected.var_names.str.startswith(("RPS", "RPL"))
    expected.var["hb"] = expected.var_names.str.contains("^HB[^(P)]")
    sc.pp.calculate_qc_metrics(
        expected, qc_vars=["mt", "ribo", "hb"], percent_top=None, inplace=True
    )
    added = [c for c in expected.obs if "counts" in c]
    assert len(added) == 13
    pd.testing.assert_frame_equal(found.obs[added], expected.obs[added], rtol=1e-6)
    added = ["mt", "ribo", "hb", *[c for c in expected.var if "counts" in c]]
    pd.testing.assert_frame_equal(found.var[added], expected.var[added], rtol=1e-6)


def test_the_step_writes_scanpys_columns_and_keeps_the_rest(tmp_path):
    target = tmp_path / "qc.h5ad"
    ok("qc", dataset("pbmc3k"), "-o", target, "--quiet")
    found, expected = ad.read_h5ad(target), ad.read_h5ad(dataset("pbmc3k"))
    assert (found.X != expected.X).nnz == 0
    assert list(found.obs.columns[: len(expected.obs.columns)]) == list(expected.obs.columns)
    expected.var["mt"] = expected.var_names.str.startswith("MT-")
    obs, var = sc.pp.calculate_qc_metrics(expected, qc_vars=["mt"])
    pd.testing.assert_frame_equal(found.obs[obs.columns], obs, rtol=1e-6)
    pd.testing.assert_frame_equal(found.var[var.columns], var, rtol=1e-6)


def small(x=None, **columns):
    """Forty cells of thirty genes, four of them mitochondrial by symbol."""
    rng = np.random.default_rng(5)
    x = rng.poisson(1.5, (40, 30)).astype("f4") if x is None else x
    var = pd.DataFrame(columns, index=[f"ENSG{i:011d}" for i in range(x.shape[1])])
    obs = pd.DataFrame({"n": np.arange(x.shape[0])}, index=[f"c{i}" for i in range(x.shape[0])])
    adata = ad.AnnData(sparse.csr_matrix(x), obs=obs, var=var)
    adata.obsm["X_mine"] = rng.normal(size=(x.shape[0], 2))
    adata.obsm["frame"] = pd.DataFrame({"a": np.arange(x.shape[0])}, index=obs.index)
    adata.varm["V"] = rng.normal(size=(x.shape[1], 3))
    return adata


def symbols():
    return [f"MT-{i}" if i < 4 else f"G{i}" for i in range(30)]


QUICK = ("--n-top-genes", 10, "--n-comps", 3, "--n-neighbors", 5, "--quiet")


def test_what_stays_is_cut_everywhere(tmp_path):
    source, target, keep = tmp_path / "s.h5ad", tmp_path / "r.h5ad", tmp_path / "keep.txt"
    adata = small(feature_name=symbols())
    adata.layers["other"] = adata.X * 2
    adata.layers["dense"] = adata.X.toarray()
    adata.write_h5ad(source)
    chosen = [f"c{i}" for i in range(1, 40, 2)]
    keep.write_text("\n".join(chosen) + "\n")
    done = ok("run", source, "-o", target, "--cells", keep, "--matrix", "X", *QUICK[:-1])
    assert "20 of 40" in done.text
    assert "read 3" not in done.text
    found = ad.read_h5ad(target)
    expected = adata[chosen]
    assert list(found.obs_names) == chosen
    assert (found.obs["n"] == expected.obs["n"]).all()
    np.testing.assert_allclose(found.obsm["X_mine"], expected.obsm["X_mine"])
    assert (found.obsm["frame"]["a"] == expected.obsm["frame"]["a"]).all()
    np.testing.assert_allclose(found.varm["V"], expected.varm["V"])
    assert (found.layers["counts"] != expected.X).nnz == 0
    assert (found.layers["other"] != expected.layers["other"]).nnz == 0
    keep.write_text("c1\nnobody\nnothing\n")
    failed = refused(
        *("run", source, "-o", target, "--force", "--cells", keep, "--matrix", "X", *QUICK)
    )
    assert "2 of 3" in failed
    assert "nobody, nothing" in failed


@pytest.mark.parametrize("write_x", ["lognorm", "counts", "hvg", "none"])
def test_every_kind_of_result_is_filtered(tmp_path, write_x):
    source, target = tmp_path / "s.h5ad", tmp_path / "r.h5ad"
    adata = small(feature_name=symbols())
    adata.X[:, 20] = 0
    adata.X.eliminate_zeros()
    adata.write_h5ad(source)
    ok(
        *("run", source, "-o", target, "--min-cells", 1, "--min-genes", 22),
        *("--write-x", write_x, *QUICK),
    )
    found = ad.read_h5ad(target)
    sc.pp.filter_cells(adata, min_genes=22)
    sc.pp.filter_genes(adata, min_cells=1)
    genes = int(found.var["highly_variable"].sum()) if write_x == "hvg" else 29
    assert found.shape == (adata.n_obs, genes)
    assert found.obsm["X_mine"].shape[0] == adata.n_obs
    if write_x == "counts":
        assert (found.X != adata.X).nnz == 0
    if write_x != "hvg":
        np.testing.assert_allclose(found.varm["V"], adata.varm["V"])


def test_nothing_left_is_an_error(tmp_path):
    source, target = tmp_path / "s.h5ad", tmp_path / "r.h5ad"
    small(feature_name=symbols()).write_h5ad(source)
    failed = refused("run", source, "-o", target, "--min-genes", 31, *QUICK)
    assert "0 of 40 cells" in failed
    failed = refused("run", source, "-o", target, "--min-cells", 41, *QUICK)
    assert "0 of 30 genes" in failed
    failed = refused("run", source, "-o", target, "--min-genes", 9, "--max-genes", 3, *QUICK)
    assert "min_genes" in failed
    failed = refused("hvg", source, "-o", target, "--min-genes", 9)
    assert "cellmill run" in failed
    assert not target.exists()


def test_symbols_are_found_and_said(tmp_path):
    source, target = tmp_path / "s.h5ad", tmp_path / "r.h5ad"
    small(feature_name=symbols()).write_h5ad(source)
    done = ok("run", source, "-o", target, "--color", "MT-2", "--figs", tmp_path, *QUICK[:-1])
    assert "gene symbols: var/feature_name" in done.text
    assert ad.read_h5ad(target).var["mt"].sum() == 4
    assert (tmp_path / "umap_MT-2.png").exists()
    other = small(mine=symbols(), feature_name=[f"x{i}" for i in range(30)])
    other.write_h5ad(source)
    failed = refused("run", source, "-o", target, "--force", "--max-mt", 20, *QUICK)
    assert "--gene-symbols" in failed
    done = ok("run", source, "-o", target, "--force", *QUICK[:-1])
    assert "no column pct_counts_mt" in done.text
    assert "pct_counts_mt" not in ad.read_h5ad(target).obs
    ok(
        *("run", source, "-o", target, "--force", "--max-mt", 20),
        *("--gene-symbols", "mine", *QUICK),
    )
    assert (ad.read_h5ad(target).obs["pct_counts_mt"] <= 20).all()
    failed = refused("run", source, "-o", target, "--force", "--gene-symbols", "none", *QUICK)
    assert "mine, feature_name" in failed


def test_ambiguous_and_duplicated_names(tmp_path):
    source, target = tmp_path / "s.h5ad", tmp_path / "r.h5ad"
    names = symbols()
    names[9] = names[8]
    small(feature_name=names).write_h5ad(source)
    failed = refused("run", source, "-o", target, "--color", names[8], *QUICK)
    assert "ENSG00000000008, ENSG00000000009" in failed
    adata = small()
    adata.var_names = [f"g{i // 2}" for i in range(30)]
    adata.write_h5ad(source)
    done = ok("run", source, "-o", target, *QUICK[:-1])
    assert "15 names in the index of var are duplicates" in done.text
    assert list(ad.read_h5ad(target).var_names) == list(adata.var_names)


def test_only_genes_of_a_10x_file_enter(tmp_path):
    source, target = tmp_path / "s.h5ad", tmp_path / "r.h5ad"
    kinds = ["Gene Expression"] * 26 + ["Antibody Capture"] * 4
    adata = small(feature_name=symbols(), feature_types=kinds)
    adata.var_names = [*adata.var_names[:25], "ERCC-00002", *adata.var_names[26:]]
    adata.write_h5ad(source)
    done = ok("run", source, "-o", target, *QUICK[:-1])
    assert "25 of 30 features are genes" in done.text
    assert "1 ERCC spike-in, 4 Antibody Capture" in done.text
    found = ad.read_h5ad(target)
    genes = adata[:, :25].copy()
    assert list(found.var_names) == list(genes.var_names)
    assert (found.layers["counts"] != genes.X).nnz == 0
    np.testing.assert_allclose(found.obs["total_counts"], genes.X.sum(axis=1).A1)
    failed = refused("qc", source, "-o", target, "--force")
    assert "feature_types" in failed


def test_the_authors_columns_stay(tmp_path):
    source, target = tmp_path / "s.h5ad", tmp_path / "r.h5ad"
    adata = small(feature_name=symbols())
    adata.obs["total_counts"] = "mine"
    adata.write_h5ad(source)
    ok("run", source, "-o", target, *QUICK)
    found = ad.read_h5ad(target)
    assert (found.obs["total_counts"] == "mine").all()
    np.testing.assert_allclose(found.obs["total_counts_cellmill"], adata.X.sum(axis=1).A1)
    ok("run", source, "-o", target, "--force", "--overwrite", *QUICK)
    np.testing.assert_allclose(ad.read_h5ad(target).obs["total_counts"], adata.X.sum(axis=1).A1)


def test_the_plan_counts_the_reads():
    plain = ok("plan", dataset("pbmc3k")).out
    assert "reads of the matrix: 2" in plain
    thresholds = ok("plan", dataset("pbmc3k"), "--max-mt", 5).out
    assert "reads of the matrix: 3" in thresholds
    assert "which cells and genes stay (max_mt 5)" in thresholds


def test_explicit_zeros_and_empty_cells(tmp_path):
    source, target = tmp_path / "s.h5ad", tmp_path / "r.h5ad"
    adata = small(feature_name=symbols())
    adata.X.data[::5] = 0
    adata.X[3] = 0
    adata.write_h5ad(source)
    ok("qc", source, "-o", target, "--quiet")
    found = ad.read_h5ad(target)
    adata.var["mt"] = [name.startswith("MT-") for name in adata.var["feature_name"]]
    obs, var = sc.pp.calculate_qc_metrics(adata, qc_vars=["mt"], percent_top=None)
    pd.testing.assert_frame_equal(found.obs[obs.columns], obs, rtol=1e-6)
    pd.testing.assert_frame_equal(found.var[var.columns], var, rtol=1e-6)
    assert np.isnan(found.obs["pct_counts_mt"].iloc[3])


def test_integer_counts_have_integer_sums(tmp_path):
    target = tmp_path / "qc.h5ad"
    ok("qc", real("formats_pbmc3k/pbmc3k_200_csr_int32_nocomp.h5ad"), "-o", target, "--quiet")
    found = ad.read_h5ad(target)
    assert found.obs["total_counts"].dtype == np.int64
    assert found.obs["pct_counts_mt"].dtype == np.float64
