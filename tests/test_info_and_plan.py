"""`info`, `plan`, the events and the summary."""

import json

import pytest

from command import events, listing, ok
from datasets import counts, dataset


def walk(value, found=None):
    """Every (key, value) in a JSON value."""
    found = [] if found is None else found
    if isinstance(value, dict):
        for key, inner in value.items():
            found.append((key, inner))
            walk(inner, found)
    elif isinstance(value, list):
        for inner in value:
            walk(inner, found)
    return found


def numbers(value) -> set:
    """Every number in a JSON value, lists of numbers included."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return set().union(*map(numbers, value)) if value else set()
    return {value} if isinstance(value, int | float) and not isinstance(value, bool) else set()


@pytest.mark.parametrize("name", ["synthetic", "pbmc3k"])
def test_info_says_what_is_there(name):
    path, x = dataset(name), counts(dataset(name))
    text = ok("info", path).out
    plain = text.replace(",", "").replace("_", "")
    for word in (x.shape[0], x.shape[1], x.nnz, "gzip", "float32", "csr", "obs"):
        assert str(word) in plain.lower().replace("f32", "float32"), f"{word} not in\n{text}"
    assert "count" in text
    value = ok("info", path, "--json").json()
    assert {x.shape[0], x.shape[1], x.nnz} <= numbers(value)


def test_info_does_not_touch_the_file(tmp_path):
    path = tmp_path / "m.h5ad"
    path.write_bytes(dataset("synthetic").read_bytes())
    before = listing(tmp_path)
    ok("info", path)
    ok("plan", path)
    assert listing(tmp_path) == before


def test_plan_says_two_reads():
    text = ok("plan", dataset("synthetic")).out
    slots = ("highly_variable", "x_pca", "distances", "obs/leiden", "x_umap")
    for word in (*slots, "memory", "scratch", "read"):
        assert word in text.lower(), f"{word} not in\n{text}"
    value = ok("plan", dataset("synthetic"), "--json").json()
    reads = [v for k, v in walk(value) if k == "reads" and isinstance(v, int)]
    assert 2 in reads, value


def test_plan_with_the_median_needs_no_read_more():
    value = ok("plan", dataset("synthetic"), "--target-sum", "median", "--json").json()
    assert 2 in [v for k, v in walk(value) if k == "reads" and isinstance(v, int)]


@pytest.mark.parametrize("name", ["synthetic", "drawn"])
def test_the_file_is_read_twice(name, tmp_path):
    """The bytes that the events tell are two times those of the matrix, at most a tenth more."""
    import h5py

    path = dataset(name)
    told = tmp_path / "events.jsonl"
    ok("run", path, "-o", tmp_path / "r.h5ad", "--events", told, "--quiet", "--epochs", 10)
    read = sum(e["bytes_read"] for e in events(told) if e["event"] == "stage_finished")
    with h5py.File(path) as file:
        size = sum(file[f"X/{n}"].id.get_storage_size() for n in ("data", "indices", "indptr"))
    assert 1.8 * size <= read <= 2.2 * size + 100_000, f"{read} of {size}"


def test_events_are_lines_of_json(tmp_path):
    told = tmp_path / "events.jsonl"
    ok("run", dataset("synthetic"), "-o", tmp_path / "r.h5ad", "--events", told, "--quiet")
    lines = events(told)
    began = [e["stage"] for e in lines if e["event"] == "stage_started"]
    ended = [e["stage"] for e in lines if e["event"] == "stage_finished"]
    assert sorted(began) == sorted(ended)
    assert len(began) >= 5
    assert all(e["seconds"] >= 0 for e in lines if e["event"] == "stage_finished")


def test_summary_and_quiet(tmp_path):
    path = dataset("synthetic")
    done = ok("run", path, "-o", tmp_path / "r.h5ad", "--epochs", 10)
    text = done.text.lower()
    for word in ("seconds", "read", "memory"):
        assert word in text, done.text
    assert "\x1b" not in done.text, "no escape codes where there is no terminal"
    assert "\r" not in done.text
    quiet = ok("run", path, "-o", tmp_path / "q.h5ad", "--epochs", 10, "--quiet")
    assert quiet.text.strip() == ""


def test_help_names_every_command():
    text = ok("--help").out
    names = [
        "info",
        "plan",
        "run",
        "qc",
        "hvg",
        "pca",
        "neighbors",
        "leiden",
        "umap",
        "simulate",
        "plot",
    ]
    for name in names:
        assert name in text
        assert "Usage" in ok(name, "--help").out


def test_version():
    import tomllib

    from command import ROOT

    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    assert version in ok("--version").out


def test_json_is_json():
    json.loads(ok("plan", dataset("synthetic"), "--json").out)
