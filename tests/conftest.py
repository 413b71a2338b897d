"""Results of `cellmill run` that several tests look at, made once a session."""

from pathlib import Path

import anndata as ad
import pytest

from command import BINARY, ok
from datasets import dataset


def pytest_sessionstart(session):
    if not BINARY.exists():
        pytest.exit(f"{BINARY} is not there: run ./test, or set CELLMILL", returncode=3)


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """`run(name, *options)`: the result file of a named data set, memoised by its options."""
    done: dict[tuple, Path] = {}

    def make(name: str, *options) -> Path:
        key = (name, *map(str, options))
        if key not in done:
            source = dataset(name)
            target = tmp_path_factory.mktemp("result") / f"{name}.h5ad"
            ok("run", source, "-o", target, "--quiet", *options)
            done[key] = target
        return done[key]

    return make


@pytest.fixture(scope="session")
def result(run):
    """The same, read: an AnnData that no test changes."""
    read: dict[Path, ad.AnnData] = {}

    def make(name: str, *options) -> ad.AnnData:
        path = run(name, *options)
        if path not in read:
            read[path] = ad.read_h5ad(path)
        return read[path]

    return make
