"""Draws seconds and memory against cells: `plot.py ROWS.json OUT` writes OUT.svg and OUT.png.

ROWS.json: a list of {label, colour, cells, wall, peak_gb, done}, made by bench/peers.py. An open
triangle is a run that was ended: it needed at least that.
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

PANELS = [("wall", "Seconds, counts to UMAP"), ("peak_gb", "Peak memory, GB")]


def main() -> None:
    rows, out = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2]
    plt.rcParams.update({"font.size": 10, "svg.fonttype": "none", "svg.hashsalt": "cellmill"})
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 4.4), sharex=True)
    for axis, (key, title) in zip(axes, PANELS, strict=True):
        ends = []
        for label in dict.fromkeys(row["label"] for row in rows):
            own = sorted((row for row in rows if row["label"] == label), key=lambda r: r["cells"])
            good = [row for row in own if row["done"]]
            colour, bold = own[0]["colour"], label == "cellmill"
            line = {"color": colour, "lw": 2.4 if bold else 1.6, "zorder": 3 if bold else 2}
            axis.plot([r["cells"] for r in good], [r[key] for r in good], marker="o", ms=5, **line)
            for row in (row for row in own if not row["done"]):
                # It was ended here, and would have gone on: at least this much.
                axis.plot(row["cells"], row[key], marker="^", ms=7, mfc="w", ls="", color=colour)
            last = own[-1]
            ends.append((last[key], label, colour, bold, last["cells"]))
        axis.set(xscale="log", yscale="log", title=title, xlabel="Cells")
        frame(axis, [row["cells"] for row in rows], [row[key] for row in rows])
        write_labels(axis, ends)
    figure.tight_layout(w_pad=2)
    figure.savefig(f"{out}.svg", metadata={"Date": None})
    figure.savefig(f"{out}.png", dpi=150)


def frame(axis, cells: list[int], values: list[float]) -> None:
    sizes = sorted(set(cells))
    axis.set_xticks(sizes, [short(size) for size in sizes])
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.xaxis.set_minor_locator(LogLocator(subs=[]))
    # Room on the right for the names of the lines.
    axis.set_xlim(sizes[0] / 1.35, sizes[-1] * max(2.6, (sizes[-1] / sizes[0]) ** 0.5))
    axis.set_ylim(min(values) / 1.6, max(values) * 1.6)
    axis.yaxis.set_major_locator(LogLocator(subs=[1, 2, 5]))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.grid(axis="y", color="#e6e6e6", lw=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def short(size: int) -> str:
    return f"{size / 1e6:.3g} M" if size >= 1_000_000 else f"{size / 1e3:.3g} k"


def write_labels(axis, ends: list[tuple]) -> None:
    """Writes the names on the right, moved apart where they would touch."""
    low, high = axis.get_ylim()
    to_axis = lambda x: axis.transScale.transform((1, x))[1]  # noqa: E731
    bottom, top = to_axis(low), to_axis(high)
    least = 0.058
    places, right = [], max(end[4] for end in ends)
    for value, label, colour, bold, cells in sorted(ends):
        own = (to_axis(value) - bottom) / (top - bottom)
        place = max(own, places[-1][0] + least) if places else own
        places.append((place, value, label, colour, bold, cells))
    over = max(0.0, places[-1][0] - 0.985)
    for place, value, label, colour, bold, cells in places:
        # A line that ends before the others is led to its name.
        lead = {"arrowstyle": "-", "color": colour, "lw": 0.8, "ls": ":", "shrinkB": 6}
        axis.annotate(
            label,
            (cells, value),
            xytext=(right * 1.12, place - over),
            textcoords=("data", "axes fraction"),
            va="center",
            color=colour,
            fontweight="bold" if bold else "normal",
            arrowprops=lead if cells < right else None,
        )


if __name__ == "__main__":
    main()
