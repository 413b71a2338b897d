"""Machines that share nothing but the file: schedulers and workers as processes of their own."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cellmill as cm
import cluster as parts
import pytest
from distributed import Client

HERE = Path(__file__).parent


class Hosts:
    """A scheduler and workers, each with its own folder, temporary folder and address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen] = []
        file = folder / "scheduler.json"
        self.run(
            "scheduler", "scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", file
        )
        self.file = file

    def run(self, name: str, what: str, *options, prefix=()) -> subprocess.Popen:
        home = self.folder / name
        home.mkdir()
        environment = dict(os.environ, TMPDIR=str(home), HOME=str(home), PYTHONPATH=str(HERE))
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "dask", what, *map(str, options)],
            cwd=home,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    def worker(self, name: str, **options) -> subprocess.Popen:
        return self.run(
            name,
            "worker",
            "--scheduler-file",
            self.file,
            "--name",
            name,
            "--nthreads",
            1,
            "--memory-limit",
            "2GiB",
            "--death-timeout",
            60,
            "--no-nanny",
            "--no-dashboard",
            **options,
        )

    def stop(self) -> None:
        # The scheduler last: workers say good-bye to it.
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def hosts(tmp_path):
    # The scheduler's file lies beside the others' folders; the atlas lies elsewhere.
    found = Hosts(tmp_path)
    yield found
    found.stop()


def can_hide() -> bool:
    """Whether a process may have a view of the file system of its own here."""
    if shutil.which("unshare") is None:
        return False
    tried = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(tried, capture_output=True).returncode == 0


def test_three_hosts_and_one_that_lacks_the_file(hosts, path):
    cm.settings.engine = "threads"
    expected = parts.bits(parts.pipeline(cm, path, block_rows=60))
    cm.settings.engine = None
    for name in ("one", "two", "three"):
        hosts.worker(name)
    until = time.monotonic() + 60
    while not hosts.file.exists():
        assert time.monotonic() < until, "the scheduler did not write its file"
        time.sleep(0.05)
    with Client(scheduler_file=str(hosts.file)) as client:
        client.wait_for_workers(3, timeout=60)
        folders = client.run(os.getcwd)
        assert len(set(folders.values())) == 3
        assert parts.bits(parts.pipeline(cm, path, block_rows=60)) == expected
        if not can_hide():
            pytest.skip(
                "no process may hide the file from itself here (root and unshare are needed)"
            )
        hide = f'mount -t tmpfs none "{path.parent}" && exec "$@"'
        hosts.worker("four", prefix=("unshare", "--mount", "sh", "-c", hide, "sh"))
        client.wait_for_workers(4, timeout=60)
        known = client.scheduler_info(n_workers=-1)["workers"]
        (blind,) = (address for address, info in known.items() if info["name"] == "four")
        adata = cm.read_h5ad(path, block_rows=60)
        with pytest.raises(FileNotFoundError, match=rf"{blind}.*{path.name}"):
            cm.pp.normalize_total(adata)
