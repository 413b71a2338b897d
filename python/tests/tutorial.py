"""The tutorial, run as it is and with scanpy's functions in place of ours."""

import re
from pathlib import Path

import anndata as ad
import matplotlib
import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
SAMPLE = 1000
"""Cells whose values are kept."""


def cells(script: str) -> list[tuple[str, str]]:
    """The cells of a percent script: kind and text, as a notebook has them."""
    found = []
    for part in re.split(r"^# %%", script, flags=re.M)[1:]:
        head, _, body = part.partition("\n")
        body = body.strip("\n")
        if head.strip() == "[markdown]":
            found.append(("markdown", re.sub(r"^# ?", "", body, flags=re.M)))
        else:
            found.append(("code", body))
    return found


def run(script: str, folder: Path) -> dict:
    """What the script's names are at its end."""
    matplotlib.use("Agg")
    names: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(script, "tutorial.py", "exec"), names)
    return names


def slots(adata: ad.AnnData) -> ad.AnnData:
    """The annotations, and the first cells of X."""
    rows = adata.X[:SAMPLE].compute()
    out = ad.AnnData(obs=adata.obs, var=adata.var, uns=dict(adata.uns))
    for key in ("obsm", "varm", "obsp"):
        getattr(out, key).update(getattr(adata, key))
    out.uns["first cells"] = rows
    return out


def analysis(script: str) -> str:
    """The code up to the last call that has a counterpart in scanpy."""
    code = [text for kind, text in cells(script) if kind == "code"]
    last = max(i for i, text in enumerate(code) if re.search(r"\bcm\.(pp|tl)\.", text))
    return "\n\n".join(code[: last + 1])


def by_scanpy(code: str, atlas: Path) -> dict[str, ad.AnnData]:
    """The analysis with scanpy's functions on the same lazy arrays. `atlas` is what it reads."""
    code = code.replace("cm.pp.", "sc.pp.").replace("cm.tl.", "sc.tl.")
    # scanpy leaves the components of a Dask array lazy.
    code = re.sub(
        r"^sc\.pp\.pca\((\w+)\)$",
        r'\g<0>; \1.obsm["X_pca"] = \1.obsm["X_pca"].compute()',
        code,
        flags=re.M,
    )
    names = run(code, atlas.parent)
    return {name: slots(names[name]) for name in ("adata", "sub")}
