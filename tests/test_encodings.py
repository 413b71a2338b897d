"""Every way to store a matrix gives the same numbers; every element survives a run."""

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata.tests.helpers import assert_equal
from scipy import sparse

from command import cellmill, message, ok
from datasets import synthetic
from files import write

SMALL = ["--n-top-genes", 80, "--n-comps", 10, "--epochs", 20]


@pytest.fixture(scope="module")
def counts() -> sparse.csr_matrix:
    x = synthetic(cells=400, genes=150, types=3, seed=5).X
    x.data = np.minimum(x.data, 120)
    return x


@pytest.fixture(scope="module")
def expected(counts, tmp_path_factory) -> ad.AnnData:
    folder = tmp_path_factory.mktemp("encodings")
    return go(write(folder / "plain.h5ad", counts))


def go(path, *options) -> ad.AnnData:
    target = path.with_name("result-" + path.name)
    ok("run", path, "-o", target, "--quiet", *SMALL, *options)
    return ad.read_h5ad(target)


def same_numbers(ours: ad.AnnData, expected: ad.AnnData):
    assert ours.shape == expected.shape
    assert (ours.X != expected.X).nnz == 0
    assert abs(ours.layers["counts"].astype(np.float64) - expected.layers["counts"]).max() == 0
    for column in ("highly_variable", "means", "dispersions", "dispersions_norm"):
        np.testing.assert_array_equal(ours.var[column], expected.var[column])
    for key in ("X_pca", "X_umap"):
        np.testing.assert_array_equal(ours.obsm[key], expected.obsm[key])
    assert ours.obs["leiden"].equals(expected.obs["leiden"])


KINDS = [
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float32",
    "float64",
]


@pytest.mark.parametrize("dtype", KINDS)
def test_dtypes_of_data(dtype, counts, expected, tmp_path):
    path = write(tmp_path / "m.h5ad", counts, data=counts.data.astype(dtype))
    ours = go(path)
    same_numbers(ours, expected)
    assert ours.layers["counts"].dtype == dtype


def same_embedding(path, expected: ad.AnnData):
    """For counts that anndata itself does not read, and that the result keeps as they are."""
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["obsm/X_pca"][()], expected.obsm["X_pca"])
        np.testing.assert_array_equal(file["X/data"][()], expected.X.data)


@pytest.mark.parametrize("dtype", ["float16", "bool"])
def test_rare_dtypes_of_data(dtype, counts, expected, tmp_path):
    """Read, or refused with a sentence that names the dtype's place."""
    path = write(tmp_path / "m.h5ad", counts, data=counts.data.astype(dtype))
    done = cellmill("run", path, "-o", tmp_path / "r.h5ad", *SMALL, "--quiet")
    if done.code:
        assert "X/data" in message(done)
    elif dtype == "float16":
        same_embedding(tmp_path / "r.h5ad", expected)


@pytest.mark.parametrize("order", ["<", ">"])
def test_byte_order(order, counts, expected, tmp_path):
    path = write(
        tmp_path / "m.h5ad",
        counts,
        data=counts.data.astype(f"{order}f4"),
        indices=counts.indices.astype(f"{order}i4"),
        indptr=counts.indptr.astype(f"{order}i8"),
    )
    ok("run", path, "-o", tmp_path / "r.h5ad", *SMALL, "--quiet")
    same_embedding(tmp_path / "r.h5ad", expected)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
)
def test_dtypes_of_indices(dtype, counts, expected, tmp_path):
    path = write(tmp_path / "m.h5ad", counts, indices=counts.indices.astype(dtype))
    same_numbers(go(path), expected)


@pytest.mark.parametrize("dtype", ["uint16", "int32", "uint32", "int64", "uint64"])
def test_dtypes_of_indptr(dtype, counts, expected, tmp_path):
    path = write(tmp_path / "m.h5ad", counts, indptr=counts.indptr.astype(dtype))
    same_numbers(go(path), expected)


STORES = {
    "contiguous": {},
    "chunks": {"chunks": (1000,)},
    "chunks of 7": {"chunks": (7,)},
    "one chunk": {"chunks": True, "maxshape": (None,)},
    "gzip": {"chunks": (997,), "compression": "gzip"},
    "gzip 9": {"chunks": (997,), "compression": "gzip", "compression_opts": 9},
    "gzip 0": {"chunks": (997,), "compression": "gzip", "compression_opts": 0},
    "gzip, shuffle": {"chunks": (997,), "compression": "gzip", "shuffle": True},
    "shuffle": {"chunks": (997,), "shuffle": True},
    "lzf": {"chunks": (997,), "compression": "lzf"},
    "lzf, shuffle": {"chunks": (997,), "compression": "lzf", "shuffle": True},
    "gzip, checksum": {"chunks": (997,), "compression": "gzip", "fletcher32": True},
    "checksum": {"chunks": (997,), "fletcher32": True},
}


@pytest.mark.parametrize("store", STORES)
def test_stores(store, counts, expected, tmp_path):
    same_numbers(go(write(tmp_path / "m.h5ad", counts, **STORES[store])), expected)


def test_scale_offset(counts, expected, tmp_path):
    """A filter that only the library knows: read, or refused by the filter's name."""
    path = write(
        tmp_path / "m.h5ad",
        counts,
        data=counts.data.astype(np.int32),
        chunks=(997,),
        scaleoffset=0,
    )
    done = cellmill("run", path, "-o", tmp_path / "r.h5ad", *SMALL, "--quiet")
    if done.code:
        assert "scale" in message(done).lower()
    else:
        same_numbers(ad.read_h5ad(tmp_path / "r.h5ad"), expected)


def test_unknown_filter(counts, tmp_path):
    """A filter that nobody here has (id 32015, zstd) is named."""
    path = tmp_path / "m.h5ad"
    write(path, counts)
    with h5py.File(path, "r+") as file:
        del file["X/data"]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((997,))
        plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
        space = h5py.h5s.create_simple((counts.nnz,))
        node = h5py.h5d.create(file["X"].id, b"data", h5py.h5t.IEEE_F32LE, space, plist)
        for start in range(0, counts.nnz, 997):
            part = np.zeros(997, np.float32)
            own = counts.data[start : start + 997]
            part[: len(own)] = own
            node.write_direct_chunk((start,), part.tobytes(), filter_mask=0)
    sentence = message(cellmill("run", path, "-o", tmp_path / "r.h5ad"))
    assert "32015" in sentence or "zstd" in sentence.lower()
    assert "X/data" in sentence


def test_chunks_that_skip_their_filter(counts, expected, tmp_path):
    """HDF5 may store single chunks without the dataset's filter; the mask says so."""
    path = tmp_path / "m.h5ad"
    write(path, counts, chunks=(1000,), compression="gzip")
    with h5py.File(path, "r+") as file:
        node = file["X/data"]
        for start in range(0, counts.nnz - 1000, 3000):
            part = counts.data[start : start + 1000].astype("<f4")
            node.id.write_direct_chunk((start,), part.tobytes(), filter_mask=1)
    same_numbers(go(path), expected)


def test_chunks_that_were_never_written(counts, tmp_path):
    """They hold the fill value: explicit zeros, here."""
    path = tmp_path / "m.h5ad"
    write(path, counts)
    with h5py.File(path, "r+") as file:
        del file["X/data"]
        node = file["X"].create_dataset(
            "data", shape=(counts.nnz,), dtype="f4", chunks=(1000,), compression="gzip"
        )
        end = (counts.nnz - 5000) // 1000 * 1000
        node[:end] = counts.data[:end]
        assert node.id.get_num_chunks() == end // 1000
    whole = counts.copy()
    whole.data = np.r_[counts.data[:end], np.zeros(counts.nnz - end, np.float32)]
    ours = go(path)
    assert abs(ours.layers["counts"] - whole).max() == 0
    assert ours.X.data.min() >= 0


@pytest.mark.parametrize("size", [512, 4096])
def test_user_block(size, counts, expected, tmp_path):
    same_numbers(
        go(write(tmp_path / "m.h5ad", counts, userblock=size, chunks=(997,), compression="gzip")),
        expected,
    )


def test_newest_format_of_the_library(counts, expected, tmp_path):
    """Files written with libver='latest' index their chunks in other ways."""
    path = tmp_path / "m.h5ad"
    plain = write(tmp_path / "plain.h5ad", counts, chunks=(997,), compression="gzip")
    with h5py.File(plain) as old, h5py.File(path, "w", libver="latest") as new:
        for key in old:
            old.copy(key, new)
        for key, value in old.attrs.items():
            new.attrs[key] = value
        del new["X/data"], new["X/indices"]
        for name, values, grow in [
            ("data", counts.data, None),
            ("indices", counts.indices, counts.nnz),
        ]:
            new["X"].create_dataset(
                name, data=values, chunks=(997,), compression="gzip", maxshape=(grow,)
            )
    same_numbers(go(path), expected)


def test_unsorted_rows(counts, expected, tmp_path):
    rng = np.random.default_rng(0)
    shuffled = counts.copy()
    for i in range(shuffled.shape[0]):
        row = slice(*shuffled.indptr[i : i + 2])
        order = rng.permutation(row.stop - row.start)
        shuffled.indices[row] = shuffled.indices[row][order]
        shuffled.data[row] = shuffled.data[row][order]
    ours = go(write(tmp_path / "m.h5ad", shuffled))
    for column in ("means", "dispersions"):
        np.testing.assert_allclose(ours.var[column], expected.var[column], rtol=1e-9)
    assert (ours.var["highly_variable"] == expected.var["highly_variable"]).all()
    assert abs(ours.X - expected.X).max() == 0
    np.testing.assert_allclose(ours.obsm["X_pca"], expected.obsm["X_pca"], atol=1e-4)


def test_duplicates(counts, expected, tmp_path):
    """An entry stored in two parts is summed, or the file is refused and the row named."""
    parts = counts.tocoo()
    big = parts.data > 1
    row = np.r_[parts.row, parts.row[big]]
    col = np.r_[parts.col, parts.col[big]]
    data = np.r_[parts.data - big, np.ones(big.sum(), np.float32)]
    order = np.lexsort((col, row))
    indptr = np.searchsorted(row[order], np.arange(counts.shape[0] + 1))
    path = write(tmp_path / "m.h5ad", counts, data=data[order], indices=col[order], indptr=indptr)
    done = cellmill("run", path, "-o", tmp_path / "r.h5ad", *SMALL, "--quiet")
    if done.code:
        sentence = message(done)
        assert "twice" in sentence or "duplicate" in sentence.lower()
        assert not (tmp_path / "r.h5ad").exists()
    else:
        ours = ad.read_h5ad(tmp_path / "r.h5ad")
        np.testing.assert_allclose(ours.var["means"], expected.var["means"], rtol=1e-9)
        np.testing.assert_allclose(ours.var["dispersions"], expected.var["dispersions"], rtol=1e-9)
        assert abs(ours.X - expected.X).max() < 1e-6


def test_explicit_zeros(counts, expected, tmp_path):
    dense = counts.toarray()
    full = sparse.csr_matrix(np.ones_like(dense))
    full.data = dense.ravel().astype(np.float32)
    ours = go(write(tmp_path / "m.h5ad", full))
    for column in ("means", "dispersions"):
        np.testing.assert_allclose(ours.var[column], expected.var[column], rtol=1e-9)
    assert abs(ours.X - expected.X).max() == 0


def test_cells_and_genes_without_counts(counts, tmp_path):
    """Kept, counted in a warning, with scanpy's values."""
    from check_hvg import check_hvg
    from scanpy_reference import variable

    dense = counts.toarray()
    dense[[0, 17, 399]] = 0
    dense[:, [0, 33, 149]] = 0
    x = sparse.csr_matrix(dense)
    path = write(tmp_path / "m.h5ad", x)
    target = tmp_path / "result.h5ad"
    done = ok("run", path, "-o", target, *SMALL)
    ours = ad.read_h5ad(target)
    assert ours.shape == x.shape
    assert ours.X[[0, 17, 399]].nnz == 0
    assert np.isfinite(ours.X.data).all()
    assert np.isfinite(ours.obsm["X_pca"]).all()
    assert np.isfinite(ours.obsm["X_umap"]).all()
    check_hvg(ours.var, variable(x, n_top_genes=80).var, cut=80)
    assert ours.var["dispersions"].isna().sum() == 3
    warned = [line for line in done.text.splitlines() if "3" in line and "cell" in line]
    assert warned, f"the cells without counts are counted in a warning:\n{done.text}"


def elements() -> ad.AnnData:
    """An AnnData with everything that anndata can hold and cellmill does not use."""
    rng = np.random.default_rng(3)
    n, m = 400, 150
    obs = pd.DataFrame(index=pd.Index([f"zelle-{i}-é" for i in range(n)], name="barcode"))
    obs["int"] = np.arange(n)
    obs["float"] = rng.normal(size=n)
    obs["float32"] = rng.normal(size=n).astype(np.float32)
    obs["bool"] = rng.random(n) > 0.5
    obs["text"] = pd.array([f"t{i % 7} ü" for i in range(n)], dtype=object)
    obs["cat"] = pd.Categorical(rng.choice(["b", "a", "c d/e"], n))
    obs["ordered"] = pd.Categorical(rng.choice(["lo", "hi"], n), ["lo", "mid", "hi"], ordered=True)
    obs["missing"] = pd.Categorical(np.where(rng.random(n) > 0.5, "x", None))
    obs["int categories"] = pd.Categorical(rng.integers(0, 300, n))
    obs["nullable int"] = pd.array(np.where(rng.random(n) > 0.5, 1, None), dtype="Int32")
    obs["nullable bool"] = pd.array(np.where(rng.random(n) > 0.5, True, None), dtype="boolean")
    obs["leiden [old, new]"] = pd.Categorical(rng.choice(["0", "1"], n))
    var = pd.DataFrame({"score": rng.normal(size=m)}, index=[f"gene{i}" for i in range(m)])
    return ad.AnnData(
        obs=obs,
        var=var,
        obsm={
            "X_latent": rng.normal(size=(n, 4)),
            "frame": pd.DataFrame({"a": rng.normal(size=n)}, index=obs.index),
            "sparse": sparse.random(n, 6, 0.2, format="csr", rng=rng),
        },
        varm={"other": rng.normal(size=(m, 2))},
        obsp={"mine": sparse.random(n, n, 0.01, format="csr", rng=rng)},
        varp={"mine": sparse.random(m, m, 0.01, format="csc", rng=rng)},
        layers={
            "extra": sparse.random(n, m, 0.1, format="csc", rng=rng),
            "dense": rng.normal(size=(n, m)),
        },
        uns={
            "title": "Ein Atlas, schön: 図",
            "number": 3,
            "real": 2.5,
            "flag": True,
            "nested": {
                "deep": {"er": {"x": np.arange(5), "text": np.array(["a", "b"], dtype=object)}}
            },
            "empty": {},
            "frame": pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
            "csr": sparse.random(5, 5, 0.5, format="csr", rng=rng),
            "records": np.rec.fromarrays(
                [np.array(["g1", "g2"], dtype="U2"), np.array([1.5, 2.5], np.float32)],
                names=["names", "scores"],
            ),
            "3d": rng.normal(size=(2, 3, 4)),
            "empty array": np.array([], dtype=np.float64),
        },
    )


def test_everything_else_survives(counts, tmp_path):
    source = elements()
    source.X = counts.copy()
    path = tmp_path / "m.h5ad"
    source.write_h5ad(path, compression="gzip")
    before = ad.read_h5ad(path)
    ours = go(path)
    for where in ("obs", "var"):
        left, right = getattr(ours, where), getattr(before, where)
        assert list(left.columns)[: right.shape[1]] == list(right.columns)
        assert left.index.equals(right.index)
        assert left.index.name == right.index.name
        for column in right:
            pd.testing.assert_series_equal(left[column], right[column])
    for where in ("obsm", "varm", "obsp", "varp", "layers"):
        for key, value in getattr(before, where).items():
            if key is None:
                continue  # anndata lists X among the layers
            assert_equal(getattr(ours, where)[key], value, exact=True)
    for key, value in before.uns.items():
        assert_equal(ours.uns[key], value, exact=True)


def test_null_entries_are_left_out(counts, tmp_path):
    """anndata before 0.12 reads no null, so a result holds none."""
    path = write(tmp_path / "m.h5ad", counts)
    adata = ad.read_h5ad(path)
    adata.uns["method"] = {"layer": None, "kept": 1}
    adata.write_h5ad(path)
    ours = go(path)
    assert ours.uns["method"] == {"kept": 1}


@pytest.mark.parametrize("form", ["string-array", "nullable-string-array"])
def test_forms_of_the_index(form, counts, expected, tmp_path):
    path = write(tmp_path / "m.h5ad", counts)
    if form != "string-array":
        with h5py.File(path, "r+") as file:
            for name in ("obs", "var"):
                values = file[f"{name}/_index"][()]
                del file[f"{name}/_index"]
                group = file[name].create_group("_index")
                group.attrs.update(
                    {"encoding-type": form, "encoding-version": "0.1.0", "na-value": "NaN"}
                )
                group.create_dataset("values", data=values, dtype=h5py.string_dtype("utf-8"))
                group["values"].attrs.update(
                    {"encoding-type": "string-array", "encoding-version": "0.2.0"}
                )
                group.create_dataset("mask", data=np.zeros(len(values), bool))
                group["mask"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    ours = go(path)
    same_numbers(ours, expected)
    assert list(ours.obs_names) == list(expected.obs_names)


def test_index_of_another_name(counts, expected, tmp_path):
    path = write(tmp_path / "m.h5ad", counts)
    with h5py.File(path, "r+") as file:
        file["obs"].move("_index", "barcodes")
        file["obs"].attrs["_index"] = "barcodes"
    ours = go(path)
    same_numbers(ours, expected)
    assert ours.obs.index.name == "barcodes"


def test_input_is_never_written_to(counts, tmp_path):
    path = write(tmp_path / "m.h5ad", counts, chunks=(997,), compression="gzip")
    before = path.read_bytes(), path.stat().st_mtime_ns
    path.chmod(0o444)
    go(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
