"""Draw docs/attention_<device>.png from the grid of benchmarks/attention.py: time over length.

python benchmarks/plot.py
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
from common import RESULTS

mpl.use("Agg")
from matplotlib import pyplot as plt

DOCS = Path(__file__).parents[1] / "docs"
COLOURS = {"regard": "#1b6ca8", "sdpa": "#c8553d", "flex": "#588b3b", "naive": "#8a8a8a", "x-transformers": "#b58b00"}


def draw(device: str) -> None:
    """One picture a device: a panel for each direction, heads of 64."""
    path = RESULTS / f"attention_grid_{device}.json"
    if not path.exists():
        return
    result = json.loads(path.read_text())
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True)
    for panel, mode in zip(panels, ("forward", "forward+backward"), strict=True):
        cases = [case for case in result["results"] if case["mode"] == mode and case["head_dim"] == 64]
        for name in dict.fromkeys(case["name"] for case in cases):
            points = sorted((case["length"], case["ms"]["median"]) for case in cases if case["name"] == name)
            style = "-" if "window" not in name else "--" if "boolean" not in name else ":"
            panel.loglog(*zip(*points, strict=True), style, marker="o", ms=3, label=name, color=COLOURS[name.split()[0]])
        panel.set_title(f"{mode}, 8 heads of 64", fontsize=10)
        panel.set_xlabel("length")
        panel.set_xscale("log", base=2)
        panel.grid(alpha=0.25, which="both", lw=0.4)
    panels[0].set_ylabel("milliseconds")
    panels[0].legend(fontsize=8)
    figure.suptitle(f"{result['device'] if device != 'cpu' else result['machine']}", fontsize=9)
    figure.tight_layout()
    figure.savefig(DOCS / f"attention_{device}.png", dpi=110)


if __name__ == "__main__":
    for name in ("cpu", "cuda"):
        draw(name)
