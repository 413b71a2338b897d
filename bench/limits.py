"""What the machine can do at most, beside what the stages of `cellmill run` take.

    python3 bench/limits.py [--cells 200000]        # a simulated atlas
    python3 bench/limits.py --file atlas.h5ad --memory 2.5G --repeat 3

One after the other on the same file, in the page cache: memory bandwidth and multiply-adds (the
example `limits`), the same numbers read by h5py, then, as often as is asked, the file's chunks
inflated by libdeflate on both cores and nothing else (the example `decode`) and `cellmill run`;
medians are reported. For each stage the work that it cannot do without, by its sizes, and how long
that would take at the machine's limit. Rows are merged into bench/results/limits.json, and
limits.md is made of all that is there. Linux only.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

from driver import measure, results
from driver.atlases import cached, simulated
from driver.environments import ROOT, environment, example
from driver.kernels import Failed, call
from driver.results import RESULTS, number, table
from driver.runs import cellmill_command, emptied, lines
from driver.tools import THREADS

GENES = 27_714
TIMEOUT = 3600.0
EPOCHS = 200
# Bytes of an edge of the layout: two places and a rate.
EDGE = 12
# Of an entry of a graph: a column and a weight; of a neighbour: an index and a distance in f64.
ENTRY, NEIGHBOUR = 8, 12
# A point is compared with the points of its 16 cells of about 16 x 128 points, each pair once.
PAIRS = 16 * 16 * 128 // 2
H5PY = """
import sys, time, h5py
import numpy as np
began, rows = time.monotonic(), 1 << 24
with h5py.File(sys.argv[1]) as file:
    for name in ("data", "indices"):
        numbers = file[sys.argv[2]][name]
        for at in range(0, len(numbers), rows):
            numbers[at : at + rows]
print(time.monotonic() - began)
"""
DESCRIBE = """
import sys, json, h5py
with h5py.File(sys.argv[1]) as file:
    graph = file["obsp/connectivities/indices"].shape[0]
    cells, components = file["obsm/X_pca"].shape
    k = file["obsp/distances/indices"].shape[0] // cells
    print(json.dumps({"graph": graph, "cells": cells, "components": components, "k": k}))
"""


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--cells", type=int, default=200_000, help="cells of a simulated atlas")
    parser.add_argument("--file", type=Path, help="an h5ad with CSR counts, in place of that")
    parser.add_argument("--matrix", default="raw/X", help="where the counts of the file are")
    parser.add_argument("--memory", default="4G", help="cellmill's budget")
    parser.add_argument("--with-x", action="store_true", help="X and the counts are written too")
    parser.add_argument("--repeat", type=int, default=1, help="runs; medians are reported")
    parser.add_argument("--work", type=Path, default=ROOT / ".tools" / "bench")
    return parser.parse_args()


def machine_limits() -> dict[str, float]:
    """GB/s and GFLOP/s by name."""
    output = call([example("limits", "cellmill-engine"), THREADS], TIMEOUT)
    rows = [json.loads(line) for line in output.splitlines()]
    return {row["limit"]: row["value"] for row in rows}


def inflating(atlas: Path, matrix: str) -> dict:
    output = call([example("decode", "cellmill-io"), atlas, matrix, 1], TIMEOUT)
    rows = [json.loads(line) for line in output.splitlines()]
    return next(row for row in rows if row["threads"] == THREADS)


def stages(command: list, folder: Path) -> tuple[dict[str, float], measure.Run]:
    """Seconds of each stage of a run, and of the whole."""
    run = measure.run(command, folder / "log.txt", TIMEOUT)
    if run.status != "done":
        sys.exit(f"{command[2]}: cellmill run: {run.status}: {run.why}")
    events = lines(folder / "stages.jsonl")
    return {e["stage"]: e["seconds"] for e in events if e["event"] == "stage_finished"}, run


def rows_of(taken: list[dict], shape: dict, limit: dict, inflate: dict, h5py: float) -> list[dict]:
    """One row a stage: the seconds of each run, what bounds it, and the seconds at that bound."""
    cells, graph = shape["cells"], shape["graph"]
    read, copy = limit["memory read"], limit["memory copy"]
    flops = limit["f32 multiply-add"]
    gigabytes = inflate["MB"] / 1e3
    inflated = (f"inflating the {gigabytes:.2f} GB of its numbers", inflate["inflate seconds"])
    # Two whole numbers of 16 bits are multiplied in the time of one f32.
    products = cells * PAIRS * shape["components"] / 1e9
    epochs = EPOCHS * EDGE * graph / 1e9
    bounds = {
        "read 1": inflated,
        "read 2": inflated,
        "neighbors": (
            f"{products:,.0f} G products of pairs in cells, two to a multiply-add",
            products / flops,
        ),
        "connectivities": (
            "copying the neighbours into the graph",
            (NEIGHBOUR * cells * shape["k"] + ENTRY * graph) / 1e9 / copy,
        ),
        "leiden": ("reading the graph twice", 2 * ENTRY * graph / 1e9 / read),
        "umap": (f"reading {epochs:,.0f} GB of edges in {EPOCHS} epochs", epochs / read),
    }
    rows = []
    for stage in taken[0]:
        runs = [seconds[stage] for seconds in taken]
        whole = "umap: spectral" not in stage
        name = next((name for name in bounds if whole and stage.startswith(name)), None)
        bound, least = bounds[name] if name else ("", None)
        rows.append({"stage": stage, "runs": runs, "bound": bound, "least": least})
    peer = f"h5py, the same numbers ({gigabytes / h5py:.2f} GB/s)"
    return [*rows, {"stage": peer, "runs": [h5py], "bound": inflated[0], "least": inflated[1]}]


def spread(values: list[float], digits: int) -> str:
    """The median, and the least and most of several."""
    shown = number(statistics.median(values), digits)
    if len(values) == 1:
        return shown
    return f"{shown} ({number(min(values), digits)} to {number(max(values), digits)})"


def markdown(measured: list[dict]) -> str:
    parts = ["# Stages and limits\n\nMade by `python3 bench/limits.py`. Medians of several runs.\n"]
    for run in measured:
        limits = ", ".join(f"{name} {value:,.1f}" for name, value in run["limits"].items())
        with_x = ", X and the counts written" if run["with_x"] else ""
        cpu, peak = (statistics.median(run[key]) for key in ("cpu", "peak_gb"))
        parts.append(
            f"\n## {run['cells']:,} cells, {run['entries']:,} entries{with_x}\n\n"
            f"`{run['atlas']}`, `--memory {run['memory']}`; {run['machine']['processor']}, "
            f"{THREADS} threads, {run['machine']['date']}. Runs: {len(run['wall'])}. In all "
            f"{spread(run['wall'], 1)} s, {cpu:,.0f} CPU seconds, {peak:.2f} GB.\n\n"
            f"The machine, GB/s of memory and GFLOP/s: {limits}.\n\n"
        )
        body = [
            [
                row["stage"],
                spread(row["runs"], 1),
                row["bound"],
                number(row["least"], 2),
                number(row["least"] and statistics.median(row["runs"]) / row["least"], 2),
            ]
            for row in run["rows"]
        ]
        head = ["stage", "seconds", "what it cannot do without", "seconds of that", "times"]
        parts.append("\n".join(table(head, body)) + "\n")
    return "".join(parts)


def main() -> None:
    options = asked()
    atlas = options.file or simulated(
        options.work / f"atlas-{options.cells}.h5ad", options.cells, GENES
    )
    python = environment("scanpy", options.work)
    folder = emptied(options.work / "runs" / atlas.stem / "limits")
    command = cellmill_command(atlas, folder, options.memory, options.with_x)
    limit = machine_limits()
    cached(atlas)
    h5py = float(call([python, "-c", H5PY, atlas, options.matrix], TIMEOUT))
    inflated, taken, wholes = [], [], []
    for _ in range(options.repeat):
        cached(atlas)
        inflated.append(inflating(atlas, options.matrix))
        cached(atlas)
        seconds, whole = stages(command, emptied(folder))
        taken.append(seconds)
        wholes.append(whole)
    times = [row["inflate seconds"] for row in inflated]
    inflate = inflated[0] | {"inflate seconds": statistics.median(times)}
    shape = json.loads(call([python, "-c", DESCRIBE, folder / "found.h5ad"], TIMEOUT))
    run = {
        "atlas": atlas.name,
        "with_x": options.with_x,
        "memory": options.memory,
        "cells": shape["cells"],
        "entries": inflate["entries"],
        "wall": [round(whole.wall, 2) for whole in wholes],
        "cpu": [round(whole.cpu, 1) for whole in wholes],
        "peak_gb": [round(whole.peak / 1e9, 3) for whole in wholes],
        "limits": limit,
        "rows": rows_of(taken, shape, limit, inflate, h5py),
        "machine": results.machine(),
    }
    path = RESULTS / "limits.json"
    runs = results.merge(
        path, [run], ("atlas", "with_x"), lambda row: (row["cells"], row["with_x"])
    )
    (RESULTS / "limits.md").write_text(markdown(runs))
    print(markdown([run]))


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(f"error: {error}")
