"""The same cells in every format: the same result."""

import gzip
import json
import shutil

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import io, sparse

from command import ok, refused
from datasets import made, real, synthetic

OPTIONS = ["--n-top-genes", 300, "--n-comps", 20, "--epochs", 20, "--quiet"]
FORMATS = [
    *["csc", "dense", "dense-chunked", "10x-v3", "10x-v2", "mtx", "mtx-gz"],
    *["zarr-v2", "zarr-v3", "zarr-sharded", "zarr-csc", "zarr-dense"],
]


def cells() -> ad.AnnData:
    """1,000 cells of pbmc3k, or made ones where it is absent."""
    try:
        adata = ad.read_h5ad(real("human_pbmc/pbmc3k_raw_csr.h5ad"))[:1000].copy()
    except pytest.skip.Exception:
        adata = synthetic(cells=1000, genes=1500)
    adata.X = sparse.csr_matrix(adata.X, dtype=np.float32)
    adata.X.sort_indices()
    adata.obs = pd.DataFrame(index=adata.obs_names)
    adata.var = pd.DataFrame(
        {
            "gene_ids": [f"ENSG{i:011}" for i in range(adata.n_vars)],
            "feature_types": ["Gene Expression"] * adata.n_vars,
        },
        index=adata.var_names,
    )
    return adata


def tenx_h5(path, adata, version, genomes=("hg19",)):
    x = sparse.csr_matrix(adata.X)
    with h5py.File(path, "w") as file:
        for genome in genomes:
            group = file.create_group("matrix" if version == 3 else genome)
            group["barcodes"] = np.array(adata.obs_names, dtype="S")
            group.create_dataset(
                "data", data=x.data.astype(np.int32), chunks=(min(8000, x.nnz),), compression="gzip"
            )
            group.create_dataset(
                "indices",
                data=x.indices.astype(np.int64),
                chunks=(min(8000, x.nnz),),
                compression="gzip",
            )
            group["indptr"] = x.indptr.astype(np.int64)
            group["shape"] = np.array([adata.n_vars, adata.n_obs], dtype=np.int32)
            names = np.array(adata.var_names, dtype="S")
            ids = np.array(adata.var["gene_ids"], dtype="S")
            if version == 3:
                features = group.create_group("features")
                features["name"], features["id"] = names, ids
                features["feature_type"] = np.array(adata.var["feature_types"], dtype="S")
                features["genome"] = np.array(["hg19"] * adata.n_vars, dtype="S")
                features["_all_tag_keys"] = np.array(["genome"], dtype="S")
            else:
                group["gene_names"], group["genes"] = names, ids
    return path


def mtx(folder, adata, packed, version=3):
    folder.mkdir()
    x = sparse.coo_matrix(sparse.csr_matrix(adata.X).T.astype(np.int32))
    order = np.lexsort((-x.row, x.col))
    x = sparse.coo_matrix((x.data[order], (x.row[order], x.col[order])), shape=x.shape)
    io.mmwrite(folder / "matrix.mtx", x, field="integer")
    types = adata.var["feature_types"] if version == 3 else None
    lines = [
        "\t".join([i, n] + ([types.iloc[k]] if version == 3 else []))
        for k, (i, n) in enumerate(zip(adata.var["gene_ids"], adata.var_names, strict=True))
    ]
    name = "features.tsv" if version == 3 else "genes.tsv"
    (folder / name).write_text("\n".join(lines) + "\n")
    (folder / "barcodes.tsv").write_text("\n".join(adata.obs_names) + "\n")
    if packed:
        for file in list(folder.iterdir()):
            with gzip.open(f"{file}.gz", "wb") as out:
                out.write(file.read_bytes())
            file.unlink()
    return folder


def write(folder, adata, name):
    path = folder / f"{name}.h5ad"
    match name:
        case "csr":
            adata.write_h5ad(path, compression="gzip")
        case "csc":
            copy = adata.copy()
            copy.X = sparse.csc_matrix(copy.X)
            copy.write_h5ad(path, compression="gzip")
        case "dense":
            copy = adata.copy()
            copy.X = copy.X.toarray()
            copy.write_h5ad(path)
        case "dense-chunked":
            copy = adata.copy()
            copy.X = copy.X.toarray()
            copy.write_h5ad(path, compression="gzip")
        case "10x-v3" | "10x-v2":
            return tenx_h5(folder / f"{name}.h5", adata, int(name[-1]))
        case "mtx" | "mtx-gz":
            return mtx(folder / name, adata, name == "mtx-gz")
        case _:
            path = folder / f"{name}.zarr"
            copy = adata.copy()
            make = {"zarr-csc": sparse.csc_matrix, "zarr-dense": lambda x: x.toarray()}
            copy.X = make.get(name, sparse.csr_matrix)(copy.X)
            sharded = name == "zarr-sharded"
            version = 2 if name == "zarr-v2" else 3
            with ad.settings.override(zarr_write_format=version, auto_shard_zarr_v3=sharded):
                copy.write_zarr(path)
    return path


def small(adata, n_cells, n_genes) -> ad.AnnData:
    """The first cells, and the genes with the most counts."""
    totals = np.asarray(adata.X.sum(axis=0)).ravel()
    genes = np.sort(np.argsort(-totals, kind="stable")[:n_genes])
    return adata[:n_cells, genes].copy()


@pytest.fixture(scope="module")
def adata():
    return cells()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("formats")


@pytest.fixture(scope="module")
def reference(adata, folder):
    path = write(folder, adata, "csr")
    ok("run", path, "-o", folder / "csr-result.h5ad", *OPTIONS)
    return ad.read_h5ad(folder / "csr-result.h5ad")


@pytest.mark.parametrize("name", FORMATS)
def test_run_is_the_same(name, adata, folder, reference):
    path = write(folder, adata, name)
    info = json.loads(ok("info", path, "--json").out)
    assert (info["n_obs"], info["n_vars"]) == adata.shape
    target = folder / f"{name}-result.h5ad"
    ok("run", path, "-o", target, *OPTIONS)
    found = ad.read_h5ad(target)
    assert list(found.obs_names) == list(adata.obs_names)
    assert list(found.var_names) == list(adata.var_names)
    assert list(found.var["gene_ids"].astype(str)) == list(adata.var["gene_ids"])
    assert (found.layers["counts"] != adata.X).nnz == 0
    assert (found.var["highly_variable"] == reference.var["highly_variable"]).all()
    if "dense" in name:
        # Blocks begin elsewhere: sums are rounded otherwise.
        np.testing.assert_allclose(found.X.toarray(), reference.X.toarray(), rtol=1e-6)
        np.testing.assert_allclose(
            found.obsm["X_pca"], reference.obsm["X_pca"], rtol=2e-3, atol=1e-3
        )
    else:
        assert (found.X != reference.X).nnz == 0
        assert (found.obsm["X_pca"] == reference.obsm["X_pca"]).all()
        assert (found.obsm["X_umap"] == reference.obsm["X_umap"]).all()
        assert (found.obs["leiden"] == reference.obs["leiden"]).all()


@pytest.mark.parametrize("name", FORMATS)
def test_blocks_of_seven_rows(name, adata, tmp_path):
    results = []
    for kind in ("csr", name):
        source = write(tmp_path, adata, kind)
        target = tmp_path / "seven.h5ad"
        ok("hvg", source, "-o", target, "--block-rows", 7, "--force", "--quiet")
        results.append(ad.read_h5ad(target).var[["means", "dispersions"]].to_numpy())
    # The same blocks: the same bits.
    np.testing.assert_array_equal(*results)


def test_plan_counts_the_turning(adata, tmp_path):
    plan = json.loads(ok("plan", write(tmp_path, adata, "csc"), "--json", "--n-comps", 20).out)
    assert plan["reads"] == 3
    assert plan["stages"][0]["name"] == "turning the matrix around"
    assert plan["scratch"] > 8 * adata.X.nnz
    plan = json.loads(ok("plan", write(tmp_path, adata, "csr"), "--json", "--n-comps", 20).out)
    assert plan["reads"] == 2


def test_csc_within_a_budget(tmp_path):
    adata = ad.read_h5ad(made("formats", lambda: synthetic(cells=12_000, genes=2000)))
    paths = []
    for name in ("csr", "csc"):
        paths.append(write(tmp_path, adata, name))
    for path in paths:
        target = tmp_path / f"{path.stem}-result.h5ad"
        ok("hvg", path, "-o", target, "--memory", "160MB", "--threads", 1, "--quiet")
    one, two = (ad.read_h5ad(tmp_path / f"{p.stem}-result.h5ad") for p in paths)
    pd.testing.assert_frame_equal(one.var, two.var)


def test_several_genomes_are_a_choice(adata, tmp_path):
    few_cells = small(adata, 200, 300)
    path = tenx_h5(tmp_path / "two.h5", few_cells, 2, ("hg19", "mm10"))
    few = ["--n-top-genes", 80, "--n-comps", 5, "--epochs", 20, "--quiet"]
    ok("run", path, "-o", tmp_path / "out.h5ad", "--matrix", "mm10", *few)
    assert ad.read_h5ad(tmp_path / "out.h5ad").shape == few_cells.shape
    refused(
        "run", path, "-o", tmp_path / "no.h5ad", "--matrix", "dog", *few, names=["hg19", "mm10"]
    )


def test_annotations_are_scanpys(adata, tmp_path):
    """obs and var as scanpy reads them."""
    for path, read in (
        (write(tmp_path, adata, "10x-v3"), sc.read_10x_h5),
        (write(tmp_path, adata, "10x-v2"), sc.read_10x_h5),
    ):
        theirs = read(path)
        target = tmp_path / "annotations.h5ad"
        ok("hvg", path, "-o", target, "--force", "--quiet")
        ours = ad.read_h5ad(target)
        assert list(ours.var_names) == list(theirs.var_names)
        assert list(ours.obs_names) == list(theirs.obs_names)
        for column in theirs.var:
            assert list(ours.var[column].astype(str)) == list(theirs.var[column].astype(str))


BROKEN_MTX = {
    "banner": (
        lambda lines: ["%%MatrixMarket matrix array real general", *lines[1:]],
        "MatrixMarket",
    ),
    "sizes": (lambda lines: [*lines[:2], "5 5", *lines[3:]], "sizes"),
    "too few entries": (lambda lines: lines[:-3], "entries"),
    "too many entries": (lambda lines: [*lines, "1 1 1"], "one more"),
    "a gene beyond the last": (lambda lines: [*lines[:-1], "999999 1 1"], "gene"),
    "a cell numbered 0": (lambda lines: [*lines[:-1], "1 0 1"], "cell"),
    "text for a number": (lambda lines: [*lines[:-1], "1 1 many"], "many"),
}


@pytest.mark.parametrize("how", BROKEN_MTX)
def test_broken_mtx(how, adata, tmp_path):
    folder = mtx(tmp_path / "mtx", small(adata, 50, 60), False)
    change, word = BROKEN_MTX[how]
    path = folder / "matrix.mtx"
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    refused("run", folder, "-o", tmp_path / "no.h5ad", names=["matrix.mtx", word], leaves=tmp_path)


def test_unsorted_mtx_is_turned_around(adata, tmp_path):
    few_cells = small(adata, 300, 500)
    folder = mtx(tmp_path / "mtx", few_cells, False)
    path = folder / "matrix.mtx"
    lines = path.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if not line.startswith("%")) + 1
    rng = np.random.default_rng(1)
    path.write_text("\n".join([*lines[:start], *rng.permutation(lines[start:])]) + "\n")
    few = ["--n-top-genes", 80, "--n-comps", 5, "--epochs", 20, "--quiet"]
    ok("run", folder, "-o", tmp_path / "out.h5ad", *few)
    assert (ad.read_h5ad(tmp_path / "out.h5ad").layers["counts"] != few_cells.X).nnz == 0


def test_mtx_whose_parts_contradict_each_other(adata, tmp_path):
    folder = mtx(tmp_path / "mtx", small(adata, 50, 60), True)
    barcodes = folder / "barcodes.tsv.gz"
    whole = barcodes.read_bytes()
    with gzip.open(barcodes, "wb") as file:
        file.write(b"AAA\nCCC\n")
    out = ["-o", tmp_path / "no.h5ad"]
    refused("run", folder, *out, names=["barcodes.tsv.gz", "50"], leaves=tmp_path)
    barcodes.write_bytes(whole)
    packed = folder / "matrix.mtx.gz"
    packed.write_bytes(packed.read_bytes()[:-40])
    refused("run", folder, *out, names=["matrix.mtx.gz", "truncated"], leaves=tmp_path)
    (folder / "features.tsv.gz").unlink()
    refused("run", folder, *out, names=["features.tsv"], leaves=tmp_path)


@pytest.mark.parametrize("part", ["barcodes", "indptr", "features/name", "shape"])
def test_10x_without_a_part(part, adata, tmp_path):
    path = tenx_h5(tmp_path / "x.h5", small(adata, 50, 60), 3)
    with h5py.File(path, "r+") as file:
        del file[f"matrix/{part}"]
    refused("run", path, "-o", tmp_path / "no.h5ad", names=["x.h5"], leaves=tmp_path)


def test_10x_that_contradicts_itself(adata, tmp_path):
    path = tenx_h5(tmp_path / "x.h5", small(adata, 50, 60), 3)
    other = shutil.copy(path, tmp_path / "y.h5")
    with h5py.File(path, "r+") as file:
        file["matrix/shape"][:] = [60, 49]
    refused("run", path, "-o", tmp_path / "no.h5ad", names=["50 barcodes", "49"], leaves=tmp_path)
    with h5py.File(other, "r+") as file:
        file["matrix/indices"][3] = 60
    refused(
        "run", other, "-o", tmp_path / "no.h5ad", names=["indices", "below 60"], leaves=tmp_path
    )


@pytest.mark.parametrize("how", ["no metadata", "cut chunk", "cut JSON", "no obs", "short indptr"])
def test_broken_zarr(how, adata, tmp_path):
    path = write(tmp_path, small(adata, 50, 60), "zarr-v3")
    match how:
        case "no metadata":
            (path / "zarr.json").unlink()
        case "cut chunk":
            chunk = path / "X/data/c/0"
            chunk.write_bytes(chunk.read_bytes()[:-20])
        case "cut JSON":
            file = path / "X/data/zarr.json"
            file.write_text(file.read_text()[:50])
        case "no obs":
            shutil.rmtree(path / "obs")
        case "short indptr":
            file = path / "X/indptr/zarr.json"
            file.write_text(file.read_text().replace("51", "50"))
    refused("run", path, "-o", tmp_path / "no.h5ad", names=["zarr-v3.zarr"], leaves=tmp_path)


@pytest.mark.parametrize("join", ["inner", "outer"])
def test_several_files_are_anndatas_concat(join, tmp_path):
    """As `anndata.concat`, of files in different formats with different genes."""
    whole = synthetic(cells=600, genes=300)
    whole.var["gene_ids"] = [f"E{i}" for i in range(300)]
    parts, files = {}, []
    for i, name in enumerate(["csr", "csc", "dense"]):
        rng = np.random.default_rng(i)
        part = whole[i * 200 : i * 200 + 200, rng.permutation(300)[: 280 - i]].copy()
        files.append(write(tmp_path, part, name))
        parts[name] = part
    target = tmp_path / "out.h5ad"
    few = ["--n-top-genes", 80, "--n-comps", 5, "--epochs", 20, "--quiet"]
    ok("run", *files, "-o", target, "--batch-column", "sample", "--join", join, *few)
    found = ad.read_h5ad(target)
    expected = ad.concat(parts, label="sample", join=join)
    assert list(found.obs_names) == list(expected.obs_names)
    assert list(found.var_names) == list(expected.var_names)
    assert list(found.obs["sample"]) == list(expected.obs["sample"])
    assert list(found.obs["type"]) == list(expected.obs["type"])
    assert (found.layers["counts"] != sparse.csr_matrix(expected.X)).nnz == 0
    assert list(found.var["gene_ids"]) == [f"E{n[4:]}" for n in found.var_names]
    one = tmp_path / "one.h5ad"
    expected.X = sparse.csr_matrix(expected.X)
    expected.write_h5ad(one)
    ok("run", one, "-o", tmp_path / "one-result.h5ad", *few)
    reference = ad.read_h5ad(tmp_path / "one-result.h5ad")
    assert (found.var["highly_variable"] == reference.var["highly_variable"]).all()
    np.testing.assert_allclose(found.X.toarray(), reference.X.toarray(), rtol=1e-6)


def test_several_files_that_cannot_be_put_together(tmp_path):
    a, b = synthetic(cells=100, genes=80), synthetic(cells=100, genes=80)
    b.var_names = [f"other{i}" for i in range(80)]
    a.obs["sample"] = "x"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    files = [write(tmp_path / "a", a, "csr"), write(tmp_path / "b", b, "csr")]
    out = ["-o", tmp_path / "out.h5ad", "--n-comps", 5]
    refused("run", *files, *out, names=["no gene in common"], leaves=tmp_path)
    c = a.copy()
    c.var_names = ["gene0", *c.var_names[1:-1], "gene0"]
    files[1] = write(tmp_path / "b", c, "csr")
    refused("run", *files, *out, names=["gene0", "twice"], leaves=tmp_path)
