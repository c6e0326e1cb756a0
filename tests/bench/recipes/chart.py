"""Draws the chart: figures.json in, a PNG out. Runs where matplotlib is, beside the rivals."""

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

COLOURS = {"ssh server true": "#9aa5b1", "Portside": "#1f7a5c", "pyinfra": "#c98a2b", "Ansible": "#b0413e"}


def main(figures: Path, chart: Path) -> None:
    seconds = json.loads(figures.read_text())["no_change"]
    distances = list(seconds)
    picture, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    for row, (tool, colour) in enumerate(COLOURS.items()):
        values = [seconds[distance][tool] for distance in distances]
        places = [place + (row - 1.5) * 0.2 for place in range(len(distances))]
        bars = axes.barh(places, values, height=0.19, color=colour, label=tool)
        axes.bar_label(
            bars, [f"{value:.1f} s" if value >= 1 else f"{value:.2f} s" for value in values], padding=3, fontsize=8
        )
    axes.set_yticks(range(len(distances)), [f"{distance} ms" for distance in distances])
    axes.set_ylabel("round-trip time")
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel("seconds of a run in which nothing is to be done (median)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper right")
    picture.savefig(chart, dpi=120, metadata={"Software": None})


main(Path(sys.argv[1]), Path(sys.argv[2]))
