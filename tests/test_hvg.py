"""normalize_total, log1p and highly_variable_genes against scanpy on the same counts."""

import re
from unittest import mock

import numpy as np
import pytest

from check_hvg import check_hvg
from command import cellmill, events, ok, refused
from datasets import dataset
from scanpy_reference import genes, kept

NAMES = ["synthetic", "pbmc3k", "mixology", "drawn"]


def hvg(name, folder, *options):
    """var of the result of `cellmill hvg`."""
    import anndata as ad

    target = folder / "hvg.h5ad"
    ok("hvg", dataset(name), "-o", target, "--quiet", *options)
    return ad.read_h5ad(target).var


def scanpys(name, target_sum=1e4, base=None, dtype="float64", **options):
    """var after scanpy's steps on the same counts."""
    return kept(genes, dataset(name), target_sum, base, dtype, tuple(options.items()))


@pytest.mark.parametrize("rows", [None, 7], ids=["ordinary blocks", "blocks of 7"])
@pytest.mark.parametrize("name", NAMES)
def test_top_genes(name, rows, tmp_path):
    theirs = scanpys(name, n_top_genes=2000)
    options = ["--block-rows", rows] if rows else []
    ours = hvg(name, tmp_path, "--n-top-genes", 2000, *options)
    check_hvg(ours, theirs, cut=2000)


@pytest.mark.parametrize("name", NAMES)
def test_top_genes_against_single_precision(name, tmp_path):
    """scanpy on the file's own float32: its roundings may move ties within the tolerance."""
    theirs = scanpys(name, n_top_genes=2000, dtype="float32")
    ours = hvg(name, tmp_path, "--n-top-genes", 2000)
    check_hvg(ours, theirs, cut=2000, tie=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_cut_offs(name, tmp_path):
    theirs = scanpys(name)
    ours = hvg(
        name,
        tmp_path,
        "--min-mean",
        0.0125,
        "--max-mean",
        3,
        "--min-disp",
        0.5,
        "--max-disp",
        "inf",
    )
    check_hvg(ours, theirs)
    assert 0 < ours["highly_variable"].sum() < len(ours)


@pytest.mark.parametrize("name", ["synthetic", "pbmc3k", "mixology"])
def test_median_target(name, tmp_path):
    theirs = scanpys(name, target_sum=None, n_top_genes=1000)
    ours = hvg(name, tmp_path, "--target-sum", "median", "--n-top-genes", 1000)
    check_hvg(ours, theirs, cut=1000)


@pytest.mark.parametrize("target", [1.0, 1e6])
def test_other_targets(target, tmp_path):
    theirs = scanpys("synthetic", target_sum=target, n_top_genes=300)
    ours = hvg("synthetic", tmp_path, "--target-sum", target, "--n-top-genes", 300)
    check_hvg(ours, theirs, cut=300)


@pytest.mark.parametrize("n_bins", [5, 200])
def test_other_bins(n_bins, tmp_path):
    """With 200 bins many hold a single gene, whose normalised dispersion is 1."""
    theirs = scanpys("synthetic", n_bins=n_bins, n_top_genes=300)
    ours = hvg("synthetic", tmp_path, "--n-bins", n_bins, "--n-top-genes", 300)
    check_hvg(ours, theirs, n_bins=n_bins, cut=300)


def test_log_base(tmp_path):
    """A base changes X and uns['log1p']; the flavour undoes it, so the genes stay."""
    if "--log-base" not in cellmill("hvg", "--help").text:
        pytest.skip("--log-base is not an option of this version")
    theirs = scanpys("synthetic", base=2, n_top_genes=300)
    ours = hvg("synthetic", tmp_path, "--log-base", 2, "--n-top-genes", 300)
    check_hvg(ours, theirs, cut=300)


def test_more_genes_asked_than_there_are(tmp_path):
    theirs = scanpys("synthetic", n_top_genes=5000)
    ours = hvg("synthetic", tmp_path, "--n-top-genes", 5000)
    assert (ours["highly_variable"].to_numpy() == theirs["highly_variable"].to_numpy()).all()


def flavoured(name: str, flavor: str, key: str | None, filtered: bool):
    """var after scanpy's steps of a flavour on the counts of a file, in double precision."""
    return kept(by_flavor, dataset(name), flavor, key, filtered)


def by_flavor(path, flavor, key, filtered):
    import anndata as ad
    import scanpy as sc

    adata = ad.read_h5ad(path)
    adata.var_names_make_unique()
    adata.X = adata.X.astype(np.float64)
    if flavor == "pearson_residuals":
        sc.experimental.pp.highly_variable_genes(adata, n_top_genes=2000, batch_key=key)
        return adata.var
    if not flavor.startswith("seurat_v3"):
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)
    filtered = {"filter_unexpressed_genes": True} if filtered else {}
    with mock.patch("scanpy.preprocessing._highly_variable_genes.aggregate", exact_aggregate):
        sc.pp.highly_variable_genes(
            adata, flavor=flavor, n_top_genes=2000, batch_key=key, **filtered
        )
    return adata.var


def exact_aggregate(adata, by, func):
    """scanpy's mean and variance of each batch, without the rounding of running means.

    That rounding parts genes of equal sums by the order of the cells, and with them the cells of
    the k-d tree of loess: variances_norm of seurat_v3 moves by up to 2e-3 of its value.
    """
    import scanpy as sc

    found = sc.get.aggregate(adata, by=by, func=func)
    for i, batch in enumerate(found.obs[by]):
        x = adata.X[(adata.obs[by] == batch).to_numpy()].toarray()
        found.layers["mean"][i] = x.sum(axis=0) / len(x)
        found.layers["var"][i] = x.var(axis=0, ddof=1)
    return found


@pytest.mark.parametrize(
    ("name", "flavor", "key", "options"),
    [
        ("mixology", "seurat", "batch", []),
        ("mixology", "cell_ranger", None, ["--block-rows", 7]),
        ("mixology", "cell_ranger", "batch", []),
        ("pbmc3k", "cell_ranger", None, ["--filter-unexpressed-genes"]),
        ("pbmc3k", "seurat_v3", None, []),
        ("mixology", "seurat_v3", "batch", ["--block-rows", 7]),
        ("mixology", "seurat_v3_paper", "batch", []),
        ("pbmc3k", "pearson_residuals", None, []),
        ("mixology", "pearson_residuals", "batch", []),
    ],
)
def test_flavours_and_batches(name, flavor, key, options, tmp_path):
    theirs = flavoured(name, flavor, key, "--filter-unexpressed-genes" in options)
    more = ["--batch-key", key] if key else []
    ours = hvg(name, tmp_path, "--flavor", flavor, *more, *options)
    value = {"pearson_residuals": "residual_variances"}.get(flavor, "variances_norm")
    value = "dispersions_norm" if value not in theirs else value
    for column in ["means", value]:
        assert ours[column].dtype == theirs[column].dtype
        np.testing.assert_allclose(ours[column], theirs[column], rtol=1e-5, atol=1e-6)
    for column in ["highly_variable", "highly_variable_rank", "highly_variable_nbatches"]:
        assert (column in ours) == (column in theirs)
        if column not in theirs:
            continue
        assert ours[column].dtype == theirs[column].dtype
        # Genes with equal variances are ordered by numpy's unstable sort in scanpy.
        tied = theirs[value].round(9).duplicated(keep=False).to_numpy()
        other = ours[column].fillna(-1).to_numpy() != theirs[column].fillna(-1).to_numpy()
        allowed = 0.002 if key else 0
        if key and flavor.startswith("seurat_v3") and column == "highly_variable_rank":
            # Ties within a batch cannot be told from the mean over batches, and rare genes tie by
            # the hundred there; the values agree to 1e-11.
            allowed = 0.05
        assert (other & ~tied).mean() <= allowed, f"{column}: {(other & ~tied).sum()}"


def test_a_median_target_and_the_other_flavours_read_once_more(tmp_path):
    for options, reads in [
        (["--flavor", "cell_ranger", "--filter-unexpressed-genes"], 2),
        (["--flavor", "cell_ranger", "--target-sum", "median"], 3),
        (["--flavor", "seurat_v3"], 3),
        (["--flavor", "pearson_residuals"], 3),
    ]:
        assert ok("plan", dataset("synthetic"), "--json", *options).json()["reads"] == reads
    told = tmp_path / "events.jsonl"
    more = ["--flavor", "seurat_v3", "--events", told, "--epochs", 10, "--n-top-genes", 300]
    ok("run", dataset("synthetic"), "-o", tmp_path / "r.h5ad", "--quiet", *more)
    names = [e["stage"] for e in events(told) if e["event"] == "stage_finished"]
    assert sum(name.startswith("read ") for name in names) == 3, names


def test_donors_are_said(tmp_path):
    target = tmp_path / "r.h5ad"
    done = ok("run", dataset("mixology"), "-o", target, "--epochs", 10)
    assert "--batch-key batch" in done.err
    assert "of neighbours are of the same of 5 groups" in done.out
    done = ok("run", dataset("mixology"), "-o", target, "--force", "--batch-key", "batch")
    assert "--batch-key batch" not in done.err
    assert "by chance" in done.out


def test_batches_of_the_cells_that_stay(tmp_path):
    """Filters, then batches: as of a file that was filtered before."""
    import anndata as ad

    adata = ad.read_h5ad(dataset("mixology"))
    n_genes = np.ravel((adata.X > 0).sum(axis=1))
    least = int(np.quantile(n_genes, 0.3))
    kept = adata[n_genes >= least].copy()
    kept.write_h5ad(tmp_path / "kept.h5ad")
    assert 0 < kept.n_obs < adata.n_obs
    options = ["--batch-key", "batch", "--epochs", 10]
    found = []
    for source, more in [
        (dataset("mixology"), ["--min-genes", least]),
        (tmp_path / "kept.h5ad", []),
    ]:
        target = tmp_path / "r.h5ad"
        done = ok("run", source, "-o", target, "--force", *options, *more)
        chance = re.search(r"same of 5 groups, (.*) would be by chance", done.out)
        found.append((ad.read_h5ad(target), chance and chance[1]))
    (ours, chance), (other, expected) = found
    assert chance is not None
    assert chance == expected
    assert list(ours.obs_names) == list(other.obs_names)
    for column in ["highly_variable", "highly_variable_nbatches", "means"]:
        assert np.allclose(ours.var[column], other.var[column], rtol=1e-12), column


def test_batch_keys_that_do_not_work(tmp_path):
    target = tmp_path / "r.h5ad"
    for options, names in [
        (["--batch-key", "nothing"], ["obs/nothing", "batch"]),
        (["--flavor", "seurat_v3", "--min-mean", 0.1], ["cut-offs", "seurat_v3"]),
        (["--span", 0], ["span"]),
    ]:
        refused("run", dataset("mixology"), "-o", target, *options, names=names)


def test_run_and_hvg_agree(result, tmp_path):
    ours = hvg("synthetic", tmp_path, "--n-top-genes", 500)
    whole = result("synthetic", "--n-top-genes", 500).var
    for column in ["highly_variable", "means", "dispersions", "dispersions_norm"]:
        assert np.array_equal(ours[column], whole[column], equal_nan=column != "highly_variable"), (
            column
        )


EXCLUDED = ["--hvg-exclude", "mt", "--hvg-exclude", "RP[LS]*", "--hvg-exclude", "CD79A"]


def excluded(var):
    """The genes of `EXCLUDED`."""
    names = var.index.str
    return names.match("MT-") | names.match("RP[LS]") | (var.index == "CD79A")


@pytest.mark.parametrize("flavor", ["seurat", "cell_ranger", "seurat_v3", "pearson_residuals"])
def test_excluded_genes_are_no_candidates(flavor, tmp_path):
    """Statistics are scanpy's over all genes; the best of the others are highly variable."""
    filtered = flavor == "cell_ranger"
    theirs = flavoured("pbmc3k", flavor, None, filtered)
    options = ["--filter-unexpressed-genes"] if filtered else []
    ours = hvg("pbmc3k", tmp_path, "--n-top-genes", 2000, "--flavor", flavor, *EXCLUDED, *options)
    out = excluded(ours)
    assert out.sum() > 100
    by = {"seurat_v3": "variances_norm", "pearson_residuals": "residual_variances"}
    by = by.get(flavor, "dispersions_norm")
    assert theirs["highly_variable"].to_numpy()[out].any(), "the exclusion must change something"
    assert np.allclose(ours[by], theirs[by], rtol=1e-4, atol=1e-5, equal_nan=True)
    chosen = ours["highly_variable"].to_numpy()
    assert not chosen[out].any()
    assert chosen.sum() == 2000
    # Ties at the cut may go either way.
    values = theirs[by].to_numpy(np.float64)
    cut = np.sort(values[~out & ~np.isnan(values)])[-2000]
    assert (values[chosen] >= cut * (1 - 1e-5)).all()
    assert not (values[~chosen & ~out] > cut * (1 + 1e-5)).any()


def test_excluded_genes_stay_in_totals(result, run):
    ours = result("pbmc3k", "--n-top-genes", 2000, *EXCLUDED)
    whole = result("pbmc3k", "--n-top-genes", 2000)
    out = excluded(ours.var)
    assert (ours.X != whole.X).nnz == 0
    assert (ours.varm["PCs"][out] == 0).all()
    assert (whole.varm["PCs"][out] != 0).any()
    assert list(ours.uns["cellmill"]["hvg_exclude"]) == EXCLUDED[1::2]


def test_excluded_genes_of_batches_filters_and_lists(tmp_path):
    """A list, in the configuration file; the mask follows the genes that a filter keeps."""
    import anndata as ad

    names = ad.read_h5ad(dataset("pbmc3k"), backed="r").var_names
    wanted = ["LYZ", "NKG7", "S100A9"]
    assert set(wanted) <= set(names)
    (tmp_path / "list.txt").write_text("\n".join([*wanted, "NOT-A-GENE"]))
    (tmp_path / "c.toml").write_text(f'hvg-exclude = "@{tmp_path / "list.txt"}"\n')
    target = tmp_path / "r.h5ad"
    options = ["--min-cells", 3, "--epochs", 5, "--write-x", "none"]
    told = tmp_path / "events.jsonl"
    done = ok(
        "run",
        dataset("pbmc3k"),
        "-o",
        target,
        "--config",
        tmp_path / "c.toml",
        *options,
        "--events",
        told,
    )
    assert "(3 excluded)" in done.out
    assert "1 names of lists are not among the genes, NOT-A-GENE" in told.read_text()
    var = ad.read_h5ad(target).var
    assert len(var) < len(names)
    assert not var.loc[wanted, "highly_variable"].any()
    assert var.loc["GNLY", "highly_variable"]
    plan = ok("plan", dataset("pbmc3k"), *EXCLUDED).out
    assert "genes excluded" in plan


def test_an_exclusion_of_nothing_is_refused(tmp_path):
    target = tmp_path / "r.h5ad"
    for words, names in [
        (["mt-*"], ["mt-*", "MT-*"]),
        (["MT-*", "NO-SUCH"], ["NO-SUCH"]),
        (["@/no/such/file"], ["/no/such/file"]),
        (["*"], ["hvg_exclude", "none is left"]),
        (["MT[-"], ["MT[-"]),
    ]:
        options = [x for word in words for x in ("--hvg-exclude", word)]
        options += ["-o", target]
        for command in ("hvg", "run"):
            refused(command, dataset("pbmc3k"), *options, names=names, leaves=tmp_path)
