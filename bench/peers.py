"""Single-cell tools side by side: counts to clusters and layout, on the same file and machine.

    python3 bench/peers.py                                  # 20,000 simulated cells, every tool
    python3 bench/peers.py --cells 20000,100000,200000 --repeat 3
    python3 bench/peers.py --file atlas.h5ad --only cellmill,brisc

Each tool gets an environment of its own under .tools/bench (pinned by bench/peers/NAME.txt) and
runs in processes of its own, one after the other. Results are merged into bench/results/peers.json;
the tables (peers.md) and the picture (peers.svg, peers.png) are made of all that is there. Needs
Python 3.13 for the peers; this driver runs on 3.11 or later without any package. Linux only.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from driver import results
from driver.atlases import simulated
from driver.environments import PEERS, ROOT, environment
from driver.runs import run_tool
from driver.tools import BY_NAME, TOOLS

GENES = 27_714
# Enough for the approximate neighbour search of scanpy, which begins at 8,192.
WARM_CELLS = 10_000


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--cells", default="20000", help="sizes of simulated atlases, by commas")
    parser.add_argument("--file", type=Path, help="an h5ad with CSR counts, in place of --cells")
    parser.add_argument("--only", default="", metavar="NAME,NAME", help="these tools")
    parser.add_argument("--skip", default="", metavar="NAME,NAME", help="all tools but these")
    parser.add_argument("--list", action="store_true", help="shows the tools and ends")
    parser.add_argument("--repeat", type=int, default=1, help="runs; medians are reported")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds of a run")
    work = ROOT / ".tools" / "bench"
    parser.add_argument("--work", type=Path, default=work, help="folder of atlases, environments")
    return parser.parse_args()


def chosen(only: str, skip: str) -> list:
    names = [name for part in (only, skip) for name in part.split(",") if name]
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        sys.exit(f"{', '.join(unknown)}: no such tool; --list shows those there are")
    wanted = only.split(",") if only else list(BY_NAME)
    return [tool for tool in TOOLS if tool.name in wanted and tool.name not in skip.split(",")]


def atlas_of(cells: int, work: Path) -> Path:
    return simulated(work / f"atlas-{cells}.h5ad", cells, GENES)


def said(command: list) -> dict:
    """The JSON that a script prints."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{Path(command[1]).name} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def on_atlas(atlas: Path, tools: list, options: argparse.Namespace, scanpy: Path) -> None:
    work = options.work
    shape = said([scanpy, PEERS / "describe.py", atlas])
    folder = work / "runs" / atlas.stem
    path = results.RESULTS / "peers.json"
    for tool in tools:
        about = shape | {"atlas": atlas.name, "tool": tool.name, "machine": results.machine()}
        print(f"{tool.label} on {atlas.name}", flush=True)
        small = lambda: atlas_of(WARM_CELLS, work)  # noqa: E731
        where = (atlas, folder / tool.name, work, small)
        row = run_tool(tool, *where, options.repeat, options.timeout)
        # At once, so that what is measured stays where a later tool ends the benchmark.
        results.merge_peers([about | row])
        outcome = f"{row['wall']:.1f} s, {row['peak_gb']:.2f} GB" if "wall" in row else ""
        print("  " + ", ".join(filter(None, [row["status"], outcome, row["why"]])), flush=True)
    # All tools with a result on this atlas: cellmill's, the common one, may be new.
    rows = [row for row in results.load(path) if row["atlas"] == atlas.name]
    done = [row["tool"] for row in rows if row["status"] == "done"]
    print("evaluating", flush=True)
    judged = said([scanpy, PEERS / "evaluate.py", atlas, folder, *done])
    for row in rows:
        row["quality"] = judged.get(row["tool"], row.get("quality", {}))
    results.merge_peers(rows)


def picture(rows: list[dict], work: Path, scanpy: Path) -> None:
    points = [
        {
            "label": BY_NAME[row["tool"]].label,
            "colour": BY_NAME[row["tool"]].colour,
            "cells": row["cells"],
            "wall": row["wall"],
            "peak_gb": row["peak_gb"],
            "done": row["status"] == "done",
        }
        for row in rows
        # Where a run was ended it would have taken more; one that failed says nothing.
        if row["status"] in ("done", "timeout", "killed")
    ]
    if points:
        (work / "points.json").write_text(json.dumps(points))
        out = results.RESULTS / "peers"
        subprocess.run([scanpy, PEERS / "plot.py", work / "points.json", out], check=True)


def main() -> None:
    options = asked()
    tools = chosen(options.only, options.skip)
    if options.list:
        for tool in tools:
            print(f"{tool.name:12} {tool.label:20} {tool.why_not and f'not run: {tool.why_not}'}")
        return
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    scanpy = environment("scanpy", options.work)
    sizes = [int(size) for size in options.cells.split(",")]
    atlases = (
        [options.file.resolve()] if options.file else (atlas_of(n, options.work) for n in sizes)
    )
    for atlas in atlases:
        on_atlas(atlas, tools, options, scanpy)
    rows = results.load(results.RESULTS / "peers.json")
    text = results.markdown(rows)
    (results.RESULTS / "peers.md").write_text(text)
    picture(rows, options.work, scanpy)
    print(f"\n{text}\nThese tables, their rows and a picture are in bench/results (peers.*).")


if __name__ == "__main__":
    main()
