"""How well does a recipe do on real data?

    python benchmarks/quality.py TASK DATA_FOLDER RECIPE [--name NAME] [--seeds 0 1 2] [-- OPTION ...]
    python benchmarks/quality.py TASK DATA_FOLDER RECIPE [--name NAME] --finished RUN ... [--anew] [-- OPTION ...]

Each seed is a whole `regard train TASK --recipe RECIPE OPTION ...` of its own, scored on the test file; the result is kept in
benchmarks/results/quality_NAME.json after each, and a seed that is there already is not trained again. Run folders that such
a command has left are taken as they are by --finished, or scored --anew where predicting has changed since. What stands behind
-- goes to the command, such as `--encoder.path FOLDER` or `--test FILE`. Entities that were predicted on test are scored once
more by seqeval (strict, IOB2).
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import yaml
from common import RESULTS, regard, spread, write

KEPT = (
    *("f1_percent", "precision_percent", "recall_percent", "dev_f1_percent", "perfect_percent", "predicate_f1_percent"),
    *("sense_accuracy_percent", "end_to_end_f1_percent"),
    *("bleu_percent", "bleu_lowercase_percent", "chrf_percent", "ter_percent", "signature", "dev_bleu_percent"),
    *("top1_percent", "top5_percent", "calibration_error_percent", "dev_top1_percent"),
    *("map_percent", "map50_percent", "map75_percent", "dev_map_percent", "threshold"),
    *("fid", "kid", "kid_error", "precision_percent", "recall_percent", "diversity_percent", "bits_per_dimension"),
    *("classifier_fid", "classifier_kid", "random_fid", "features", "num_samples", "dev_fid"),
    *("loss_nats", "perplexity", "bits_per_character", "bits_per_byte", "dev_loss_nats"),
    *("train_seconds", "examples_per_second", "parameters", "peak_memory_mb", "split"),
)
METRICS = (
    *(
        "f1_percent",
        "bleu_percent",
        "bleu_lowercase_percent",
        "loss_nats",
        "perplexity",
        "top1_percent",
        "map_percent",
        "map50_percent",
    ),
    *("fid", "kid", "bits_per_dimension", "train_seconds"),
)
"""Of which the median over seeds is given."""


def seqeval_f1_percent(run: Path, test: Path) -> float:
    """What seqeval says of the run's predictions."""
    from seqeval.metrics import f1_score
    from seqeval.scheme import IOB2

    from regard.data.entities import read_entities

    lines = regard("predict", str(run), "--input", str(test))[1].strip().split("\n")[:-1]
    predicted = [json.loads(line)["tags"] for line in lines]
    gold = [list(sentence.tags or ()) for sentence in read_entities(test)[0]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return 100 * f1_score(gold, predicted, mode="strict", scheme=IOB2)


def kept(result: dict[str, Any], seed: int) -> dict[str, Any]:
    """What of a result goes into the file."""
    return {"seed": seed, **{key: result[key] for key in KEPT if key in result}}


def finished(run: Path, folder: Path | None = None) -> dict[str, Any]:
    """The result of a run folder, or what its model scores now on dev and test of a data folder.

    Its training took as long as the log says at the end of the last pass.
    """
    seed = yaml.safe_load((run / "recipe.yaml").read_text())["seed"]
    passes = list(csv.DictReader((run / "log.csv").open()))
    result = json.loads((run / "metrics.json").read_text())
    if folder:
        on_dev, _ = regard("evaluate", str(run), "--data", str(next(folder.glob("dev.*"))))
        result |= {f"dev_{name}": value for name, value in on_dev.items() if f"dev_{name}" in result}
        result |= regard("evaluate", str(run), "--data", str(next(folder.glob("test.*"))))[0]
    seconds = float(passes[-1]["seconds"])
    rate = round(result["examples_per_second"] * result["train_seconds"] / seconds, 1)
    return kept(result | {"train_seconds": seconds, "examples_per_second": rate}, seed)


def measure(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """One seed: train, evaluate, and for entities score again with seqeval."""
    with tempfile.TemporaryDirectory() as temporary:
        run = Path(temporary) / "run"
        given = [
            "--data",
            str(options.folder),
            "--recipe",
            options.recipe,
            "--seed",
            str(seed),
            "--out",
            str(run),
            *options.more,
        ]
        trained, _ = regard("train", options.task, *given)
        found = kept(trained, seed)
        if options.task == "ner":
            found["seqeval_f1_percent"] = seqeval_f1_percent(run, next(options.folder.glob("test.*")))
        return found


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """What every script asks that trains by seeds."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("folder", type=Path)
    parser.add_argument("recipe")
    parser.add_argument("--name")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options, and as `more` what stands behind --."""
    arguments = sys.argv[1:]
    more = arguments.index("--") if "--" in arguments else len(arguments)
    return parser.parse_args(arguments[:more], argparse.Namespace(more=arguments[more + 1 :]))


def runs_of(name: str) -> list[dict[str, Any]]:
    """Those that a result file has already."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text())["runs"] if path.exists() else []


def question(options: argparse.Namespace) -> str:
    """The command, without the folders of this machine."""
    shown = [Path(word).name if "/" in word else word for word in options.more]
    return " ".join(["regard train", options.task, "--data", options.folder.name, "--recipe", options.recipe, *shown])


def main() -> None:
    """Run the seeds that are not there yet."""
    parser = parser_of(__doc__)
    parser.add_argument("--finished", type=Path, nargs="+", default=[])
    parser.add_argument("--anew", action="store_true")
    options = parsed(parser)
    name = f"quality_{options.name or options.recipe}"
    runs = runs_of(name)
    known = {run["seed"] for run in runs}
    new = (finished(run, options.folder if options.anew else None) for run in options.finished)
    if not options.finished:
        new = (measure(options, seed) for seed in options.seeds if seed not in known)
    for run in new:
        if run["seed"] in known:
            continue
        runs.append(run)
        print(json.dumps(run), file=sys.stderr)
        figures = {key: spread([run[key] for run in runs]) for key in METRICS if key in runs[0]}
        write(name, {"question": question(options), **figures, "runs": runs})


if __name__ == "__main__":
    main()
