"""What both functions for highly variable genes ask of Rust, and get."""

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from . import _foreign, _native
from ._engine import place_of
from ._matrix import operand, refuse_in_memory
from ._settings import settings


def asked(adata: AnnData, flavor: str, batch_key: str | None, **given: Any) -> SimpleNamespace:
    """The parameters of a call, with defaults for what other flavours know."""
    base = adata.uns.get("log1p", {}).get("base") if flavor == "seurat" else None
    defaults = {
        "min_disp": 0.5,
        "max_disp": np.inf,
        "min_mean": 0.0125,
        "max_mean": 3.0,
        "n_bins": 20,
        "span": 0.3,
        "theta": 100.0,
        "clip": None,
        "filter_unexpressed": False,
        "check_values": True,
    }
    return SimpleNamespace(
        **{**defaults, **given},
        flavor=flavor,
        base=None if base is None else float(base),
        batches=None if batch_key is None else _batches(adata, batch_key, flavor),
        genes=[] if batch_key is None else [str(name) for name in adata.var_names],
    )


def _batches(adata: AnnData, key: str, flavor: str) -> tuple[np.ndarray, list[str]]:
    """The batch of each cell, -1 for none, and the names: in the order in which scanpy goes."""
    if key not in adata.obs:
        raise KeyError(f"obs has no column {key!r} to be the batch_key; it has {list(adata.obs)}")
    labels = adata.obs[key]
    ordered = isinstance(labels.dtype, pd.CategoricalDtype)
    if not ordered or flavor not in ("seurat", "cell_ranger"):
        labels = pd.Series(pd.Categorical(labels.to_numpy()))
    codes = labels.cat.codes.to_numpy().astype(np.int64)
    return codes, [str(name) for name in labels.cat.categories]


def found(x: Any, ask: SimpleNamespace, engine: Any) -> dict[str, Any]:
    """The columns of var, by scanpy's names; warns."""
    machine = settings._machine()
    place = place_of(engine)
    if _foreign.folds_elsewhere(x, place):
        columns = _foreign.highly_variable_genes(machine, x, ask, place)
    else:
        refuse_in_memory(x, engine)
        columns = _native.highly_variable_genes(machine, operand(x), ask)
    for text in columns.pop("warnings"):
        warnings.warn(text, UserWarning, stacklevel=3)
    return columns
