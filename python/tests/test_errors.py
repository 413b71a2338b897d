"""Each kind of failure is the exception of Python's that one expects, and a cellmill.Error."""

import os
import shutil

import anndata as ad
import cellmill as cm
import h5py
import numpy as np
import pytest
from cellmill import errors
from scipy import sparse


def missing_file(path):
    cm.read_h5ad(path.with_name("nothing.h5ad"))


def no_hdf5(path):
    path.write_text("no")
    cm.read_h5ad(path)


def cut_file(path):
    with path.open("r+b") as file:
        file.truncate(200_000)
    cm.read_h5ad(path)


def missing_element(path):
    from cellmill import _native

    _native.Matrix.open(path, "layers/none")


def contradiction(path):
    with h5py.File(path, "r+") as file:
        file["X/indices"][17] = 7_000
    cm.pp.normalize_total(cm.read_h5ad(path))


def not_finite(path):
    with h5py.File(path, "r+") as file:
        file["X/data"][17] = np.nan
    cm.pp.normalize_total(cm.read_h5ad(path))


def not_finite_in_memory(path):
    adata = ad.AnnData(sparse.csr_matrix(np.array([[1.0, np.inf], [1.0, 2.0]], dtype="f4")))
    cm.pp.normalize_total(adata)


def too_many_components(path):
    cm.pp.pca(cm.read_h5ad(path), n_comps=900)


def little_memory(path):
    adata = cm.read_h5ad(path)
    cm.settings.memory = "1M"
    try:
        cm.pp.pca(adata, n_comps=5)
    finally:
        cm.settings.memory = None


def target_is_there(path):
    cm.datasets.simulate(50, 600, path=path, entries_per_cell=60)


def changed_since(path):
    adata = cm.read_h5ad(path)
    with h5py.File(path, "r+", locking=False) as file:
        file["X/data"][3] = 5
    os.utime(path)
    cm.pp.normalize_total(adata)


def changed_before_it_was_sent(path):
    from cellmill import _native

    text = _native.Matrix.open(path, "X").to_json()
    os.utime(path, ns=(1, 1))
    _native.Matrix.from_json(text)


@pytest.mark.parametrize(
    ("fail", "kind", "own", "says"),
    [
        (missing_file, FileNotFoundError, errors.NotFoundError, "nothing.h5ad: no such file"),
        (no_hdf5, OSError, errors.FileError, "not an HDF5 file"),
        (cut_file, OSError, errors.FileError, "truncated"),
        (missing_element, KeyError, errors.MissingElementError, "there is no element layers/none"),
        (contradiction, ValueError, errors.DataError, "X/indices"),
        (not_finite, ValueError, errors.DataError, "X/data"),
        (not_finite_in_memory, ValueError, errors.DataError, "row 0, column 1 is not finite"),
        (too_many_components, ValueError, errors.ParameterError, "n_comps is 900"),
        (little_memory, MemoryError, errors.BudgetError, "settings.memory"),
        (target_is_there, FileExistsError, errors.ExistsError, "exists already"),
        (changed_since, ValueError, errors.DataError, "has changed since the plan was made"),
        (changed_before_it_was_sent, ValueError, errors.DataError, "has changed since the plan"),
    ],
    ids=lambda x: getattr(x, "__name__", "")[:30],
)
def test_kinds(path, tmp_path, fail, kind, own, says):
    copy = tmp_path / "copy.h5ad"
    shutil.copy(path, copy)
    with pytest.raises(cm.Error) as caught:
        fail(copy)
    assert isinstance(caught.value, kind)
    assert type(caught.value) is own
    assert says in str(caught.value)
    assert "panicked" not in str(caught.value)


def test_every_exception_is_an_error_and_one_of_pythons():
    classes = [c for c in vars(errors).values() if isinstance(c, type)]
    assert len(classes) > 5
    for one in classes:
        assert issubclass(one, errors.Error)
        assert one.__doc__
        if one is not errors.Error:
            assert any(base.__module__ == "builtins" for base in one.__mro__[:-3])
    assert not issubclass(errors.Error, ValueError)
