"""Bad input: one sentence with file and element, exit code 2, nothing left behind."""

import re
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from scipy import sparse

from command import cellmill, listing, message, ok, refused
from datasets import synthetic
from files import write

SMALL = ["--n-top-genes", 80, "--n-comps", 10, "--epochs", 20]
STORES = {
    "contiguous": {},
    "gzip": {"chunks": (997,), "compression": "gzip", "shuffle": True},
}


@pytest.fixture(scope="module")
def counts() -> sparse.csr_matrix:
    return synthetic(cells=400, genes=150, types=3, seed=5).X


@pytest.fixture(params=STORES)
def store(request):
    return STORES[request.param]


def run_refused(path, *options, names=()):
    """`run` on a file that is wrong refuses, names the file, and leaves its folder as it was."""
    return refused(
        "run",
        path,
        "-o",
        path.parent / "result.h5ad",
        *SMALL,
        *options,
        names=[path.name, *names],
        leaves=path.parent,
    )


@pytest.mark.parametrize(
    "content", [b"", b"not a file of that kind\n" * 200, b"\x89HDF\r\n\x1a\n"], ids=len
)
def test_not_hdf5(content, tmp_path):
    path = tmp_path / "bad.h5ad"
    path.write_bytes(content)
    run_refused(path, names=["HDF5"])


def test_missing_file(tmp_path):
    run_refused(tmp_path / "none.h5ad")


def test_folder(tmp_path):
    (tmp_path / "folder.h5ad").mkdir()
    run_refused(tmp_path / "folder.h5ad")


def test_hdf5_that_is_no_anndata(tmp_path):
    path = tmp_path / "other.h5ad"
    with h5py.File(path, "w") as file:
        file["numbers"] = np.arange(10)
    run_refused(path, names=[("obs", "X", "AnnData")])


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.999])
def test_truncated_file(share, counts, store, tmp_path):
    path = write(tmp_path / "cut.h5ad", counts, **store)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    run_refused(path)


def test_no_counts(counts, store, tmp_path):
    path = write(tmp_path / "log.h5ad", counts, data=np.log1p(counts.data / 3), **store)
    run_refused(path, names=["X", "count"])


def test_no_matrix(counts, tmp_path):
    path = write(tmp_path / "empty.h5ad", counts)
    with h5py.File(path, "r+") as file:
        del file["X"]
    run_refused(path, names=[("matrix", "X", "counts")])


@pytest.mark.parametrize("part", ["data", "indices", "indptr"])
def test_missing_part(part, counts, tmp_path):
    path = write(tmp_path / "part.h5ad", counts)
    with h5py.File(path, "r+") as file:
        del file[f"X/{part}"]
    run_refused(path, names=[f"X/{part}"])


def broken_indptr(counts, how) -> np.ndarray:
    indptr = counts.indptr.astype(np.int64)
    match how:
        case "falls":
            indptr[200] = indptr[199] - 5
        case "beyond the data":
            indptr[-1] += 10
        case "far beyond the data":
            indptr[200:] += 10**15
        case "short of the data":
            indptr[-1] -= 1
        case "does not begin at 0":
            indptr[0] = 1
        case "negative":
            indptr[7] = -3
        case "too short":
            indptr = indptr[:-1]
        case "too long":
            indptr = np.r_[indptr, indptr[-1]]
        case "empty":
            indptr = indptr[:0]
    return indptr


@pytest.mark.parametrize(
    "how",
    [
        "falls",
        "beyond the data",
        "far beyond the data",
        "short of the data",
        "does not begin at 0",
        "negative",
        "too short",
        "too long",
        "empty",
    ],
)
def test_indptr(how, counts, store, tmp_path):
    path = write(tmp_path / "bad.h5ad", counts, indptr=broken_indptr(counts, how), **store)
    run_refused(path, names=["X/", "indptr"])


@pytest.mark.parametrize("value", [150, 2**31 - 1, -1])
def test_index_out_of_range(value, counts, store, tmp_path):
    indices = counts.indices.copy()
    indices[counts.indptr[230] + 1] = value
    path = write(tmp_path / "bad.h5ad", counts, indices=indices, **store)
    run_refused(path, names=["X/indices"])


def test_data_and_indices_of_other_lengths(counts, store, tmp_path):
    path = write(tmp_path / "bad.h5ad", counts, indices=counts.indices[:-3], **store)
    run_refused(path, names=["X/indices"])


@pytest.mark.parametrize("axis", ["cells", "genes"])
def test_shape_that_is_not_that_of_obs_or_var(axis, counts, tmp_path):
    size = counts.shape[0 if axis == "cells" else 1]
    path = write(tmp_path / "bad.h5ad", counts, **{axis: size - 1})
    run_refused(path, names=["X", "obs" if axis == "cells" else "var"])


def test_shape_attribute_missing(counts, tmp_path):
    path = write(tmp_path / "bad.h5ad", counts)
    with h5py.File(path, "r+") as file:
        del file["X"].attrs["shape"]
    run_refused(path, names=["X", "shape"])


@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "nan"), (np.inf, "infinite"), (-np.inf, "infinite")]
)
@pytest.mark.parametrize("where", [0, 12_345, -1])
def test_values_that_are_no_counts(value, word, where, counts, store, tmp_path):
    """One such value in the whole file, wherever it is."""
    data = counts.data.copy()
    data[where] = value
    path = write(tmp_path / "bad.h5ad", counts, data=data, **store)
    run_refused(path, "--matrix", "X", names=["X", (word, "inf", "finite")])
    run_refused(path, names=["X"])


@pytest.mark.parametrize("where", [0, 12_345, -1])
def test_negative_counts(where, counts, store, tmp_path):
    data = counts.data.copy()
    data[where] = -2
    path = write(tmp_path / "bad.h5ad", counts, data=data, **store)
    run_refused(path, "--matrix", "X", names=["X", ("negative", "-2")])
    run_refused(path, names=["X"])


def test_negative_integers(counts, tmp_path):
    data = counts.data.astype(np.int32)
    data[777] = -1
    path = write(tmp_path / "bad.h5ad", counts, data=data)
    run_refused(path, names=["X", ("negative", "-1")])


def test_scaled_data(counts, tmp_path):
    """Negative values in few genes: what Seurat's scale.data looks like, and the error says so."""
    few = counts[:, :60].toarray()
    scaled = (few - few.mean(axis=0)) / (few.std(axis=0) + 1e-9)
    path = write(tmp_path / "scaled.h5ad", sparse.csr_matrix(scaled.astype(np.float32)))
    run_refused(path, names=["X", "scale"])


@pytest.mark.parametrize("shape", [(400, 150), (0, 150), (400, 0), (0, 0)])
def test_nothing_left(shape, tmp_path):
    path = write(tmp_path / "zero.h5ad", sparse.csr_matrix(shape, dtype=np.float32))
    run_refused(path, names=["X"])


def test_same_gene_twice(counts, tmp_path):
    """Names need not be unique: scanpy takes such files, with a warning."""
    path = write(tmp_path / "twice.h5ad", counts)
    with h5py.File(path, "r+") as file:
        file["var/_index"][1] = "gene0"
    ok("run", path, "-o", tmp_path / "result.h5ad", *SMALL, "--quiet")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--n-comps", 0], "n-comps"),
        (["--n-comps", 81], "n-comps"),
        (["--n-comps", 5000], "n-comps"),
        (["--n-neighbors", 1], "n-neighbors"),
        (["--n-top-genes", 0], "n-top-genes"),
        (["--target-sum", 0], "target-sum"),
        (["--target-sum=-1"], "target-sum"),
        (["--target-sum", "nan"], "target-sum"),
        (["--target-sum", "mean"], "target-sum"),
        (["--resolution=-1"], "resolution"),
        (["--resolution", "nan"], "resolution"),
        (["--min-dist=-1"], "min-dist"),
        (["--min-dist", 3], "min-dist"),
        (["--spread", 0], "spread"),
        (["--metric", "manhattan"], "metric"),
        (["--init", "paga"], "init"),
        (["--write-x", "all"], "write-x"),
        (["--threads", 0], "threads"),
        (["--memory", "lots"], "memory"),
        (["--memory", 0], "memory"),
        (["--n-bins", 0], "n-bins"),
        (["--n-iterations", 0], "n-iterations"),
        (["--unknown-option"], "unknown-option"),
        (["--color", "nobody", "--figs", "figs"], "nobody"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_options(options, word, counts, tmp_path):
    path = write(tmp_path / "m.h5ad", counts)
    before = listing(tmp_path)
    target = tmp_path / "result.h5ad"
    given = {"--n-top-genes": 80, "--n-comps": 10}
    given = [x for k, v in given.items() if k not in options for x in (k, v)]
    done = cellmill("run", path, "-o", target, *given, *options, cwd=tmp_path)
    assert done.code == 2, done.text
    assert "error:" in done.err
    assert word in done.err.replace("_", "-"), done.err
    assert "panicked" not in done.err
    assert listing(tmp_path) == before


def test_no_arguments():
    done = cellmill()
    assert done.code == 2
    assert "Usage" in done.err


def test_unwritable_target(counts, tmp_path):
    path = write(tmp_path / "m.h5ad", counts)
    for target, name in [
        (tmp_path / "nowhere" / "result.h5ad", "nowhere"),
        (tmp_path, tmp_path.name),
        ("/proc/result.h5ad", "/proc"),
    ]:
        refused("run", path, "-o", target, *SMALL, names=[name], leaves=tmp_path)


def test_target_that_is_there(counts, tmp_path):
    path, target = write(tmp_path / "m.h5ad", counts), tmp_path / "result.h5ad"
    target.write_text("mine")
    refused("run", path, "-o", target, *SMALL, names=["result.h5ad", "--force"], leaves=tmp_path)
    ok("run", path, "-o", target, *SMALL, "--force", "--quiet")
    assert target.read_bytes()[:4] == b"\x89HDF"


@pytest.mark.parametrize("how", ["same path", "link", "other spelling"])
def test_target_is_the_input(how, counts, tmp_path):
    path = write(tmp_path / "m.h5ad", counts)
    target = path
    if how == "link":
        target = tmp_path / "link.h5ad"
        target.symlink_to(path)
    elif how == "other spelling":
        target = tmp_path / ".." / tmp_path.name / "m.h5ad"
    refused("run", path, "-o", target, "--force", *SMALL, names=[target.name], leaves=tmp_path)


def test_missing_scratch(counts, tmp_path):
    path = write(tmp_path / "m.h5ad", counts)
    options = ["--scratch", tmp_path / "nowhere-scratch"]
    target = tmp_path / "result.h5ad"
    refused("run", path, "-o", target, *SMALL, *options, names=["nowhere-scratch"], leaves=tmp_path)


def test_budget_too_small_says_which_would_do(counts, tmp_path):
    """And the budget that it names does, for `run` as for `plan`."""
    path = write(tmp_path / "m.h5ad", counts)
    target = tmp_path / "result.h5ad"
    sentence = refused(
        "run", path, "-o", target, *SMALL, "--memory", "100k", names=["smallest"], leaves=tmp_path
    )
    found = re.search(r"smallest\D*?([\d.]+) ?([kMG]?)B?", sentence)
    assert found, sentence
    number, unit = float(found[1]), found[2]
    power = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[unit]
    enough = int(number * power * 1.006) + 1
    ok("run", path, "-o", target, *SMALL, "--memory", enough, "--quiet")


def test_a_writer_holds_the_file(counts, tmp_path):
    """Another process has the file open for writing: refused, as the HDF5 library would."""
    path = write(tmp_path / "m.h5ad", counts)
    hold = (
        "import h5py,sys; f=h5py.File(sys.argv[1],'r+'); print('open',flush=True); sys.stdin.read()"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", hold, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": "/usr/bin", "HDF5_USE_FILE_LOCKING": "TRUE"},
    )
    try:
        assert writer.stdout.readline() == b"open\n"
        run_refused(path, names=[("writ", "lock")])
    finally:
        writer.communicate()
    ok("run", path, "-o", tmp_path / "result.h5ad", *SMALL, "--quiet")


def test_a_writer_that_died(counts, tmp_path):
    """HDF5 marks a file that a writer left open; a copy taken then is refused with a reason."""
    path = write(tmp_path / "m.h5ad", counts)
    copy = tmp_path / "copy.h5ad"
    with h5py.File(path, "r+", libver="latest") as file:
        file["uns"].attrs["touched"] = 1
        file.flush()
        shutil.copy(path, copy)
    done = cellmill("run", copy, "-o", tmp_path / "result.h5ad", *SMALL, "--quiet")
    if done.code:
        assert "copy.h5ad" in message(done)


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_damaged_chunk(byte, counts, tmp_path):
    """Bytes inside a compressed chunk that do not inflate."""
    path = write(tmp_path / "m.h5ad", counts, chunks=(997,), compression="gzip")
    with h5py.File(path) as file:
        chunk = file["X/data"].id.get_chunk_info(3)
    with open(path, "r+b") as file:
        file.seek(chunk.byte_offset + 20)
        file.write(bytes([byte]) * (chunk.size - 40))
    run_refused(path, names=["X/data"])


def test_damaged_tree(counts, tmp_path):
    """Whatever single block of the file is zeroed: a sentence or a right answer, no crash."""
    path = write(tmp_path / "m.h5ad", counts, chunks=(997,), compression="gzip")
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for start in rng.integers(0, min(len(content), 200_000) - 64, 40):
        broken = tmp_path / "broken.h5ad"
        broken.write_bytes(content[:start] + b"\xff" * 64 + content[start + 64 :])
        done = cellmill("info", broken, timeout=60)
        assert done.code in (0, 2), f"zeroed at {start}: {done.code}\n{done.text}"
        if done.code:
            message(done)
        done = cellmill("hvg", broken, "-o", tmp_path / "r.h5ad", "--force", timeout=60)
        assert done.code in (0, 2), f"zeroed at {start}: {done.code}\n{done.text}"
        if done.code:
            message(done)


@pytest.mark.parametrize(
    ("step", "names"),
    [
        ("pca", [("highly_variable", "hvg", "counts")]),
        ("neighbors", ["X_pca"]),
        ("leiden", [("connectivities", "neighbors")]),
        ("umap", [("connectivities", "neighbors")]),
    ],
)
def test_steps_say_what_they_miss(step, names, counts, tmp_path):
    path = write(tmp_path / "m.h5ad", counts)
    target = tmp_path / "result.h5ad"
    refused(step, path, "-o", target, names=["m.h5ad", *names], leaves=tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_points_that_are_not_finite(value, tmp_path):
    import anndata as ad

    points = np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)
    points[123, 2] = value
    path = tmp_path / "points.h5ad"
    ad.AnnData(obs={"i": np.arange(300)}, obsm={"X_scVI": points}).write_h5ad(path)
    refused(
        "neighbors",
        path,
        "-o",
        tmp_path / "result.h5ad",
        "--use-rep",
        "X_scVI",
        names=["obsm/X_scVI"],
        leaves=tmp_path,
    )
