"""Does a part of a model help? The same training with and without it, seed by seed.

    python benchmarks/ablation.py TASK DATA_FOLDER RECIPE --name NAME --vary OPTION=VALUE,VALUE [--seeds 0 1] [-- OPTION ...]

Each run is a whole `regard train`, scored on the test file. benchmarks/results/ablation_NAME.json holds every run, and the
first variant's score less each other's: the mean over seeds and its 95 % interval by Student's t of the paired differences. It
is written after each run, and what is there already is not trained again.
"""

from __future__ import annotations

import argparse
import json
import sys
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from common import RESULTS, spread, write
from quality import measure

T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Student's t, two-sided, by the number of pairs."""


def difference(one: dict[int, float], other: dict[int, float]) -> dict[str, Any]:
    """Of the seeds that both have: the mean, and the interval where there are two pairs and more."""
    gains = [one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())]
    if len(gains) < 2:
        return {"mean": gains[0] if gains else None, "pairs": len(gains)}
    half = T_95[len(gains)] * stdev(gains) / sqrt(len(gains))
    return {"mean": mean(gains), "low": mean(gains) - half, "high": mean(gains) + half, "pairs": len(gains)}


def summary(runs: list[dict[str, Any]], variants: list[str], metric: str) -> dict[str, Any]:
    """What the runs say of each variant, and of the first against the others."""
    scores = {name: {run["seed"]: run[metric] for run in runs if run["variant"] == name} for name in variants}
    first, *others = variants
    return {
        metric: {name: spread(list(found.values())) for name, found in scores.items() if found},
        "difference": {f"{first} - {other}": difference(scores[first], scores[other]) for other in others},
    }


def main() -> None:
    """Run what is not there yet."""
    arguments = sys.argv[1:]
    more = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("folder", type=Path)
    parser.add_argument("recipe")
    parser.add_argument("--name", required=True)
    parser.add_argument("--vary", required=True, help="OPTION=VALUE,VALUE")
    parser.add_argument("--metric", default="f1_percent")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args(arguments[:more])
    option, _, values = options.vary.partition("=")
    variants, given = values.split(","), arguments[more + 1 :]
    path = RESULTS / f"ablation_{options.name}.json"
    runs: list[dict[str, Any]] = json.loads(path.read_text())["runs"] if path.exists() else []
    question = " ".join(["regard train", options.task, "--data", options.folder.name, "--recipe", options.recipe, *given])
    for seed in options.seeds:
        for variant in variants:
            if (variant, seed) in [(run["variant"], run["seed"]) for run in runs]:
                continue
            options.more = [*given, f"--{option}", variant]
            runs.append({"variant": variant, **measure(options, seed)})
            print(json.dumps(runs[-1]), file=sys.stderr)
            found = summary(runs, variants, options.metric)
            write(f"ablation_{options.name}", {"question": question, "varied": option, **found, "runs": runs})


if __name__ == "__main__":
    main()
