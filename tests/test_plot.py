"""Pictures: they are there, they are pictures, and they show what was asked for."""

import struct
import xml.etree.ElementTree as ET
import zlib

import anndata as ad
import numpy as np
import pytest
from PIL import Image

from command import cellmill, ok, refused

KEY = "Leukocytes [G over L], or not"


@pytest.fixture(scope="module")
def file(run, tmp_path_factory):
    """A result with an awkward column, colours of its own, and many categories."""
    adata = ad.read_h5ad(run("synthetic"))
    rng = np.random.default_rng(0)
    adata.obs[KEY] = rng.normal(size=adata.n_obs)
    adata.obs["many"] = [f"category number {i}" for i in rng.integers(0, 150, adata.n_obs)]
    adata.uns["type_colors"] = np.array(
        ["#ff0000", "#00ff00", "#0000ff", "#ff00ff", "#00ffff", "#ffff00"]
    )
    path = tmp_path_factory.mktemp("plot") / "result.h5ad"
    adata.write_h5ad(path)
    return path


def pictures(folder) -> dict[str, np.ndarray]:
    """The PNG files of a folder, decoded; the SVG files must parse."""
    found = {}
    for path in sorted(folder.iterdir()):
        assert path.stat().st_size > 500, f"{path} is empty"
        if path.suffix == ".png":
            found[path.name] = np.asarray(Image.open(path).convert("RGB"))
        else:
            assert path.suffix == ".svg"
            assert ET.parse(path).getroot().tag.endswith("svg")
    return found


def shades(image: np.ndarray) -> int:
    return len(np.unique(image.reshape(-1, 3), axis=0))


@pytest.mark.parametrize("color", ["leiden", "type", KEY, "many", "gene3"])
def test_one_colour(color, file, tmp_path):
    ok("plot", file, "--color", color, "-o", tmp_path, "--format", "png,svg")
    names = sorted(p.suffix for p in tmp_path.iterdir())
    assert names == [".png", ".svg"]
    (image,) = pictures(tmp_path).values()
    assert min(image.shape[:2]) >= 300
    assert shades(image) > 20
    inked = (image < 250).any(axis=2).mean()
    assert 0.01 < inked < 0.95


def test_several_colours_and_both_bases(file, tmp_path):
    ok("plot", file, "--color", "leiden", "--color", KEY, "-o", tmp_path, "--format", "png")
    ok("plot", file, "--color", "leiden", "-o", tmp_path, "--format", "png", "--basis", "pca")
    found = pictures(tmp_path)
    assert len(found) == 3, list(found)
    assert any("umap" in name for name in found)
    assert any("pca" in name for name in found)
    assert sum("leiden" in name for name in found) == 2


def test_names_are_safe(file, tmp_path):
    """A column's name does not lead out of the folder."""
    adata = ad.read_h5ad(file)
    adata.obs["a|..\\b: c?*"] = np.arange(adata.n_obs)
    path = tmp_path / "r.h5ad"
    adata.write_h5ad(path)
    figs = tmp_path / "figs"
    ok("plot", path, "--color", "a|..\\b: c?*", "-o", figs, "--format", "png")
    assert len(list(figs.iterdir())) == 1


@pytest.mark.parametrize("kind", ["pca_variance", "hvg"])
def test_other_kinds(kind, file, tmp_path):
    ok("plot", file, "--kind", kind, "-o", tmp_path)
    assert any(p.suffix == ".png" for p in tmp_path.iterdir())
    for image in pictures(tmp_path).values():
        assert shades(image) > 3


def test_colours_in_uns_are_honoured(file, tmp_path):
    ok("plot", file, "--color", "type", "-o", tmp_path, "--format", "png")
    (image,) = pictures(tmp_path).values()
    flat = image.reshape(-1, 3).astype(int)
    pure = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    for colour in pure:
        near = (np.abs(flat - colour).max(axis=1) <= 40).sum()
        assert near > 20, f"{colour} is not in the picture"


def test_text_of_the_svg(file, tmp_path):
    ok("plot", file, "--color", "type", "-o", tmp_path, "--format", "svg")
    (path,) = tmp_path.iterdir()
    text = path.read_text()
    for name in ad.read_h5ad(file).obs["type"].cat.categories:
        assert name in text


def test_equal_bytes(file, tmp_path):
    for folder in ("a", "b"):
        ok("plot", file, "--color", "leiden", "-o", tmp_path / folder)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_gene_from_another_matrix(file, tmp_path):
    for matrix in ("X", "layers/counts"):
        folder = tmp_path / matrix.replace("/", "-")
        ok("plot", file, "--color", "gene3", "--matrix", matrix, "-o", folder, "--format", "png")
        assert pictures(folder)


def test_run_draws_too(tmp_path):
    from datasets import dataset

    figs = tmp_path / "figs"
    ok(
        "run", dataset("synthetic"), "-o", tmp_path / "r.h5ad", "--quiet", "--epochs", 20,
        "--color", "leiden", "--color", "type", "--figs", figs,
    )  # fmt: skip
    names = " ".join(p.name for p in figs.iterdir())
    assert "leiden" in names
    assert "type" in names
    pictures(figs)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--color", "nobody"], "nobody"),
        (["--color", "leiden", "--basis", "tsne"], "tsne"),
    ],
)
def test_refusals(options, word, file, tmp_path):
    refused("plot", file, *options, "-o", tmp_path / "figs", names=[word])
    assert not (tmp_path / "figs").exists() or not list((tmp_path / "figs").iterdir())


def test_formats_that_are_not_written(file, tmp_path):
    done = cellmill("plot", file, "--color", "leiden", "--format", "gif", "-o", tmp_path / "figs")
    assert done.code == 2
    assert "gif" in done.err
    assert not (tmp_path / "figs").exists()


def test_png_is_well_formed(file, tmp_path):
    ok("plot", file, "--color", "leiden", "-o", tmp_path, "--format", "png")
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, kinds = 8, []
    while place < len(data):
        (size,) = struct.unpack(">I", data[place : place + 4])
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        (crc,) = struct.unpack(">I", data[place + 8 + size : place + 12 + size])
        assert zlib.crc32(kind + body) == crc
        kinds.append(kind)
        place += 12 + size
    assert kinds[-1] == b"IEND"
