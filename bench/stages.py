"""Kernels side by side on the same input, so that only the algorithm differs.

    python3 bench/stages.py                         # on cellmill's result of bench/peers.py
    python3 bench/stages.py --file result.h5ad --points 50000 --repeat 3

Of a result of cellmill it takes the principal components, and the connectivities: each kernel finds
neighbours of the same points, makes the fuzzy set of the same neighbours, clusters and lays out the
same graph. Kernels run one after the other, each in a process of its own, and are timed inside it,
numba's compiling left out. Rows are merged into bench/results/stages.json; the tables (stages.md)
are made of all that is there. Environments are those of bench/peers.py.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from driver import kernels, results
from driver.environments import PEERS, ROOT, cellmill, environment
from driver.kernels import COLUMNS, KERNELS, STAGES, Failed
from driver.runs import cellmill_command


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--file", type=Path, help="a result of `cellmill run`, an h5ad file")
    parser.add_argument("--points", type=int, default=0, help="cells drawn at random; 0 for all")
    parser.add_argument("--stage", default="", metavar="STAGE,...", help="knn, fuzzy, leiden, umap")
    parser.add_argument("--only", default="", metavar="NAME,...", help="these tools")
    parser.add_argument("--skip", default="", metavar="NAME,...", help="all tools but these")
    parser.add_argument("--list", action="store_true", help="shows the kernels and ends")
    parser.add_argument("--repeat", type=int, default=1, help="runs; medians are reported")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds of a run")
    parser.add_argument("--work", type=Path, default=ROOT / ".tools" / "bench")
    return parser.parse_args()


def chosen(options: argparse.Namespace) -> list:
    tools = {kernel.tool for kernel in KERNELS}
    for given, known in ((options.stage, STAGES), (options.only, tools), (options.skip, tools)):
        unknown = [name for name in given.split(",") if name and name not in known]
        if unknown:
            sys.exit(f"{', '.join(unknown)}: not one of {', '.join(sorted(known))}")
    return [
        kernel
        for kernel in KERNELS
        if (not options.stage or kernel.stage in options.stage.split(","))
        and (not options.only or kernel.tool in options.only.split(","))
        and kernel.tool not in options.skip.split(",")
    ]


def default_result(work: Path) -> Path:
    """cellmill's result on 20,000 simulated cells: that of bench/peers.py, or a new one."""
    folder, atlas = work / "runs" / "atlas-20000" / "cellmill", work / "atlas-20000.h5ad"
    if not (folder / "found.h5ad").exists():
        folder.mkdir(parents=True, exist_ok=True)
        if not atlas.exists():
            simulate = [cellmill(), "simulate", atlas, "--cells", "20000", "--quiet"]
            subprocess.run(simulate, check=True)
        subprocess.run([*map(str, cellmill_command(atlas, folder)), "--quiet"], check=True)
    return folder / "found.h5ad"


def prepare(what: str, scanpy: Path, result: Path, folder: Path, points: int) -> dict:
    script = PEERS / "stage_input.py"
    return json.loads(kernels.call([scanpy, script, what, result, folder, points], 3600))


def timed(kernel, folder: Path, shape: dict, options: argparse.Namespace) -> dict:
    """The row of a kernel: medians of its runs, or why there are none."""
    print(f"{kernel.stage}: {kernel.label}", flush=True)
    (folder / f"{kernel.name}.npz").unlink(missing_ok=True)
    try:
        runs = [
            kernels.run(kernel, folder, shape, options.work, options.timeout)
            for _ in range(options.repeat)
        ]
    except Failed as error:
        print(f"  failed: {error}", flush=True)
        return {"status": "failed", "why": str(error)}
    row = {key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]}
    print(f"  {row['seconds']:.2f} s", flush=True)
    return {"status": "done", "why": "", **row, "runs": len(runs)}


def measured(options: argparse.Namespace, scanpy: Path, result: Path) -> list[dict]:
    source = f"{result.parent.parent.name}/{result.name}" if not options.file else result.name
    folder = options.work / "stages" / f"{result.stem}-{options.points}"
    folder.mkdir(parents=True, exist_ok=True)
    shape = prepare("points", scanpy, result, folder, options.points)
    wanted, rows = chosen(options), []
    by_name = {kernel.name: kernel for kernel in KERNELS}

    # What the others are given comes of these, whether their rows are asked for or not.
    def needed(name: str) -> dict:
        row = timed(by_name[name], folder, shape, options)
        if row["status"] != "done":
            sys.exit(f"{name} failed, and the other kernels need what it finds")
        return row

    made = {"knn-cellmill": needed("knn-cellmill")}
    prepare("knn", scanpy, result, folder, options.points)
    if options.points:
        made["fuzzy-umap-learn"] = needed("fuzzy-umap-learn")
    shape |= prepare("graph", scanpy, result, folder, options.points)
    if any(kernel.stage == "umap" for kernel in wanted):
        made["umap-cellmill"] = needed("umap-cellmill")
    for kernel in wanted:
        row = made.get(kernel.name) or timed(kernel, folder, shape, options)
        about = {"source": source, **shape, "stage": kernel.stage, "tool": kernel.tool}
        rows.append(about | {"machine": results.machine()} | row)
    found = [r for r in rows if r["status"] == "done" and (r["stage"], r["tool"]) != OWN_FUZZY]
    names = [f"{row['stage']}-{row['tool']}" for row in found]
    judged = json.loads(kernels.call([scanpy, PEERS / "stage_judge.py", folder, *names], 3600))
    for row, name in zip(found, names, strict=True):
        row |= judged[name]
    return rows


# The example prints its seconds and keeps no graph; the graph of the result is the same.
OWN_FUZZY = ("fuzzy", "cellmill")

ABOUT = """\
Each kernel in a process of its own, one after the other, with two threads where it has threads,
timed inside the process; numba compiles beforehand. cellmill's seconds are printed by
the examples of crates/cellmill-graph.

Recall: the share of the 14 nearest others that were found, at 1,000 points drawn at random; least
type: in the cell type that fares worst, of those with 30 points drawn. Largest difference: of any
entry to the graph's. The loss is the one that the descent lowers, with five pushes a pull
(crates/cellmill-graph/examples/compare_umap.py); pull is its first part. kNN kept: the share of the
15 nearest points that are among the 15 nearest in the layout."""


def markdown(rows: list[dict]) -> str:
    parts = ["# Kernels on the same input", "", "Made by `python3 bench/stages.py`.", "", ABOUT]
    for source in dict.fromkeys((row["points"], row["source"]) for row in rows):
        of = [row for row in rows if (row["points"], row["source"]) == source]
        first = of[0]
        m = first["machine"]
        parts += [
            "",
            f"## {first['points']:,} points, {first['dimensions']} dimensions",
            "",
            f"`{first['source']}`; the graph has {first['entries_of_graph']:,} entries; "
            f"{m['processor']}, {m['cores']} cores, {m['date']}.",
        ]
        for stage, title in STAGES.items():
            parts += part(title, COLUMNS[stage], [row for row in of if row["stage"] == stage])
    return "\n".join(parts) + "\n"


def part(title: str, columns: list[tuple], rows: list[dict]) -> list[str]:
    if not rows:
        return []
    known = {(kernel.stage, kernel.tool): kernel for kernel in KERNELS}
    head = ["", "seconds", "CPU s", *(label for _, label, _ in columns), "runs", "note"]
    body, notes = [], []
    for row in rows:
        kernel = known[row["stage"], row["tool"]]
        values = [results.number(row.get(key), digits) for key, _, digits in columns]
        times = [results.number(row.get(key), 2) for key in ("seconds", "cpu")]
        note = kernel.note if row["status"] == "done" else f"failed: {row['why']}"
        body.append([kernel.label, *times, *values, str(row.get("runs", "")), note])
        if row["status"] == "done" and row["why"]:
            notes.append(f"- {kernel.label}: {row['why']}.")
    return ["", f"### {title}", "", *results.table(head, body), *(["", *notes] if notes else [])]


def main() -> None:
    options = asked()
    if options.list:
        for kernel in chosen(options):
            print(f"{kernel.stage:8} {kernel.tool:12} {kernel.note}")
        return
    options.work = options.work.resolve()
    scanpy = environment("scanpy", options.work)
    result = options.file.resolve() if options.file else default_result(options.work)
    new = measured(options, scanpy, result)
    path = results.RESULTS / "stages.json"
    rows = results.merge(path, new, ("points", "source", "stage", "tool"), order)
    text = markdown(rows)
    (results.RESULTS / "stages.md").write_text(text)
    print(f"\n{text}\nThese tables and their rows are in bench/results (stages.*).")


def order(row: dict) -> tuple:
    places = [(kernel.stage, kernel.tool) for kernel in KERNELS]
    return row["points"], row["source"], places.index((row["stage"], row["tool"]))


if __name__ == "__main__":
    main()
