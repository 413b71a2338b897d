"""Plots against scanpy's own on the same data."""

import inspect
import pickle
import re
import subprocess
import sys

import cellmill as cm
import matplotlib

matplotlib.use("Agg")

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from conftest import KINDS
from matplotlib import colors as mcolors
from matplotlib import pyplot as plt
from matplotlib.colors import LogNorm


@pytest.fixture(autouse=True)
def no_figures_are_left(tmp_path, monkeypatch):
    before = sc.settings.figdir
    monkeypatch.setattr(cm.settings, "_figdir", tmp_path / "figures")
    sc.settings.figdir = tmp_path / "figures of scanpy"
    yield
    sc.settings.figdir = before
    plt.close("all")


@pytest.fixture(scope="module")
def blood():
    adata = cm.datasets.pbmc68k_reduced()
    adata.obs["is_B"] = (adata.obs["louvain"] == "1").to_numpy()
    adata.obs["text"] = adata.obs["phase"].astype(str)
    adata.obs["nullable"] = pd.array(adata.obs["n_genes"].astype(int), dtype="Int64")
    adata.obs.iloc[:30, adata.obs.columns.get_loc("nullable")] = pd.NA
    adata.obs["partly"] = adata.obs["bulk_labels"].cat.remove_categories(["Dendritic"])
    adata.obs["ids"] = adata.obs_names.astype(str)
    adata.layers["half"] = adata.X / 2
    adata.var["symbol"] = "s" + adata.var_names
    return adata


def pixels(figure, dpi=100):
    figure.set_dpi(dpi)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).astype(int)


def what_is_on(figure):
    """Everything but the points: titles, labels, limits, legends, texts, colour bars."""
    found = []
    for ax in figure.axes:
        legend = ax.get_legend()
        found.append(
            {
                "title": ax.get_title(),
                "labels": (ax.get_xlabel(), ax.get_ylabel()),
                "limits": np.round([*ax.get_xlim(), *ax.get_ylim()], 3).tolist(),
                "frame": ax.axison,
                "texts": [(t.get_text(), t.get_fontsize()) for t in ax.texts],
                "legend": legend
                and [
                    (t.get_text(), mcolors.to_hex(h.get_facecolor()[0]))
                    for t, h in zip(legend.get_texts(), legend.legend_handles, strict=True)
                ],
                "columns": legend and legend._ncols,
            }
        )
    return found


CALLS = [
    {},
    {"color": "bulk_labels"},
    {"color": "bulk_labels", "legend_loc": "on data", "legend_fontoutline": 2},
    {"color": "bulk_labels", "legend_loc": "none", "frameon": False},
    {"color": "bulk_labels", "legend_loc": "lower left", "legend_fontsize": 6},
    {"color": "louvain", "groups": ["1", "3"], "na_color": "beige"},
    {"color": "louvain", "groups": "1", "na_in_legend": False},
    {"color": "louvain", "palette": "Set2"},
    {"color": "phase", "palette": ["red", "#00ff00", "k"], "title": "a title"},
    {"color": "phase", "palette": {"G1": "red", "S": "blue", "G2M": "green"}},
    {"color": "partly"},
    {"color": "is_B"},
    {"color": "text"},
    {"color": "n_counts", "colorbar_loc": None},
    {"color": "n_counts", "vmin": 500, "vmax": "p95", "cmap": "magma"},
    {"color": "S_score", "vcenter": 0, "color_map": "coolwarm"},
    {"color": "n_counts", "norm": LogNorm()},
    {"color": "CD79A"},
    {"color": "CD79A", "use_raw": False, "vmax": np.max},
    {"color": "CD79A", "layer": "half"},
    {"color": "sCD79A", "gene_symbols": "symbol"},
    {"color": "CD79A", "sort_order": False, "alpha": 0.5, "size": 40, "marker": "o"},
    {"color": "bulk_labels", "add_outline": True},
    {"color": ["bulk_labels", "CD79A", "n_counts"], "ncols": 2, "wspace": 0.3},
    {"color": ["n_counts", "CD79A"], "vmin": [0, 1], "vmax": [900, "p99"], "title": ["a", "b"]},
    {"color": "phase", "dimensions": (1, 0)},
    {"color": "phase", "components": ["1,2", "2,1"], "wspace": 0.3},
]


def name_of(options) -> str:
    """The same in every process: without addresses in memory."""
    return re.sub(r"( object)? at 0x\w+", "", str(options))


@pytest.mark.parametrize("options", CALLS, ids=name_of)
def test_everything_but_the_points_is_as_in_scanpy(blood, options):
    ours, theirs = blood.copy(), blood.copy()
    figures = [m.pl.umap(a, return_fig=True, **options) for m, a in ((cm, ours), (sc, theirs))]
    assert what_is_on(figures[0]) == what_is_on(figures[1])
    assert ours.uns.keys() == theirs.uns.keys()
    for key in theirs.uns:
        if key.endswith("_colors"):
            assert list(ours.uns[key]) == list(theirs.uns[key])
    assert dict(ours.obs.dtypes) == dict(theirs.obs.dtypes)
    # Neither the dots' rims nor their order in a crowd are matplotlib's; the picture is.
    mine, reference = (pixels(f) for f in figures)
    assert mine.shape == reference.shape
    assert np.abs(mine - reference).mean() < 6


@pytest.mark.parametrize("name", ["umap", "pca"])
def test_named_plots(blood, name):
    options = {"annotate_var_explained": True} if name == "pca" else {}
    for color in ("louvain", ["louvain", "phase"]):
        found = []
        for module in (cm, sc):
            adata = blood.copy()
            adata.uns["pca"]["variance_ratio"] = adata.uns["pca"]["variance_ratio"][:2]
            axes = getattr(module.pl, name)(adata, color=color, show=False, wspace=1, **options)
            assert isinstance(axes, list) == isinstance(color, list)
            found.append(what_is_on((axes[0] if isinstance(axes, list) else axes).figure))
        assert found[0] == found[1]
    figure = cm.pl.pca(blood, return_fig=True, annotate_var_explained=True)
    assert "%" in figure.axes[0].get_xlabel()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(cm.pl.embedding, sc.pl.embedding), (cm.pl.umap, sc.pl.umap), (cm.pl.pca, sc.pl.pca)],
    ids=lambda f: f.__name__,
)
def test_signature(ours, theirs):
    mine, reference = (inspect.signature(f).parameters for f in (ours, theirs))
    assert [(p.name, p.kind, p.default) for p in mine.values()] == [
        (p.name, p.kind, p.default) for p in reference.values()
    ]
    text = inspect.getdoc(ours)
    assert f"scanpy.pl.{ours.__name__}" in text
    if ours is cm.pl.embedding:
        assert [name for name in mine if name not in text] == []


def test_numbers_that_may_be_missing(blood):
    ax = cm.pl.umap(blood, color="nullable", show=False)
    bar = ax.figure.axes[1]
    values = blood.obs["nullable"].to_numpy(float, na_value=np.nan)
    assert bar.get_ylim() == (np.nanmin(values), np.nanmax(values))
    mask = (blood.obs["phase"] == "G1").to_numpy()
    blood.obs["mask"] = mask
    for given in (mask, "mask"):
        figure = cm.pl.umap(blood, color="n_counts", mask_obs=given, return_fig=True)
        assert figure.axes[1].get_ylim()[1] == blood.obs["n_counts"][mask].max()


def test_clusters_have_their_colours():
    centres = np.array([[0, 0], [10, 0], [0, 10], [10, 10]], dtype=float)
    codes = np.arange(40_000) % 4
    adata = ad.AnnData(obs=pd.DataFrame({"k": pd.Categorical(codes.astype(str))}))
    rng = np.random.default_rng(0)
    adata.obsm["X_e"] = centres[codes] + rng.normal(0, 0.5, (len(codes), 2))
    for size in (1, 30):
        ax = cm.pl.embedding(adata, "e", color="k", size=size, show=False)
        for invert, dpi in ((False, 100), (True, 100), (False, 230)):
            if invert:
                ax.invert_yaxis()
                ax.invert_xaxis()
            page = pixels(ax.figure, dpi)
            for centre, colour in zip(centres, adata.uns["k_colors"], strict=True):
                x, y = ax.transData.transform(centre)
                wanted = np.array(mcolors.to_rgb(colour)) * 255
                assert np.abs(page[page.shape[0] - int(y), int(x), :3] - wanted).max() < 12
    ax.set_xlim(9.9, 10.1)
    ax.set_ylim(9.9, 10.1)
    middle = pixels(ax.figure)[200:250, 200:250, :3].reshape(-1, 3).mean(axis=0)
    last = np.array(mcolors.to_rgb(adata.uns["k_colors"][3])) * 255
    assert np.abs(middle - last).max() < np.abs(255 - last).max()


def test_axes_that_are_not_linear(blood):
    ax = cm.pl.umap(blood, color="phase", show=False)
    low = blood.obsm["X_umap"].min(axis=0)
    blood.obsm["positive"] = blood.obsm["X_umap"] - low + 1
    _, mine = plt.subplots()
    cm.pl.embedding(blood, "positive", color="phase", ax=mine, show=False)
    linear = pixels(mine.figure)
    mine.set_xscale("log")
    mine.set_xticks([])
    mine.minorticks_off()
    assert (pixels(mine.figure) != linear).any()
    assert ax is not mine


def test_few_cells_and_places_that_are_no_numbers(blood):
    for n in (0, 1):
        for color in (None, "phase", "n_counts", "CD79A"):
            pixels(cm.pl.umap(blood[:n].copy(), color=color, return_fig=True))
    adata = blood.copy()
    adata.obsm["X_umap"][:5] = [
        [np.nan, 0],
        [0, np.inf],
        [np.nan, np.nan],
        [-np.inf, 0],
        [0, np.nan],
    ]
    adata.obs["nowhere"] = np.nan
    mine = cm.pl.umap(adata, color=["phase", "nowhere"], legend_loc="on data", return_fig=True)
    pixels(mine)
    kept = adata.obsm["X_umap"][5:]
    low, high = mine.axes[0].get_xlim()
    assert low < kept[:, 0].min()
    assert kept[:, 0].max() < high < np.inf


def test_a_figure_follows_what_is_changed(blood):
    figure = cm.pl.umap(blood, color="n_counts", return_fig=True)
    for one in (figure, pickle.loads(pickle.dumps(figure))):
        before = pixels(one)
        one.axes[1]._colorbar.mappable.set_clim(0, 200)
        after = pixels(one)
        middle = (slice(100, 300), slice(100, 300))
        assert (after[middle] != before[middle]).any()
    ax = plt.figure().add_axes((0, 0, 1, 1))
    cm.pl.umap(blood, color="n_counts", colorbar_loc=None, title="", ax=ax, show=False)
    ax.axis("off")
    before = pixels(ax.figure)
    ax.invert_yaxis()
    assert (pixels(ax.figure) == before[::-1]).mean() > 0.99


@pytest.mark.parametrize("size", [None, 60])
@pytest.mark.parametrize("color", ["phase", "n_counts", None])
def test_the_same_picture_for_any_number_of_threads(blood, color, size):
    found = []
    for threads in (1, 5):
        cm.settings.threads = threads
        found.append(pixels(cm.pl.umap(blood, color=color, size=size, return_fig=True)))
    cm.settings.threads = 2
    assert (found[0] == found[1]).all()


def test_genes_of_every_kind_of_matrix(make, reference):
    gene = reference.var_names[int(np.argmax(reference.X.sum(axis=0)))]
    place = np.random.default_rng(0).normal(size=(reference.n_obs, 2))
    expected = None
    for kind in KINDS:
        adata = make(kind)
        adata.obsm["X_umap"] = place
        page = pixels(cm.pl.umap(adata, color=gene, return_fig=True))
        expected = page if expected is None else expected
        assert (page == expected).all(), kind
    # A lazy matrix: what waits is done, what is not selected is not read, nothing is computed.
    lazy, plain = make("lazy-7"), reference.copy()
    for module, adata in ((cm, lazy), (sc, plain)):
        adata.obsm["X_umap"] = place
        module.pp.normalize_total(adata, target_sum=1e4)
        module.pp.log1p(adata)
    some = np.arange(reference.n_obs) % 3 == 0
    pages = [pixels(cm.pl.umap(a[some], color=gene, return_fig=True)) for a in (lazy, plain)]
    assert np.abs(pages[0] - pages[1]).max() <= 2
    assert type(lazy.X).__name__ == "LazyMatrix"


def test_a_million_points_within_the_budget(tmp_path):
    n = 1_000_000
    rng = np.random.default_rng(1)
    adata = ad.AnnData(
        obs=pd.DataFrame({"k": pd.Categorical.from_codes(rng.integers(0, 9, n), list("abcdefghi"))})
    )
    adata.obsm["X_umap"] = rng.normal(size=(n, 2)).astype(np.float32)
    figure = cm.pl.umap(adata, color="k", return_fig=True)
    cm.settings.memory = "60M"
    for kind in ("png", "pdf", "svg"):
        target = tmp_path / f"points.{kind}"
        figure.savefig(target, bbox_inches="tight", dpi=60)
        # A layer of pixels and some text, not a million paths.
        assert 5_000 < target.stat().st_size < 1_000_000
    assert b"UMAP1" in target.read_bytes()
    cm.settings.memory = "4M"
    with pytest.raises(MemoryError, match="drawing the points"):
        figure.savefig(tmp_path / "points.png", dpi=61)
    cm.settings.memory = None


def test_axes_files_and_figures(blood, monkeypatch):
    figure, (left, right) = plt.subplots(1, 2)
    assert cm.pl.umap(blood, color="phase", ax=right, show=False) is right
    assert not left.get_title()
    assert cm.pl.umap(blood, color="phase", ax=right, return_fig=True) is figure
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(1))
    assert cm.pl.umap(blood, color="phase") is None
    assert cm.pl.umap(blood, color="phase", show=True) is None
    assert len(shown) == 2
    for save in (True, "_phase.png", "_phase.svg", "_plain"):
        with pytest.warns(FutureWarning, match="save"):
            sc.pl.umap(blood, color="phase", save=save, show=False)
        before = plt.get_fignums()
        cm.pl.umap(blood, color="phase", save=save, show=False)
        assert plt.get_fignums() == before
    names = [sorted(p.name for p in m.settings.figdir.iterdir()) for m in (cm, sc)]
    assert names[0] == names[1]
    cm.settings.figdir = cm.settings.figdir / "deeper"
    cm.pl.pca(blood, color="phase", save=".png", show=False, annotate_var_explained=True)
    assert (cm.settings.figdir / "pca.png").is_file()


def test_legends_are_not_cut(blood):
    blood.obs["long"] = blood.obs["phase"].cat.rename_categories(lambda c: c + " of the cycle" * 2)
    figure = cm.pl.umap(blood, color=["long", "phase", "n_counts"], return_fig=True)
    figure.canvas.draw()
    first, second = figure.axes[:2]
    assert first.get_legend().get_window_extent().x1 < second.get_tightbbox().x0


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"color": "nothing"}, KeyError, "nothing.*raw.var_names"),
        ({"color": "nothing", "use_raw": False}, KeyError, "nothing.*in var_names"),
        ({"color": "x", "gene_symbols": "symbol"}, KeyError, "symbol"),
        ({"color": "x", "gene_symbols": "none"}, KeyError, "none"),
        ({"color": "CD79A", "layer": "none"}, KeyError, "half"),
        ({"basis": "nothing"}, KeyError, "X_umap"),
        ({"edges": True}, NotImplementedError, "edges"),
        ({"edges_width": 1}, NotImplementedError, "edges_width"),
        ({"arrows": True}, NotImplementedError, "arrows"),
        ({"scale_factor": 2.0}, NotImplementedError, "scale_factor"),
        ({"projection": "3d"}, NotImplementedError, "3d"),
        ({"projection": "4d"}, ValueError, "4d"),
        ({"marker": "x"}, ValueError, "discs"),
        ({"size": np.ones(700)}, NotImplementedError, "size"),
        ({"size": 0}, ValueError, "size"),
        ({"alpha": 2}, ValueError, "alpha"),
        ({"ncols": 0}, ValueError, "ncols"),
        ({"color": "ids"}, TypeError, "ids"),
        ({"linewidths": 2}, TypeError, "linewidths"),
        ({"groups": "1", "mask_obs": "is_B"}, ValueError, "mask_obs"),
        ({"mask_obs": "phase"}, ValueError, "boolean"),
        ({"mask_obs": "none"}, ValueError, "none"),
        ({"use_raw": True, "layer": "half"}, ValueError, "layer"),
        ({"cmap": "magma", "color_map": "magma"}, ValueError, "cmap"),
        ({"dimensions": (0, 1), "components": "1,2"}, ValueError, "components"),
        ({"dimensions": (0, 7)}, ValueError, "2 columns"),
        ({"color": ["phase", "louvain"], "ax": "an axes"}, ValueError, "ax"),
        ({"color": "n_counts", "vmax": "p"}, ValueError, "vmax"),
        ({"color": "n_counts", "vmin": [1, 2], "norm": LogNorm()}, ValueError, "norm"),
        ({"color": "phase", "palette": ["no colour"]}, ValueError, "no colour"),
        ({"color": "phase", "palette": "no map"}, ValueError, "no map"),
        ({"na_color": "#00000000"}, ValueError, "opacity"),
        ({"cmap": plt.get_cmap("magma").with_extremes(under="red")}, NotImplementedError, "under"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_drawn_says_so_and_leaves_no_figure(blood, options, error, words):
    options = {"basis": "umap"} | options
    with pytest.raises(error, match=words):
        cm.pl.embedding(blood, show=False, **options)
    assert plt.get_fignums() == []


def test_without_raw_and_with_wrong_colours(blood):
    adata = blood.copy()
    adata.raw = None
    with pytest.raises(ValueError, match="no raw"):
        cm.pl.umap(adata, use_raw=True)
    adata.uns["phase_colors"] = ["no colour", "red", "blue"]
    with pytest.warns(UserWarning, match="phase_colors"):
        cm.pl.umap(adata, color="phase", show=False)
    assert "no colour" not in adata.uns["phase_colors"]
    adata.obs["many"] = pd.Categorical([str(i % 150) for i in range(adata.n_obs)])
    cm.pl.umap(adata, color="many", legend_loc="none", show=False)
    assert len(set(adata.uns["many_colors"])) == 150


def test_matplotlib_is_not_needed_until_something_is_drawn():
    program = """
import sys
sys.modules["matplotlib"] = None
import anndata, cellmill, numpy
adata = anndata.AnnData(numpy.ones((3, 2), "f4"), obsm={"X_umap": numpy.ones((3, 2))})
try:
    cellmill.pl.umap(adata)
except ImportError as error:
    assert "cellmill[plot]" in str(error)
else:
    raise SystemExit("nothing was raised")
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_cells_that_scanpy_carries(monkeypatch):
    ours, theirs = cm.datasets.pbmc68k_reduced(), sc.datasets.pbmc68k_reduced()
    assert (ours.X == theirs.X).all()
    pd.testing.assert_frame_equal(ours.obs, theirs.obs)
    assert (ours.raw.X != theirs.raw.X).nnz == 0
    monkeypatch.setattr("cellmill.datasets._pbmc68k_reduced.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="install scanpy"):
        cm.datasets.pbmc68k_reduced()
