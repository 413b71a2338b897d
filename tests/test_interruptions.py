"""A run that is killed, interrupted, or whose file shrinks or whose disk fills under it."""

import contextlib
import os
import resource
import signal
import subprocess
import time

import h5py
import pytest

from command import Done, cellmill, listing, message, ok, start, words
from datasets import dataset, synthetic
from files import write

STAGES = ["hvg", "pca", "neighbors", "leiden", "umap"]


def busy(path):
    """A file that takes a run some seconds: the drawn cells, or made ones."""
    with contextlib.suppress(pytest.skip.Exception):
        return dataset("drawn")
    made = path / "busy.h5ad"
    synthetic(cells=12_000, genes=3000).write_h5ad(made, compression="gzip")
    return made


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return busy(tmp_path_factory.mktemp("busy"))


def until_event(process, path, number: int, timeout=120.0):
    """Waits until the run has told `number` events; False where it ended before."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if path.exists() and path.read_text().count("\n") >= number:
            return process.poll() is None
        if process.poll() is not None:
            return False
        time.sleep(0.01)
    raise AssertionError("the run neither told enough events nor ended")


def stages(source, folder) -> list[int]:
    """The numbers of the events at which stages start, from one whole run."""
    import json

    path = folder / "whole.jsonl"
    ok("run", source, "-o", folder / "whole.h5ad", "--quiet", "--events", path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [i + 1 for i, line in enumerate(lines) if line["event"] == "stage_started"]


@pytest.fixture(scope="module")
def starts(source, tmp_path_factory):
    return stages(source, tmp_path_factory.mktemp("stages"))


@pytest.mark.parametrize("stage", range(8))
def test_ctrl_c_in_every_stage(stage, source, starts, tmp_path):
    """Exit code 130 within a second, nothing left behind."""
    if stage >= len(starts):
        pytest.skip(f"the run has {len(starts)} stages")
    told = tmp_path / "events.jsonl"
    work = tmp_path / "work"
    work.mkdir()
    target = work / "result.h5ad"
    process = start("run", source, "-o", target, "--quiet", "--events", told)
    running = until_event(process, told, starts[stage])
    if not running:
        pytest.skip("the run ended before it could be interrupted")
    before = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    took = time.monotonic() - before
    if process.returncode == 0:
        pytest.skip("the run ended before the signal came")
    assert process.returncode == 130, err
    assert took < 1.0, f"{took:.2f} s from Ctrl-C to the end"
    assert "panicked" not in err
    assert not listing(work)


@pytest.mark.parametrize("stage", range(8))
def test_kill_9_in_every_stage(stage, source, starts, tmp_path):
    """No half result under the target's name, an earlier result as it was."""
    if stage >= len(starts):
        pytest.skip(f"the run has {len(starts)} stages")
    told, target = tmp_path / "events.jsonl", tmp_path / "result.h5ad"
    target.write_text("an earlier result")
    before = source.read_bytes()
    process = start("run", source, "-o", target, "--quiet", "--force", "--events", told)
    running = until_event(process, told, starts[stage])
    process.kill()
    process.communicate()
    if not running:
        pytest.skip("the run ended before it could be killed")
    if process.returncode != 0:
        assert target.read_text() == "an earlier result"
    assert source.read_bytes() == before
    ok("run", source, "-o", target, "--quiet", "--force", "--epochs", 10)


def test_truncated_while_it_is_read(source, starts, tmp_path):
    """The file shrinks after the first read began: an error, not a crash."""
    path = tmp_path / "shrinks.h5ad"
    path.write_bytes(source.read_bytes())
    work, told = tmp_path / "work", tmp_path / "events.jsonl"
    work.mkdir()
    process = start("run", path, "-o", work / "result.h5ad", "--quiet", "--events", told)
    assert until_event(process, told, starts[0]), process.communicate()
    process.send_signal(signal.SIGSTOP)
    with h5py.File(path) as file:
        chunks = file["X/data"].id
        middle = chunks.get_chunk_info(chunks.get_num_chunks() // 3).byte_offset
    os.truncate(path, middle)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=120)
    sentence = message(Done(["run"], process.returncode, out, err))
    assert "shrinks.h5ad" in sentence
    assert not listing(work)


@contextlib.contextmanager
def small_disk(folder, size: str):
    """A file system of a few megabytes, where that may be mounted."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True
    )
    if made.returncode:
        pytest.skip("a small tmpfs cannot be mounted here (no root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to mount")
def test_disk_full_for_the_result(source, tmp_path):
    with small_disk(tmp_path / "disk", "4m") as disk:
        before = listing(disk)
        done = cellmill("run", source, "-o", disk / "result.h5ad", "--quiet", "--epochs", 10)
        sentence = message(done)
        assert "disk" in sentence
        assert "space" in sentence.lower() or "full" in sentence.lower()
        assert listing(disk) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to mount")
def test_disk_full_for_scratch(source, tmp_path):
    """With a budget that makes scratch necessary."""
    work = tmp_path / "work"
    work.mkdir()
    with small_disk(tmp_path / "disk", "1m") as disk:
        options = ["--scratch", disk, "--quiet", "--memory"]
        for memory in ("200M", "150M", "120M", "100M", "80M"):
            done = cellmill("run", source, "-o", work / "result.h5ad", *options, memory, "--force")
            if done.code == 2 and "smallest" not in done.err:
                break
        else:
            pytest.skip("no budget made the run use scratch")
        sentence = message(done)
        assert "disk" in sentence
        assert not listing(disk)
    assert (
        "result.h5ad" not in listing(work) or (work / "result.h5ad").read_bytes()[:4] == b"\x89HDF"
    )


def test_file_size_limit(source, tmp_path):
    """The same without root: the system refuses to let the result grow."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

    done = subprocess.run(
        words(["run", source, "-o", tmp_path / "result.h5ad", "--quiet", "--epochs", 10]),
        preexec_fn=limit,
        restore_signals=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    sentence = message(Done(["run"], done.returncode, done.stdout, done.stderr))
    assert "result.h5ad" in sentence or tmp_path.name in sentence
    assert not listing(tmp_path)


def test_output_is_closed_early(tmp_path):
    """`cellmill info FILE | head -1` is no error."""
    path = write(tmp_path / "m.h5ad", synthetic(cells=100, genes=50, types=2).X)
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$0" info "$1" | true', words([])[0], str(path)],
        capture_output=True,
        text=True,
    )
    assert "panicked" not in done.stderr
