"""What will happen when a matrix is used."""

from typing import Any

import dask.array as da
from anndata import AnnData
from scipy import sparse

from . import _native
from ._engine import place_of
from ._lazy import LazyMatrix, plan_of
from ._settings import settings


def explain(data: AnnData | Any, layer: str | None = None) -> str:
    """Print, and return, what a matrix is and what will happen when it is used.

    Parameters
    ----------
    data
        An AnnData, or a matrix.
    layer
        The layer to explain, in place of X.

    Returns
    -------
    str
        Whether calls run natively (Rust reads the file by itself) or on someone else's chunks, and
        why; the source; the ops that wait; how many blocks and reads; the least memory of each
        call on it (pca: of the genes in ``var["highly_variable"]``, else 2,000, and 50 components),
        and what the annotations of an AnnData hold.

    Examples
    --------
    >>> import cellmill as cm
    >>> atlas = cm.datasets.simulate(
    ...     500, 300, entries_per_cell=60, seed=1, path="atlas.h5ad", overwrite=True
    ... )
    >>> cm.pp.log1p(atlas)
    >>> text = cm.explain(atlas)  # doctest: +ELLIPSIS
    X: native, 500 x 300, float32
      reads   ...
    """
    if isinstance(data, AnnData):
        x, name = (data.X, "X") if layer is None else (data.layers[layer], f"layers/{layer}")
    else:
        x, name = data, "matrix"
    lines = _lines(x, name)
    plan = plan_of(x)
    if plan is not None:
        lines.append(f"  needs   {_needs(plan, data)}")
    if isinstance(data, AnnData):
        lines.append(f"annotations in memory: {_held(data)}")
    text = "\n".join(lines)
    print(text)
    return text


def _lines(x: Any, name: str) -> list[str]:
    plan = plan_of(x)
    if plan is not None:
        ops = plan.op_names()
        return [
            f"{name}: native, {plan.shape[0]} x {plan.shape[1]}, {plan.dtype}",
            f"  reads   {plan.describe()}",
            f"  blocks  {len(plan.block_rows)}",
            f"  runs    {_where('on the threads of this process')}",
            f"  ops     {' > '.join(ops) if ops else 'none'}",
            "  reads of the file: highly_variable_genes 1 (2 for flavours of counts), pca 1, "
            "normalize_total 0 (1 where target_sum is None)",
        ]
    if isinstance(x, da.Array):
        return [
            f"{name}: foreign, {x.shape[0]} x {x.shape[1]}, {x.dtype}",
            f"  why     {_why(x)}",
            f"  chunks  {x.numblocks[0]} x {x.numblocks[1]}, folded as Dask tasks",
            f"  runs    {_where('where Dask computes in this process')}",
            "  passes over the chunks: highly_variable_genes 1 (2 for flavours of counts), "
            "pca 2 (1 on a cluster; without one, of more than 4,096 genes, some 20 to 50)",
        ]
    if x is None:
        return [f"{name}: there is none"]
    kind = f"scipy {x.format}" if sparse.issparse(x) else type(x).__name__
    how = "read in place" if sparse.issparse(x) and x.format == "csr" else "turned into CSR first"
    return [f"{name}: in memory, {x.shape[0]} x {x.shape[1]}, {x.dtype}, {kind}, {how}"]


def _where(otherwise: str) -> str:
    client = place_of().client
    return otherwise if client is None else f"on the workers of {client.scheduler.address}"


def _why(x: da.Array) -> str:
    if isinstance(x, LazyMatrix) or x.name.startswith("cellmill-"):
        return "its chunks were computed (persist), and they are used instead of the file"
    if any(layer.startswith("cellmill-") for layer in getattr(x.dask, "layers", {})):
        return (
            "a Dask operation was applied to a lazy matrix of cellmill's; what stays native: "
            "selections of cells in their order and of genes without repeats, and anndata.concat "
            "of native matrices with fill_value 0"
        )
    return "it is not a matrix that cellmill.read_h5ad made"


def _needs(plan: _native.Matrix, data: Any) -> str:
    n_genes = 2000
    if isinstance(data, AnnData) and "highly_variable" in data.var:
        n_genes = int(data.var["highly_variable"].sum())
    n_comps = min(50, plan.shape[0], plan.shape[1])
    needs = ", ".join(f"{call} {_size(n)}" for call, n in plan.needs(n_genes, n_comps))
    return (
        f"at least {needs}, of the {_size(settings.memory)} of settings.memory; "
        f"{_size(plan.resident_bytes)} of tables while the file is open"
    )


def _held(adata: AnnData) -> str:
    """What the annotations hold, the strings of obs and var by themselves."""
    parts = []
    for name in ("obs", "var"):
        frame = getattr(adata, name)
        usage = frame.memory_usage(deep=True)
        strings = [column for column in frame if frame[column].dtype.kind in "OSTU"]
        text = int(usage["Index"]) + int(sum(usage[column] for column in strings))
        parts.append(f"{name} {_size(int(usage.sum()))} (names and strings {_size(text)})")
    for name in ("obsm", "varm", "obsp", "varp"):
        held = sum(_bytes(value) for value in getattr(adata, name).values())
        if held:
            parts.append(f"{name} {_size(held)}")
    return ", ".join(parts)


def _bytes(value: Any) -> int:
    if isinstance(value, da.Array):
        return 0
    if sparse.issparse(value):
        return int(value.data.nbytes + value.indices.nbytes + value.indptr.nbytes)
    if hasattr(value, "memory_usage"):
        return int(value.memory_usage(deep=True).sum())
    return int(getattr(value, "nbytes", 0))


def _size(n: int) -> str:
    for unit, one in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n >= one:
            return f"{n / one:.3g} {unit}"
    return f"{n} B"
