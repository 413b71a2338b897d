"""Compares the `leiden` example with igraph on one graph, over several seeds.

    python compare_leiden.py DIR [resolution] [n_iterations] [seeds] [binary]

DIR holds `indptr.u64`, `indices.u32`, `weights.f32` (see examples/leiden.rs) and, if known,
`truth.i32`, one class for each vertex. Prints modularity, the number and sizes of clusters, the
adjusted Rand indices between our runs and igraph's and among igraph's own, and the F1 of classes
under 1 % of the vertices, each in its best matching cluster. igraph's labels are kept in DIR.
"""

import random
import subprocess
import sys
import time
from itertools import combinations, product
from pathlib import Path

import igraph as ig
import numpy as np


def ari(a, b):
    """The adjusted Rand index."""
    n = len(a)
    pair = a.astype(np.int64) * (b.max() + 1) + b
    twos = lambda counts: float((counts.astype(np.float64) * (counts - 1) / 2).sum())
    both = twos(np.unique(pair, return_counts=True)[1])
    left, right = twos(np.bincount(a)), twos(np.bincount(b))
    expected = left * right / (n * (n - 1) / 2)
    return (both - expected) / ((left + right) / 2 - expected)


def best_f1(labels, members):
    """The F1 of a class in the cluster that matches it best."""
    hits = np.bincount(labels[members], minlength=labels.max() + 1)
    return (2 * hits / (np.bincount(labels) + members.sum())).max()


def line(name, values, form="{:.4f}"):
    values = np.sort(np.asarray(values, dtype=float))
    show = lambda v: form.format(v)
    print(f"  {name:24s} min {show(values[0])}  median {show(np.median(values))}  max {show(values[-1])}")


def main():
    folder = Path(sys.argv[1])
    resolution = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    n_iterations = int(sys.argv[3]) if len(sys.argv) > 3 else 2
    seeds = range(int(sys.argv[4]) if len(sys.argv) > 4 else 10)
    binary = sys.argv[5] if len(sys.argv) > 5 else "target/release/examples/leiden"

    indptr = np.fromfile(folder / "indptr.u64", "<u8").astype(np.int64)
    indices = np.fromfile(folder / "indices.u32", "<u4").astype(np.int64)
    weights = np.fromfile(folder / "weights.f32", "<f4").astype(np.float64)
    n = len(indptr) - 1
    rows = np.repeat(np.arange(n), np.diff(indptr))
    # Every edge twice, as scanpy builds the graph.
    graph = ig.Graph(n, np.column_stack([rows, indices]))
    print(f"{folder}: {n} vertices, {len(indices)} entries, resolution {resolution}, {n_iterations} iterations")

    theirs, seconds = [], []
    for seed in seeds:
        kept = folder / f"igraph.{resolution}.{n_iterations}.{seed}.u32"
        if not kept.exists():
            ig.set_random_number_generator(random.Random(seed))
            begun = time.process_time()
            part = graph.community_leiden(
                "modularity", weights=weights, resolution=resolution, n_iterations=n_iterations
            )
            seconds.append(time.process_time() - begun)
            np.asarray(part.membership, "<u4").tofile(kept)
        theirs.append(np.fromfile(kept, "<u4"))
    subprocess.run(
        [binary, folder, str(resolution), str(n_iterations), "0", str(len(seeds))], check=True, stdout=subprocess.DEVNULL
    )
    ours = [np.fromfile(folder / f"labels.{seed}.u32", "<u4") for seed in seeds]

    if seconds:
        line("igraph CPU seconds", seconds, "{:.2f}")
    quality = lambda labels: graph.modularity(labels, weights=weights, resolution=resolution)
    for name, runs in [("igraph", theirs), ("ours", ours)]:
        line(f"modularity {name}", [quality(r) for r in runs], "{:.6f}")
    for name, runs in [("igraph", theirs), ("ours", ours)]:
        line(f"clusters {name}", [r.max() + 1 for r in runs], "{:.0f}")
        line(f"largest {name}", [np.bincount(r).max() for r in runs], "{:.0f}")
        line(f"smallest {name}", [np.bincount(r).min() for r in runs], "{:.0f}")
    line("ARI igraph x igraph", [ari(a, b) for a, b in combinations(theirs, 2)])
    line("ARI ours x igraph", [ari(a, b) for a, b in product(ours, theirs)])
    line("ARI ours x ours", [ari(a, b) for a, b in combinations(ours, 2)])
    truth = folder / "truth.i32"
    if truth.exists():
        truth = np.fromfile(truth, "<i4")
        for name, runs in [("igraph", theirs), ("ours", ours)]:
            line(f"ARI truth {name}", [ari(truth, r) for r in runs])
        for c, size in enumerate(np.bincount(truth)):
            if 0 < size < n // 100:
                for name, runs in [("igraph", theirs), ("ours", ours)]:
                    line(f"F1 class {c} ({size}) {name}", [best_f1(r, truth == c) for r in runs])


if __name__ == "__main__":
    main()
