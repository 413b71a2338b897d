"""What `help()` says: every public function has its sections, and its example runs."""

import doctest
import inspect
from types import ModuleType

import cellmill as cm
import matplotlib
import pytest
import scanpy as sc


def functions(module: ModuleType = cm) -> list:
    """The public functions, in all namespaces."""
    found = []
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, ModuleType):
            found += functions(value)
        elif inspect.isfunction(value):
            found.append(value)
    return found


def full_name(function) -> str:
    space = [part for part in function.__module__.split(".") if not part.startswith("_")]
    return ".".join([*space, function.__name__])


@pytest.mark.parametrize("function", functions(), ids=full_name)
def test_sections(function):
    text = inspect.getdoc(function) or ""
    lines = text.splitlines()
    assert lines[0].endswith("."), "the first line is a sentence"
    for section in ("Parameters", "Examples"):
        if section == "Examples" or inspect.signature(function).parameters:
            assert f"{section}\n{'-' * len(section)}\n" in text, f"no section {section}"
    for name in inspect.signature(function).parameters:
        assert name in text or ":func:`cellmill." in text, f"{name} is not documented"
    returns = inspect.signature(function).return_annotation
    if returns not in (None, "None"):
        assert "Returns\n-------\n" in text, "no section Returns"
    space = function.__module__.split(".")[1]
    if hasattr(getattr(sc, space, None), function.__name__):
        assert f"scanpy.{space}.{function.__name__}" in text, "scanpy's function is not named"


@pytest.mark.parametrize("function", functions(), ids=full_name)
def test_example_runs(function, tmp_path, monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    found = doctest.DocTestFinder(recurse=False).find(function, full_name(function), globs={})
    report: list[str] = []
    for test in found:
        assert test.examples, "there is no example"
        doctest.DocTestRunner().run(test, out=report.append)
    assert not report, "".join(report)


def test_settings_and_namespaces_say_what_they_are():
    for name, value in vars(type(cm.settings)).items():
        if not name.startswith("_"):
            assert inspect.getdoc(value), name
    for name in cm.__all__:
        assert inspect.getdoc(getattr(cm, name)), name
