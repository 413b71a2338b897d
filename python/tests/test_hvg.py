"""Every flavour of highly variable genes, with and without batches, against scanpy."""

import functools
import os
import warnings
from pathlib import Path

import anndata as ad
import cellmill as cm
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scanpy.preprocessing._highly_variable_genes as scanpy_genes
from conftest import KINDS
from scipy import sparse

DISPERSION = ("seurat", "cell_ranger")
FLAVORS = (*DISPERSION, "seurat_v3", "seurat_v3_paper", "pearson_residuals")
DTYPES = ("float32", "float64", "int32")


def labels(n: int) -> np.ndarray:
    """Three batches of different size, in no order."""
    return np.random.default_rng(2).choice(list("abc"), n, p=[0.5, 0.3, 0.2])


@pytest.fixture(scope="session")
def path(tmp_path_factory):
    """Counts in which no gene is rare, since scanpy's loess fails on many genes of equal mean."""
    rng = np.random.default_rng(4)
    rate = rng.lognormal(-0.5, 1.2, 500) * rng.lognormal(0, 0.4, (4, 500))[rng.integers(0, 4, 700)]
    rate *= rng.lognormal(0, 0.3, (700, 1)) * rng.gamma(6, 1 / 6, (700, 500))
    adata = ad.AnnData(sparse.csr_matrix(rng.poisson(rate).astype(np.float32)))
    sc.pp.filter_genes(adata, min_cells=30)
    target = tmp_path_factory.mktemp("data") / "counts.h5ad"
    adata.write_h5ad(target)
    return target


def genes(module, adata, flavor, key=None, **options):
    """The flavour's own call, with as many genes as it needs."""
    options.setdefault("n_top_genes", 150)
    if flavor == "pearson_residuals":
        return module.experimental.pp.highly_variable_genes(adata, batch_key=key, **options)
    return module.pp.highly_variable_genes(adata, flavor=flavor, batch_key=key, **options)


def logged(module, adata, flavor):
    """The matrix that the flavour looks at, of counts."""
    if flavor in DISPERSION:
        module.pp.normalize_total(adata, target_sum=1e4)
        module.pp.log1p(adata)
    return adata


def exact_aggregate(adata, by, func):
    """scanpy's mean and variance of each batch, without the rounding of its running means.

    The k-d tree of loess cuts between different means only. Genes of equal sums have equal means
    here; in scanpy's running means they differ in the last bits, by the order of the cells, so that
    the tree has other cells and the fit other values, by up to 4e-3.
    """
    assert set(func) == {"mean", "var"}
    found = aggregate(adata, by=by, func=func)
    for i, batch in enumerate(found.obs[by]):
        x = adata.X[(adata.obs[by] == batch).to_numpy()]
        x = x.toarray() if sparse.issparse(x) else x
        found.layers["mean"][i] = x.sum(axis=0) / len(x)
        found.layers["var"][i] = x.var(axis=0, ddof=1)
    return found


aggregate = scanpy_genes.aggregate


@pytest.fixture
def exact(monkeypatch):
    """scanpy with exact means of batches."""
    monkeypatch.setattr(scanpy_genes, "aggregate", exact_aggregate)


@pytest.fixture(scope="module")
def theirs(path):
    """scanpy's result on the same counts in memory, in double precision."""

    @functools.cache
    def of(flavor, key, **_):
        adata = ad.read_h5ad(path)
        adata.X = adata.X.astype(np.float64)
        adata.obs["batch"] = pd.Categorical(labels(adata.n_obs))
        logged(sc, adata, flavor)
        genes(sc, adata, flavor, key)
        return adata

    return of


def shift(flavor, key):
    """How far ranks may be apart.

    Genes of equal variance in a batch are ordered by numpy's unstable sort in scanpy, and the last
    bits; each such pair moves the median over the batches by one at most.
    """
    return 1 if flavor.startswith("seurat_v3") and key else 0


def same(ours: pd.DataFrame, expected: pd.DataFrame, *, rtol=1e-6, shift=0):
    """The same columns, dtypes, numbers and genes."""
    assert list(ours.columns) == list(expected.columns)
    for name, column in expected.items():
        assert ours[name].dtype == column.dtype, name
        if column.dtype.kind == "f":
            is_rank = name == "highly_variable_rank"
            limits = {"rtol": 1e-9, "atol": shift} if is_rank else {"rtol": rtol, "atol": rtol}
            np.testing.assert_allclose(ours[name], column, err_msg=name, **limits)
        else:
            assert (ours[name] == column).all(), name


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("exact")
def test_each_kind_of_matrix(make, theirs, kind, flavor):
    dtype = DTYPES[(KINDS.index(kind) + FLAVORS.index(flavor)) % 3]
    for key in (None, "batch"):
        ours = make(kind, dtype)
        ours.obs["batch"] = labels(ours.n_obs)
        logged(cm, ours, flavor)
        genes(cm, ours, flavor, key)
        expected = theirs(flavor, key)
        rtol = 1e-8 if flavor not in DISPERSION or dtype == "float64" else 1e-4
        columns = list(expected.var)
        same(ours.var[columns], expected.var, rtol=rtol, shift=shift(flavor, key))
        assert ours.uns["hvg"] == expected.uns["hvg"]


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("key", [None, "batch"])
@pytest.mark.usefixtures("exact")
def test_frames_subsets_and_layers(theirs, path, flavor, key):
    adata = ad.read_h5ad(path)
    adata.X = adata.X.astype(np.float64)
    adata.obs["batch"] = pd.Categorical(labels(adata.n_obs))
    logged(sc, adata, flavor)
    adata.layers["here"] = adata.X
    adata.X = None
    for subset in (False, True):
        options = {"inplace": False, "subset": subset, "layer": "here"}
        ours, expected = (genes(m, adata, flavor, key, **options) for m in (cm, sc))
        assert list(ours.index) == list(expected.index)
        same(ours, expected, rtol=1e-8, shift=shift(flavor, key))
        assert "hvg" not in adata.uns
    both = [adata.copy(), adata.copy()]
    for module, one in zip((cm, sc), both, strict=True):
        genes(module, one, flavor, key, layer="here", subset=True)
    ours, expected = both
    assert list(ours.var_names) == list(expected.var_names)
    assert ours.uns["hvg"] == expected.uns["hvg"]
    assert list(ours.var.columns) == list(expected.var.columns)


@pytest.mark.parametrize("flavor", ["seurat_v3", "seurat_v3_paper"])
def test_batches_against_running_means(make, flavor):
    """scanpy as it is: see `exact_aggregate` for why not all digits are the same."""
    adata = make("csr", "float64")
    adata.obs["batch"] = pd.Categorical(labels(adata.n_obs))
    ours, expected = (genes(m, adata, flavor, "batch", inplace=False) for m in (cm, sc))
    np.testing.assert_allclose(ours["means"], expected["means"], rtol=1e-10)
    np.testing.assert_allclose(ours["variances_norm"], expected["variances_norm"], atol=5e-3)
    agree = ours["highly_variable"] == expected["highly_variable"]
    assert agree.mean() >= 0.995, (~agree).sum()


@pytest.mark.parametrize("flavor", DISPERSION)
def test_cutoffs(path, flavor):
    adata = ad.read_h5ad(path)
    adata.X = adata.X.astype(np.float64)
    adata.obs["batch"] = pd.Categorical(labels(adata.n_obs))
    logged(sc, adata, flavor)
    adata.X[:, 40:300] = 0
    adata.X.eliminate_zeros()
    for options in (
        {"batch_key": "batch"},
        {"batch_key": "batch", "min_disp": -1, "max_mean": 9},
        {"filter_unexpressed_genes": True},
        {"filter_unexpressed_genes": True, "n_top_genes": 60},
    ):
        ours, expected = (
            m.pp.highly_variable_genes(adata, flavor=flavor, inplace=False, **options)
            for m in (cm, sc)
        )
        pd.testing.assert_frame_equal(ours, expected, rtol=1e-8, atol=1e-8)
        assert expected["highly_variable"].any()
    if flavor == "cell_ranger":
        for module in (cm, sc):
            with pytest.raises(ValueError, match=r"unique|percentiles"):
                module.pp.highly_variable_genes(adata, flavor=flavor)


def test_a_selection_of_cells_keeps_its_batches(make):
    found = []
    for kind in ("lazy-7", "csr"):
        adata = make(kind)
        adata.obs["batch"] = labels(adata.n_obs)
        part = adata[np.arange(adata.n_obs) % 3 > 0, 20:].copy()
        found.append(genes(cm, part, "seurat_v3", "batch", inplace=False))
    pd.testing.assert_frame_equal(*found, rtol=1e-10)


def test_cells_without_a_batch(make):
    adata = make("lazy")
    names = labels(adata.n_obs).astype(object)
    names[:100] = None
    adata.obs["batch"] = names
    for flavor in ("seurat_v3", "pearson_residuals"):
        with pytest.raises(ValueError, match="100 cells have no batch"):
            genes(cm, adata, flavor, "batch")
    both = []
    for module, one in ((cm, adata), (sc, make("csr", "float64"))):
        one.obs["batch"] = names
        logged(module, one, "seurat")
        both.append(genes(module, one, "seurat", "batch", inplace=False))
    pd.testing.assert_frame_equal(*both, rtol=1e-4, atol=1e-4)
    with pytest.raises(KeyError, match="nothing"):
        genes(cm, adata, "seurat", "nothing")


@pytest.mark.parametrize("kind", ["lazy", "dask-csr"])
def test_values_that_are_no_counts(make, kind):
    adata = logged(cm, make(kind), "seurat")
    for flavor in ("seurat_v3", "pearson_residuals"):
        with pytest.warns(UserWarning, match="non-integers"):
            genes(cm, adata, flavor)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            genes(cm, adata, flavor, check_values=False)


def test_a_budget_that_the_batches_do_not_fit(make):
    adata = logged(cm, make("lazy"), "seurat")
    adata.obs["batch"] = [f"b{i % 300}" for i in range(adata.n_obs)]
    before = cm.settings.memory
    try:
        cm.settings.memory = "5MB"
        with pytest.raises(MemoryError, match="smallest budget that would do"):
            genes(cm, adata, "seurat", "batch")
    finally:
        cm.settings.memory = before


def real(name: str) -> Path:
    """A file of the real data; the test is skipped by name where it is absent."""
    given = os.environ.get("CELLMILL_TEST_DATA")
    root = Path(given) if given else Path(__file__).resolve().parents[3] / "shared/data"
    if not (root / name).exists():
        pytest.skip(f"real data {name} is absent (CELLMILL_TEST_DATA or ../shared/data)")
    return root / name


@functools.cache
def counts(name: str, key: str | None = None) -> ad.AnnData:
    """Real counts, in double precision, with a column of batches."""
    adata = ad.read_h5ad(real(name))
    adata.var_names_make_unique()
    adata.X = sparse.csr_matrix(adata.X, dtype=np.float64)
    if key is None:
        adata.obs["batch"] = pd.Categorical(labels(adata.n_obs))
    sc.pp.filter_genes(adata, min_cells=3 if key else 10)
    return adata


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("key", [None, "batch"])
@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("other_raw/sc_mixology_5batch_raw_csr.h5ad", "batch"),
        ("human_pbmc/pbmc14k_sub3500_raw_csr.h5ad", None),
    ],
)
def test_real_cells(name, own, key, flavor):
    adata = logged(sc, counts(name, own).copy(), flavor)
    options = {"inplace": False, "n_top_genes": 2000}
    ours, expected = (genes(m, adata, flavor, key, **options) for m in (cm, sc))
    if flavor in DISPERSION:
        pd.testing.assert_frame_equal(ours, expected, rtol=1e-7, atol=1e-7)
        return
    value = "residual_variances" if flavor == "pearson_residuals" else "variances_norm"
    np.testing.assert_allclose(ours[value], expected[value], rtol=1e-8)
    if key is None:
        # Genes with equal values are ordered by numpy's unstable sort in scanpy.
        tied = expected[value].round(10).duplicated(keep=False)
        pd.testing.assert_frame_equal(ours[~tied], expected[~tied], rtol=1e-8)
    else:
        # A rank is a median over batches, and genes that tie in one are in any order there.
        agree = ours["highly_variable"] == expected["highly_variable"]
        assert agree.mean() > 0.998, (~agree).sum()


def test_three_hundred_batches_of_which_many_have_one_cell():
    adata = counts("other_raw/sc_mixology_5batch_raw_csr.h5ad", "batch").copy()
    sizes = np.random.default_rng(0).geometric(0.02, adata.n_obs)
    adata.obs["many"] = pd.Categorical([f"b{min(s, 299):03d}" for s in sizes])
    adata = adata[:, ::8].copy()
    assert (adata.obs["many"].value_counts() == 1).sum() > 20
    logs = logged(sc, adata.copy(), "seurat")
    # Without a number of genes, since scanpy fails on a batch of one cell with one.
    ours, expected = (
        m.pp.highly_variable_genes(logs, batch_key="many", inplace=False) for m in (cm, sc)
    )
    columns = ["means", "dispersions"]
    pd.testing.assert_frame_equal(ours[columns], expected[columns], rtol=1e-7, atol=1e-7)
    # Bins of equal dispersions: 0 / 0, or what rounding leaves of it, / 0.
    finite = np.isfinite(expected["dispersions_norm"]) & np.isfinite(ours["dispersions_norm"])
    near = np.isclose(ours["dispersions_norm"], expected["dispersions_norm"], rtol=1e-6, atol=1e-6)
    print("finite", finite.mean(), "near", near[finite].mean())
    assert finite.mean() > 0.5
    assert near[finite].mean() > 0.99
    with pytest.warns(UserWarning, match="batch of one cell"):
        found = cm.pp.highly_variable_genes(logs, batch_key="many", n_top_genes=100, inplace=False)
    assert found["highly_variable"].sum() == 100
    ours, expected = (
        m.experimental.pp.highly_variable_genes(
            adata, batch_key="many", n_top_genes=100, inplace=False
        )
        for m in (cm, sc)
    )
    np.testing.assert_allclose(
        ours["residual_variances"], expected["residual_variances"], rtol=1e-8, atol=1e-12
    )


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(real(f"reference_outputs/{name}"), index_col=0)


@pytest.mark.parametrize(
    ("flavor", "options"), [("seurat", {}), ("cell_ranger", {"n_top_genes": 100})]
)
def test_tables_of_seurat_and_cell_ranger(flavor, options):
    expected = table(f"scanpy_tests/{flavor}_hvg.csv")
    adata = sc.datasets.pbmc68k_reduced().raw.to_adata()
    sc.pp.filter_cells(adata, min_counts=1)
    logged(cm, adata, flavor)
    cm.pp.highly_variable_genes(adata, flavor=flavor, **options)
    assert (adata.var["highly_variable"].to_numpy() == expected["highly_variable"]).all()
    for name in ("means", "dispersions", "dispersions_norm"):
        np.testing.assert_allclose(adata.var[name], expected[name], rtol=2e-5, atol=2e-5)


def pbmc3k() -> ad.AnnData:
    adata = ad.read_h5ad(real("human_pbmc/pbmc3k_raw_csr.h5ad"))
    adata.var_names_make_unique()
    adata.X = adata.X.astype(np.float64)
    sc.pp.filter_genes(adata, min_cells=3)
    return adata


def test_tables_of_seurat_v3():
    adata = pbmc3k()
    expected = table("scanpy_tests/seurat_hvg_v3.csv.gz")
    found = cm.pp.highly_variable_genes(adata, flavor="seurat_v3", inplace=False)
    shared = found.index.intersection(expected.index)
    assert len(shared) > 13_000
    ours, theirs = found.loc[shared], expected.loc[shared]
    np.testing.assert_allclose(ours["means"], theirs["mean"], rtol=1e-10)
    np.testing.assert_allclose(ours["variances"], theirs["variance"], rtol=1e-10)
    np.testing.assert_allclose(ours["variances_norm"], theirs["variance.standardized"], rtol=2e-3)


@pytest.mark.parametrize(
    ("flavor", "file"),
    [
        ("seurat", "hvg_seurat_n2000"),
        ("cell_ranger", "hvg_cell_ranger_n2000"),
        ("seurat_v3", "hvg_seurat_v3_n2000_filtered13714"),
    ],
)
def test_tables_of_an_older_scanpy(flavor, file):
    adata = pbmc3k()
    if flavor in DISPERSION:
        # The tutorial's cells.
        mt = adata.var_names.str.startswith("MT-")
        n_genes = np.ravel((adata.X > 0).sum(axis=1))
        share = np.ravel(adata.X[:, mt].sum(axis=1)) / np.ravel(adata.X.sum(axis=1))
        adata = adata[(n_genes < 2500) & (share < 0.05)].copy()
    adata = logged(cm, adata, flavor)
    expected = table(f"scanpy_pbmc3k/{file}.csv.gz")
    found = cm.pp.highly_variable_genes(adata, flavor=flavor, n_top_genes=2000, inplace=False)
    assert list(found.index) == list(expected.index)
    for name in expected.columns.intersection(found.columns):
        if expected[name].dtype.kind == "f" and name != "highly_variable_rank":
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)
    assert (found["highly_variable"] != expected["highly_variable"]).sum() <= 2
