"""The file of results: rows by number of cells and tool, and the tables made of them."""

import datetime
import json
import os
from pathlib import Path

from driver.environments import ROOT
from driver.tools import BY_NAME, TOOLS

RESULTS = ROOT / "bench" / "results"
# Cores of other work from which on times are not to be trusted.
BUSY = 0.15
ORDER = {tool.name: place for place, tool in enumerate(TOOLS)}


def load(path: Path) -> list[dict]:
    return json.loads(path.read_text()) if path.exists() else []


def merge(path: Path, new: list[dict], keys: tuple, order) -> list[dict]:
    """Puts rows in place of those with the same values of `keys`, and writes the file."""
    key = lambda row: tuple(row[name] for name in keys)  # noqa: E731
    rows = {key(row): row for row in load(path)} | {key(row): row for row in new}
    ordered = sorted(rows.values(), key=order)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(ordered, indent=1) + "\n")
    return ordered


def merge_peers(new: list[dict]) -> list[dict]:
    """Merges rows of bench/peers.py: one a tool and atlas."""
    order = lambda row: (row["cells"], row["atlas"], ORDER.get(row["tool"], 99))  # noqa: E731
    return merge(RESULTS / "peers.json", new, ("cells", "atlas", "tool"), order)


def machine() -> dict:
    said = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((x.split(": ")[1] for x in said if x.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9, 1),
        "date": datetime.date.today().isoformat(),
    }


def number(value, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


TIMES = ["start", "read", "hvg", "pca", "neighbors", "leiden", "umap", "write"]
QUALITY = [
    ("recall", "recall", 3),
    ("recall_least", "least type", 3),
    ("modularity_own", "modularity, own graph", 4),
    ("modularity_common", "common graph", 4),
    ("clusters", "clusters", 0),
    ("ari", "ARI", 3),
    ("knn_kept", "kNN kept", 3),
    ("angle", "PCA angle", 1),
    ("genes_shared", "genes shared", 0),
]

ABOUT = """\
Every tool in a process of its own, one after the other, told to use two threads, the file in the
page cache. The total is the wall time of the process, with its imports (start) and the writing of
what it found; CPU seconds are those of its whole process tree; the peak is the sum of the tree's
proportional set sizes (PSS), sampled up to four times a second. Medians where there are several
runs. The first run in an environment is not counted; what a tool compiles anew in each process
(scanpy) is.

Stages: where a tool is out of core (cellmill, scanpy on Dask) reading the counts is part of hvg and
pca; CyteArc's read is the conversion to its own store; cellmill's read is opening the file and
finding the counts, and its hvg has the quality control and the check of every value too. neighbors
has the graph that is clustered. brisc and CyteArc choose genes in their own ways, and brisc
clusters a graph of shared neighbours.

Recall: the share of the 14 nearest in a tool's own components that it found, at 1,000 cells drawn
at random; least type: the same in the cell type that fares worst, of those with 30 cells drawn.
Modularity of its clusters on its own graph, and on cellmill's, which is the common one. ARI with
the simulated types. kNN kept: the share of the 15 nearest in its components that are among the 15
nearest in its layout. PCA angle: the largest principal angle, in degrees, between its first 10
components and cellmill's. Genes shared: of cellmill's 2,000."""


def markdown(rows: list[dict]) -> str:
    parts = ["# Side by side", "", "Made by `python3 bench/peers.py`.", "", ABOUT]
    for atlas in dict.fromkeys((row["cells"], row["atlas"]) for row in rows):
        of = [row for row in rows if (row["cells"], row["atlas"]) == atlas]
        parts += ["", *size(of)]
    return "\n".join(parts) + "\n"


def size(rows: list[dict]) -> list[str]:
    first = rows[0]
    shape = f"{first['cells']:,} cells x {first['genes']:,} genes, {first['entries']:,} entries"
    machines = {
        f"{m['processor']}, {m['cores']} cores, {m['memory_gb']} GB, {m['date']}"
        for m in (row["machine"] for row in rows)
    }
    said = [f"## {shape}", "", f"`{first['atlas']}`; {'; '.join(sorted(machines))}.", ""]
    busy = [row["others"] for row in rows if row.get("others", 0) > BUSY]
    if busy:
        said += [
            f"Other processes kept up to {max(busy):.1f} cores busy during {len(busy)} of these: "
            "their times say little.",
            "",
        ]
    head = ["seconds", *TIMES, "total", "CPU s", "peak GB", "runs"]
    body = []
    for row in rows:
        if "wall" not in row:
            continue
        stages = [number(row["stages"].get(name), 1) for name in TIMES]
        done = row["status"] == "done"
        total = number(row["wall"], 1) if done else f"{row['status']} at {number(row['wall'], 0)}"
        numbers = [number(row["cpu"], 1), number(row["peak_gb"], 2), str(len(row["runs"]))]
        body.append([name_of(row), *stages, total, *numbers])
    said += table(head, body)
    body = [
        [name_of(row), *(number(row["quality"].get(key), digits) for key, _, digits in QUALITY)]
        for row in rows
        if row.get("quality")
    ]
    said += ["", *table(["quality", *(label for _, label, _ in QUALITY)], body)]
    notes = []
    processors = {row["machine"]["processor"] for row in rows}
    for row in rows:
        if len(processors) > 1:
            notes.append(f"- {name_of(row)}: on {row['machine']['processor']}.")
        if row["status"] != "done":
            notes.append(f"- {name_of(row)}: {row['status']}, {row['why'].rstrip('.')}.")
        for why, of in reasons(row).items():
            notes.append(f"- {name_of(row)}: no {', '.join(of)}: {why}.")
    return said + (["", *notes] if notes else [])


def reasons(row: dict) -> dict[str, list[str]]:
    labels = {key: label for key, label, _ in QUALITY}
    found = {}
    for key, why in row.get("quality", {}).get("why", {}).items():
        found.setdefault(why, []).append(labels.get(key, key))
    return found


def name_of(row: dict) -> str:
    return f"{BY_NAME[row['tool']].label} {row.get('version', '')}".strip()


def table(head: list[str], body: list[list[str]]) -> list[str]:
    line = lambda cells: "| " + " | ".join(cells) + " |"  # noqa: E731
    return [line(head), "|---|" + "---:|" * (len(head) - 1), *map(line, body)]
