"""One tool on one atlas: its command, its stages, and the medians of its runs."""

import json
import shutil
import statistics
import subprocess
from pathlib import Path

from driver import measure
from driver.atlases import cached
from driver.environments import PEERS, cellmill, environment, version
from driver.tools import THREADS, Tool

STAGES = ["start", "read", "hvg", "pca", "neighbors", "leiden", "umap", "write"]
# The stages of `cellmill run`, by their beginnings, as the peers' are named. The file is opened,
# and the matrix with counts found, before the first of them.
CELLMILL_STAGES = {
    "read 1": "hvg",
    "read 2": "pca",
    "Gram matrix": "pca",
    "eigenproblem": "pca",
    "project": "pca",
    "neighbors": "neighbors",
    "connectivities": "neighbors",
    "leiden": "leiden",
    "umap": "umap",
    "writing": "write",
}


def run_tool(
    tool: Tool, atlas: Path, folder: Path, work: Path, small, repeat: int, timeout: float
) -> dict:
    """The row of a tool: medians over its runs. Runs stop at the first that is not done.

    `small` gives an atlas for the run that is not counted.
    """
    if not tool.runs:
        return {"status": "not run", "why": tool.why_not}
    try:
        python = environment(tool.environment, work) if tool.environment else None
    except RuntimeError as error:
        return {"status": "not run", "why": str(error)}
    if python is not None:
        warm_up(tool, python, small, work, timeout)
    runs = []
    for _ in range(repeat):
        emptied(folder)
        if python is None:
            command = cellmill_command(atlas, folder)
        else:
            command = [python, PEERS / tool.script, atlas, folder]
        # For everybody.
        cached(atlas)
        run = measure.run(command, folder / "log.txt", timeout)
        read = cellmill_stages if python is None else peer_stages
        stages, unfinished = read(folder / "stages.jsonl")
        why = f"{run.why} (in {unfinished})" if run.why and unfinished else run.why
        runs.append(
            {
                "status": run.status,
                "why": why,
                "wall": round(run.wall, 2),
                "cpu": round(run.cpu, 2),
                "peak_gb": round(run.peak / 1e9, 3),
                "others": round(run.others, 2),
                "stages": {name: round(seconds, 3) for name, seconds in stages.items()},
            }
        )
        if run.status != "done":
            break
    bad = [run for run in runs if run["status"] != "done"]
    shown = bad[-1:] or runs
    middle = {
        key: round(statistics.median(run[key] for run in shown), 3)
        for key in ("wall", "cpu", "peak_gb", "others")
    }
    names = [name for name in STAGES if any(name in run["stages"] for run in shown)]
    return {
        "status": shown[-1]["status"],
        "why": shown[-1]["why"],
        "version": cellmill_version() if python is None else version(python, tool.package),
        **middle,
        "stages": {
            name: round(statistics.median(run["stages"].get(name, 0.0) for run in shown), 3)
            for name in names
        },
        "runs": runs,
    }


def emptied(folder: Path) -> Path:
    """A folder with nothing of an earlier run: CyteArc replaces no store that was opened."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def warm_up(tool: Tool, python: Path, small, work: Path, timeout: float) -> None:
    """One run that is not counted, the first in an environment: some tools (CyteArc) compile for
    minutes and keep it. What a tool compiles anew in each process (scanpy) is in every run."""
    # Lies in the environment, so that it goes with it.
    stamp = work / "env" / tool.environment / f".warm-{tool.name}"
    if stamp.exists():
        return
    print(f"  a first run of {tool.label}, not counted", flush=True)
    folder = emptied(work / "warm" / tool.name)
    run = measure.run([python, PEERS / tool.script, small(), folder], folder / "log.txt", timeout)
    if run.status == "done":
        stamp.touch()


def cellmill_command(atlas: Path, folder: Path, memory="4G", with_x=False) -> list:
    result, events = folder / "found.h5ad", folder / "stages.jsonl"
    limits = ["--threads", THREADS, "--memory", memory]
    what = [] if with_x else ["--write-x", "none"]
    return [cellmill(), "run", atlas, "-o", result, *what, *limits, "--events", events]


def cellmill_version() -> str:
    said = subprocess.run([cellmill(), "--version"], capture_output=True, text=True).stdout
    return said.split()[-1]


def lines(path: Path) -> list[dict]:
    """The JSON lines of a file; one that was cut off at a kill is left out."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def peer_stages(path: Path) -> tuple[dict[str, float], str]:
    """Seconds of each stage, and the stage that began and did not end."""
    stages, unfinished = {}, ""
    for line in lines(path):
        unfinished = line.get("started", "")
        if "stage" in line:
            stages[line["stage"]] = stages.get(line["stage"], 0.0) + line["seconds"]
    return stages, unfinished


def cellmill_stages(path: Path) -> tuple[dict[str, float], str]:
    """The same from the events of `cellmill run`."""
    stages, unfinished = {}, ""
    for line in lines(path):
        if line["event"] == "stage_started":
            unfinished = line["stage"]
            stages.setdefault("read", line["at"])
        elif line["event"] == "stage_finished":
            unfinished = ""
            name = next(
                (
                    name
                    for start, name in CELLMILL_STAGES.items()
                    if line["stage"].startswith(start)
                ),
                "write",
            )
            stages[name] = stages.get(name, 0.0) + line["seconds"]
    return stages, unfinished
