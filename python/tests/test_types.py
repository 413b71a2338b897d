"""The types are those of the code: the stub is the compiled module's, and mypy finds no fault."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import cellmill as cm
from cellmill import _native

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(cm.__file__).parent


def hidden(name: str) -> bool:
    """Whether Python itself gives every class such a member."""
    return name.startswith("__") and name != "__reduce__"


def stubbed() -> dict[str, str]:
    """What the stub declares: dotted name -> parameters, as text."""
    found = {}

    def visit(body, prefix):
        for node in body:
            if isinstance(node, ast.ClassDef):
                found[prefix + node.name] = "class"
                visit(node.body, prefix + node.name + ".")
            elif isinstance(node, ast.FunctionDef) and not hidden(node.name):
                marks = {d.id for d in node.decorator_list if isinstance(d, ast.Name)}
                own = [a for a in node.args.posonlyargs + node.args.args if a.arg != "self"]
                first = len(own) - len(node.args.defaults)
                given = [
                    a.arg if i < first else f"{a.arg}={ast.unparse(node.args.defaults[i - first])}"
                    for i, a in enumerate(own)
                ]
                text = "property" if "property" in marks else ", ".join(given)
                found[prefix + node.name] = text

    visit(ast.parse((PACKAGE / "_native.pyi").read_text()).body, "")
    return found


def compiled() -> dict[str, str]:
    """What the compiled module holds, in the same words."""
    found = {}

    def visit(names, prefix):
        for name, value in names.items():
            if hidden(name):
                continue
            if inspect.isclass(value):
                found[prefix + name] = "class"
                visit(vars(value), prefix + name + ".")
            elif inspect.isgetsetdescriptor(value):
                found[prefix + name] = "property"
            else:
                value = value.__func__ if isinstance(value, staticmethod) else value
                given = inspect.signature(value).parameters.values()
                found[prefix + name] = ", ".join(
                    p.name if p.default is p.empty else f"{p.name}={p.default!r}"
                    for p in given
                    if p.name != "self"
                )

    visit(vars(_native), "")
    return found


def test_the_stub_is_the_compiled_modules():
    stub, real = stubbed(), compiled()
    faults = [f"{name} is missing from the stub" for name in real.keys() - stub.keys()]
    faults += [f"{name} is not in the compiled module" for name in stub.keys() - real.keys()]
    faults += [
        f"{name}({stub[name]}) is {name}({real[name]}) in the compiled module"
        for name in real.keys() & stub.keys()
        if stub[name] != real[name]
    ]
    assert not faults, "python/cellmill/_native.pyi (or an old build): " + "; ".join(sorted(faults))


def test_mypy_is_content():
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "python/cellmill", "docs/tutorial.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").exists()
