"""Does a part of a model help? The same training with and without it, seed by seed.

    python benchmarks/ablation.py TASK DATA_FOLDER RECIPE [--name NAME] --vary OPTION=VALUE,VALUE [--seeds 0 1] [-- OPTION ...]

Each run is a whole `regard train`, scored on the test file. benchmarks/results/ablation_NAME.json holds every run, and the
first variant's score less each other's: the mean over seeds and its 95 % interval by Student's t of the paired differences. It
is written after each run, and what is there already is not trained again.
"""

from __future__ import annotations

import json
import sys
from math import sqrt
from statistics import mean, stdev
from typing import Any

from common import RESULTS, spread, write
from quality import measure, parsed, parser_of, question, runs_of

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


def table(name: str) -> list[str]:
    """What a result file says, a row a variant; its gain over the first with the interval, which may hold 0."""
    path = RESULTS / f"ablation_{name}.json"
    if not path.exists():
        return []
    result = json.loads(path.read_text())
    metric, runs = result["metric"], result["runs"]
    lines = ["", f"`{result['question']}`, {result['varied']}, [file](../benchmarks/results/{path.name}):", ""]
    lines += [f"| variant | parameters | examples/s in training | {metric} | over the first |", "|---|---|---|---|---|"]
    for variant, found in result[metric].items():
        own = [run for run in runs if run["variant"] == variant]
        rate = spread([run["examples_per_second"] for run in own])["median"]
        score = f"{found['median']:.2f} ({found['min']:.2f}–{found['max']:.2f}, {len(own)} seeds)"
        gain = next((_gain(one) for key, one in result["difference"].items() if key.endswith(f" - {variant}")), "")
        lines.append(f"| {variant} | {own[0]['parameters']:,} | {rate:,.0f} | {score} | {gain} |")
    return [*lines, ""]


def _gain(difference: dict[str, Any]) -> str:
    """Of a variant over the first, from that of the first over it."""
    if difference["mean"] is None:
        return ""
    interval = f" [{-difference['high']:+.2f}, {-difference['low']:+.2f}]" if "low" in difference else ""
    return f"{-difference['mean']:+.2f}{interval}"


def main() -> None:
    """Run what is not there yet."""
    parser = parser_of(__doc__)
    parser.add_argument("--vary", required=True, help="OPTION=VALUE,VALUE")
    parser.add_argument("--metric", default="f1_percent")
    options = parsed(parser)
    option, _, values = options.vary.partition("=")
    name, variants, given = f"ablation_{options.name or options.recipe}", values.split(","), options.more
    runs, asked = runs_of(name), question(options)
    for seed in options.seeds:
        for variant in variants:
            if (variant, seed) in [(run["variant"], run["seed"]) for run in runs]:
                continue
            options.more = [*given, f"--{option}", variant]
            runs.append({"variant": variant, **measure(options, seed)})
            print(json.dumps(runs[-1]), file=sys.stderr)
            found = summary(runs, variants, options.metric)
            write(name, {"question": asked, "varied": option, "metric": options.metric, **found, "runs": runs})


if __name__ == "__main__":
    main()
