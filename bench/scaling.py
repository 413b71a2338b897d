"""How the cost of each stage grows with cells, entries, genes, neighbours and threads.

Usage: python3 bench/scaling.py [--cells 25000 50000 100000 200000] [--repeat 3] [--only k ...]
       python3 bench/scaling.py --clean

Simulates atlases, runs `cellmill run` on them (for the neighbours its steps `neighbors`, `leiden`
and `umap`), changing one number at a time from the base, and fits seconds = c * number ^ exponent
by least squares of the logarithms, for each stage: over CPU seconds of all threads, which a busy
machine changes little, and over wall seconds for the threads. Linux only. Times that are too short
to fit (--least) are left out.

Writes scaling.json, scaling.md and, with the matplotlib of .tools/parity, scaling.svg and
scaling.png into bench/results. Atlases stay in .tools/bench/scaling for the next time; --clean
removes them.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from driver.atlases import cached, simulated
from driver.environments import ROOT, cellmill
from driver.results import machine

FOLDER = ROOT / ".tools/bench/scaling"
PLOTTER = ROOT / ".tools/parity/bin/python"

# What is varied: its name in settings and what it is called in tables.
PARAMETERS = {
    "cells": "cells",
    "entries": "entries a cell",
    "selected": "genes selected",
    "k": "neighbours",
    "threads": "threads",
}
# Seconds between two looks at a process.
LOOK = 0.005


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbers = {"type": int, "nargs": "+"}
    parser.add_argument("--cells", default=[25_000, 50_000, 100_000, 200_000], **numbers)
    parser.add_argument("--entries", default=[250, 500, 1000, 2000], **numbers)
    parser.add_argument("--selected", default=[500, 1000, 2000, 4000], **numbers)
    parser.add_argument("--k", default=[5, 15, 30, 60], **numbers)
    parser.add_argument("--threads", default=[1, 2], **numbers)
    parser.add_argument(
        "--at", type=int, default=50_000, help="cells where something else is varied"
    )
    parser.add_argument("--genes", type=int, default=27_714, help="genes of the atlases")
    parser.add_argument("--repeat", type=int, default=1, help="runs of which the median is taken")
    parser.add_argument("--least", type=float, default=0.02, help="shorter seconds are not fitted")
    parser.add_argument("--only", choices=PARAMETERS, nargs="+", default=list(PARAMETERS))
    parser.add_argument("--out", type=Path, default=ROOT / "bench/results")
    parser.add_argument("--clean", action="store_true", help="remove the atlases, do nothing else")
    parser.add_argument("--plot", action="store_true", help="only draw the scaling.json of --out")
    return parser.parse_args()


def cpu_seconds(pid: int) -> float:
    """CPU seconds of all threads of a process so far, those that ended as well (Linux)."""
    # The number of another process's CPU clock, as clock_getcpuclockid makes it.
    return time.clock_gettime((~pid << 3) | 2)


def run(command: str, source: Path, target: Path, settings: dict) -> dict:
    """Runs a command: wall and CPU seconds of each stage, of what is before it, and of all."""
    events = FOLDER / "events.jsonl"
    events.write_text("")
    options = {
        "--n-top-genes": settings["selected"],
        "--n-neighbors": settings["k"],
        "--threads": settings["threads"],
        # Not the default, which is another one up to 10,000 cells.
        "--epochs": 200,
    }
    words = [str(word) for option in options.items() for word in option]
    child = subprocess.Popen(
        [
            cellmill(),
            command,
            source,
            "-o",
            target,
            "--force",
            "--quiet",
            "--events",
            events,
            *words,
        ],
        stderr=subprocess.PIPE,
    )
    begun = time.perf_counter()
    looks, unread, origin = [], "", math.inf
    with events.open() as file:
        # The process is not reaped before the loop ends, so that its clock can still be read.
        while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            looks.append((time.perf_counter(), cpu_seconds(child.pid)))
            *lines, unread = (unread + file.read()).split("\n")
            for line in lines:
                # The line of a moment ago says when the process began to count.
                origin = min(origin, looks[-1][0] - json.loads(line)["at"])
            time.sleep(LOOK)
    ended = time.perf_counter()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        said = child.stderr.read().decode()
        sys.exit(f"error: cellmill {command} of {source} failed:\n{said}")
    child.stderr.close()

    def took(start: float, end: float) -> dict:
        cpu = max(0.0, cpu_at(looks, origin + end) - cpu_at(looks, origin + start))
        return {"wall": end - start, "CPU": cpu}

    stages, last = {}, 0.0
    for line in map(json.loads, events.read_text().splitlines()):
        if line["event"] == "stage_started":
            stages[f"before {line['stage']}"] = took(last, line["at"])
        elif line["event"] == "stage_finished":
            stages[line["stage"]] = took(line["at"] - line["seconds"], line["at"])
            last = line["at"]
    whole = {"wall": ended - begun, "CPU": used.ru_utime + used.ru_stime}
    return {**stages, f"whole of cellmill {command}": whole}


def cpu_at(looks: list[tuple[float, float]], moment: float) -> float:
    """CPU seconds at a moment, between two looks in proportion."""
    after = next((i for i, look in enumerate(looks) if look[0] >= moment), len(looks) - 1)
    (t0, c0), (t1, c1) = looks[max(after - 1, 0)], looks[after]
    share = min(max((moment - t0) / (t1 - t0), 0.0), 1.0) if t1 > t0 else 0.0
    return c0 + share * (c1 - c0)


def atlas(settings: dict) -> Path:
    path = FOLDER / f"atlas-{settings['cells']}x{settings['genes']}-{settings['entries']}.h5ad"
    entries = ["--entries-per-cell", settings["entries"]]
    return cached(simulated(path, settings["cells"], settings["genes"], *entries))


def measured(settings: dict, steps: bool, done: dict) -> dict:
    """The stages of a run with these settings, or of the single steps that neighbours change."""
    key = (steps, *settings.values())
    if key not in done:
        source, result = atlas(settings), FOLDER / "result.h5ad"
        if not steps:
            stages = run("run", source, result, settings)
        else:
            base, near = FOLDER / f"base-{source.name}", FOLDER / "neighbours.h5ad"
            if not base.exists():
                run("run", source, base, settings)
            stages = run("neighbors", base, near, settings)
            stages |= run("leiden", near, result, settings)
            stages |= run("umap", near, result, settings)
            # Three files are written, which says nothing of the job.
            stages = {name: took for name, took in stages.items() if "writing" not in name}
        done[key] = stages
    return done[key]


def median(runs: list[dict]) -> dict:
    def of(stage: str, kind: str) -> float:
        return round(statistics.median(run[stage][kind] for run in runs if stage in run), 4)

    return {stage: {kind: of(stage, kind) for kind in ("wall", "CPU")} for stage in runs[0]}


def fit(points: list[tuple[float, float]]) -> dict | None:
    """The exponent of seconds over number, and its standard error, which takes three points."""
    if len({number for number, _ in points}) < 2:
        return None
    x, y = [math.log(p[0]) for p in points], [math.log(p[1]) for p in points]
    mx, my = statistics.mean(x), statistics.mean(y)
    exponent = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    squares = sum((a - mx) ** 2 for a in x)
    exponent /= squares
    rest = sum((b - my - exponent * (a - mx)) ** 2 for a, b in zip(x, y, strict=True))
    degrees = len(points) - 2
    error = math.sqrt(rest / degrees / squares) if degrees else None
    return {
        "exponent": round(exponent, 3),
        "standard error": None if error is None else round(error, 3),
        "points": len(points),
    }


def fits(runs: list[dict], kinds: dict, least: float) -> dict:
    """Of each parameter and stage, the exponent."""
    found = {}
    for parameter, kind in kinds.items():
        own = [run for run in runs if run["parameter"] == parameter]
        stages = dict.fromkeys(stage for run in own for stage in run["stages"])
        for stage in stages:
            times = [(run["value"], run["stages"].get(stage, {}).get(kind)) for run in own]
            fitted = fit([(number, s) for number, s in times if s is not None and s >= least])
            if fitted:
                found.setdefault(parameter, {})[stage] = fitted
    return found


def table(result: dict) -> str:
    parameters = [p for p in PARAMETERS if p in result["exponents"]]
    found = result["exponents"]
    stages = dict.fromkeys(stage for p in parameters for stage in found[p])
    base = ", ".join(f"{value:,} {PARAMETERS.get(n, n)}" for n, value in result["base"].items())
    over = ", ".join(f"{PARAMETERS[p]}: {result['seconds'][p]} seconds" for p in parameters)
    values = {p: [r["value"] for r in result["runs"] if r["parameter"] == p] for p in parameters}
    sizes = "; ".join(f"{PARAMETERS[p]} {', '.join(map(str, values[p]))}" for p in parameters)
    lines = [
        "# How the cost grows",
        "",
        "Exponents e of seconds = c * number ^ e, by least squares of the logarithms.",
        f"Made by bench/scaling.py on {result['machine']}, commit {result['commit']}, "
        f"medians of {result['repeat']}.",
        "",
        f"- Base: {base}.",
        f"- Varied: {sizes}.",
        f"- Fitted over: {over}.",
        f"- Times below {result['least']} s are left out; (n): of n points, where that is fewer "
        "than were measured; ~: the standard error is above 0.1.",
        "",
        "| stage | " + " | ".join(PARAMETERS[p] for p in parameters) + " |",
        "|---|" + "--:|" * len(parameters),
    ]
    for stage in stages:
        cells = []
        for p in parameters:
            row = found[p].get(stage)
            if row is None:
                cells.append("")
                continue
            doubt = "~" if (row["standard error"] or 0) > 0.1 else ""
            few = f" ({row['points']})" if row["points"] < len(values[p]) else ""
            cells.append(f"{doubt}{row['exponent']:.2f}{few}")
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot(out: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    result = json.loads((out / "scaling.json").read_text())
    found = result["exponents"]
    parameters = [p for p in PARAMETERS if p in found]
    figure, axes = plt.subplots(
        1,
        len(parameters),
        figsize=(4.5 * len(parameters), 7),
        layout="constrained",
        squeeze=False,
    )
    # A stage has one colour in all panels.
    names = list(dict.fromkeys(stage for p in parameters for stage in found[p]))
    colours = plt.get_cmap("tab20").colors
    for axis, parameter in zip(axes[0], parameters, strict=True):
        kind = result["seconds"][parameter]
        own = [run for run in result["runs"] if run["parameter"] == parameter]
        for stage, row in found[parameter].items():
            points = [(r["value"], r["stages"].get(stage, {}).get(kind)) for r in own]
            points = sorted(p for p in points if p[1] is not None and p[1] >= result["least"])
            colour = colours[names.index(stage) % len(colours)]
            label = f"{stage} ({row['exponent']:.2f})"
            axis.plot(*zip(*points, strict=True), "o-", ms=4, lw=1, color=colour, label=label)
        axis.set(xscale="log", yscale="log", xlabel=PARAMETERS[parameter], ylabel=f"{kind} seconds")
        ticks = sorted({run["value"] for run in own})
        axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axis.minorticks_off()
        # Below, where no line runs.
        axis.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.12),
            fontsize=8,
            frameon=False,
            title="stage (exponent)",
        )
    for ending in ("svg", "png"):
        figure.savefig(out / f"scaling.{ending}", dpi=150)


def main() -> None:
    asked = parsed()
    if asked.clean:
        shutil.rmtree(FOLDER, ignore_errors=True)
        return
    if asked.plot:
        plot(asked.out)
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    # Atlases are the same for ever; a result of an older build is not.
    for old in FOLDER.glob("base-*"):
        old.unlink()
    base = {"cells": asked.at, "genes": asked.genes, "entries": 1000, "selected": 2000, "k": 15}
    base["threads"] = max(asked.threads)
    todo = [(p, value) for p in asked.only for value in getattr(asked, p)]
    repeats: dict[tuple, list[dict]] = {}
    for turn in range(asked.repeat):
        # The base is part of several series, and measured once in a turn.
        done: dict[tuple, dict] = {}
        for parameter, value in todo:
            stages = measured({**base, parameter: value}, parameter == "k", done)
            repeats.setdefault((parameter, value), []).append(stages)
            whole = sum(took["wall"] for name, took in stages.items() if name.startswith("whole"))
            print(f"{turn + 1}: {PARAMETERS[parameter]} {value:,}: {whole:.1f} s", flush=True)
    runs = [
        {"parameter": parameter, "value": value, "stages": median(own)}
        for (parameter, value), own in repeats.items()
    ]
    kinds = {p: "CPU" if p != "threads" else "wall" for p in asked.only}
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    about = machine()
    result = {
        "machine": f"{about['processor']}, {about['cores']} cores",
        "commit": commit.stdout.strip() or "unknown",
        "repeat": asked.repeat,
        "least": asked.least,
        "base": base,
        "seconds": kinds,
        "exponents": fits(runs, kinds, asked.least),
        "runs": runs,
    }
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "scaling.json").write_text(json.dumps(result, indent=1) + "\n")
    (asked.out / "scaling.md").write_text(table(result))
    if not result["exponents"]:
        print("no plot: an exponent takes two numbers of something")
    elif PLOTTER.exists():
        subprocess.run([PLOTTER, __file__, "--plot", "--out", asked.out], check=True)
    else:
        print("no plot: .tools/parity has no Python; ./test makes it")
    print(f"wrote {asked.out}/scaling.*")


if __name__ == "__main__":
    main()
