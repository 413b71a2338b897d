"""The kernels of bench/stages.py: how each is run, and what the tables show of it."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from driver.environments import PEERS, environment, example
from driver.tools import THREAD_VARIABLES, THREADS


@dataclass(frozen=True)
class Kernel:
    stage: str
    tool: str
    label: str
    # The environment of a peer, whose script is kernels_ENVIRONMENT.py; none for our own.
    environment: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        return f"{self.stage}-{self.tool}"


KERNELS = [
    Kernel("knn", "cellmill", "cellmill"),
    Kernel("knn", "pynndescent", "pynndescent", "scanpy", "as scanpy sets it"),
    Kernel("knn", "annoy", "annoy", "scanpy", "sklearn-ann's, 10 trees, one thread"),
    Kernel("knn", "brisc", "brisc", "brisc"),
    Kernel("knn", "crest", "crest-sc", "crest", "exact up to 20,000 points"),
    Kernel("fuzzy", "cellmill", "cellmill"),
    Kernel("fuzzy", "umap-learn", "umap-learn", "scanpy"),
    Kernel("fuzzy", "crest", "crest-sc", "crest"),
    Kernel("leiden", "cellmill", "cellmill"),
    Kernel("leiden", "igraph", "igraph", "scanpy", "as scanpy calls it, its graph made of CSR too"),
    Kernel(
        "leiden", "brisc", "brisc", "brisc", "adds an edge of weight 1 from each cell to itself"
    ),
    Kernel("leiden", "crest", "crest-sc", "crest"),
    Kernel("umap", "cellmill", "cellmill"),
    Kernel("umap", "umap-learn", "umap-learn", "scanpy", "from our start"),
    Kernel("umap", "brisc", "brisc", "brisc", "Hogwild; seconds with its own graph and start"),
    Kernel("umap", "crest", "crest-sc", "crest", "seconds with its own start"),
]
STAGES = {
    "knn": "Neighbours: the 14 nearest others of the same points",
    "fuzzy": "Fuzzy set of our neighbours",
    "leiden": "Leiden on the same graph, resolution 1, 2 iterations",
    "umap": "Layout of the same graph, 200 epochs",
}
COLUMNS = {
    "knn": [("recall", "recall", 4), ("recall_least", "least type", 4)],
    "fuzzy": [("entries", "entries", 0), ("difference", "largest difference to the graph", 7)],
    "leiden": [("modularity", "modularity", 5), ("clusters", "clusters", 0), ("ari", "ARI", 3)],
    "umap": [
        ("init_seconds", "start, s", 2),
        ("loss", "loss", 4),
        ("pull", "pull", 4),
        ("knn_kept", "kNN kept", 4),
    ],
}


class Failed(Exception):
    """A kernel ended with an error, or did not end in time."""


def call(command: list, timeout: float) -> str:
    """What a command prints. Its threads are those of every tool."""
    told = os.environ | dict.fromkeys(THREAD_VARIABLES, str(THREADS))
    words = list(map(str, command))
    try:
        done = subprocess.run(words, capture_output=True, text=True, env=told, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"ended after {timeout:.0f} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise Failed(said[-1][:300])
    return done.stdout


def run(kernel: Kernel, folder: Path, shape: dict, work: Path, timeout: float) -> dict:
    """Seconds of a kernel. Raises Failed."""
    if not kernel.environment:
        return OURS[kernel.stage](folder, shape, timeout)
    try:
        python = environment(kernel.environment, work)
    except RuntimeError as error:
        raise Failed(str(error)) from None
    script = PEERS / f"kernels_{kernel.environment}.py"
    said = call([python, script, kernel.stage, kernel.tool, folder], timeout)
    return json.loads(said.strip().splitlines()[-1])


def number(pattern: str, said: str) -> float:
    found = re.search(pattern, said)
    if not found:
        raise Failed(f"the example printed no {pattern!r}")
    return float(found[1])


def our_knn(folder: Path, shape: dict, timeout: float) -> dict:
    # One point is asked for recall: bench/peers/stage_judge.py judges all kernels alike.
    options = [shape["dimensions"], 15, THREADS, folder / "knn.u32", os.devnull, 1]
    said = call([example("knn"), folder / "points.f32", *options], timeout)
    (folder / "knn.txt").write_text(said)
    return {
        "seconds": number(r"knn of .*?: ([\d.]+) s", said),
        "cpu": number(r"knn of .*?, ([\d.]+) CPU s", said),
    }


def our_fuzzy(folder: Path, shape: dict, timeout: float) -> dict:
    said = (folder / "knn.txt").read_text()
    return {
        "seconds": number(r"fuzzy set of .*?: ([\d.]+) s", said),
        "cpu": number(r"fuzzy set of .*?, ([\d.]+) CPU s", said),
    }


def our_leiden(folder: Path, shape: dict, timeout: float) -> dict:
    said = call([example("leiden"), folder, 1, 2, 0, 1, THREADS], timeout)
    shutil.move(folder / "labels.0.u32", folder / "leiden-cellmill.u32")
    return {"seconds": number(r"seed 0: ([\d.]+) s", said)}


def our_umap(folder: Path, shape: dict, timeout: float) -> dict:
    said = call([example("umap"), folder, "spectral", THREADS, 0, 200], timeout)
    return {
        "seconds": number(r"order: ([\d.]+) s", said) + number(r"descent: ([\d.]+) s", said),
        "init_seconds": number(r"initial layout: ([\d.]+) s", said),
    }


OURS = {"knn": our_knn, "fuzzy": our_fuzzy, "leiden": our_leiden, "umap": our_umap}
