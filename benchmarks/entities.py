"""How well does `regard train ner` do within six minutes, from nothing but the training file?

    python benchmarks/entities.py DATA_FOLDER NAME [--seeds 0 1 2] [--minutes 6]

DATA_FOLDER holds NAME with train, dev and test. Each seed is a whole command of its own; results are kept after each.
The prediction on test is scored a second time by seqeval (strict, IOB2).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from common import regard, spread, write

from regard.data.conll import read_conll

KEPT = ("f1_percent", "precision_percent", "recall_percent", "dev_f1_percent", "train_seconds", "parameters", "peak_memory_mb")


def seqeval_f1_percent(run: Path, test: Path) -> float:
    """What seqeval says of the run's predictions."""
    from seqeval.metrics import f1_score
    from seqeval.scheme import IOB2

    lines = regard("predict", str(run), "--input", str(test))[1].strip().split("\n")[:-1]
    predicted = [json.loads(line)["tags"] for line in lines]
    gold = [list(sentence.tags or ()) for sentence in read_conll(test)[0]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return 100 * f1_score(gold, predicted, mode="strict", scheme=IOB2)


def measure(folder: Path, seed: int, minutes: float) -> dict[str, Any]:
    """One seed: train, evaluate, and score again with seqeval."""
    with tempfile.TemporaryDirectory() as temporary:
        run = Path(temporary) / "run"
        budget = ["--max-minutes", str(minutes), "--seed", str(seed), "--out", str(run)]
        trained, _ = regard("train", "ner", "--data", str(folder), *budget)
        test = next(folder.glob("test.*"))
        evaluated, _ = regard("evaluate", str(run), "--data", str(test))
        return {
            "seed": seed,
            **{key: trained[key] for key in KEPT},
            "evaluate_f1_percent": evaluated["f1_percent"],
            "seqeval_f1_percent": seqeval_f1_percent(run, test),
        }


def main() -> None:
    """Run all seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=6)
    options = parser.parse_args()
    runs = []
    for seed in options.seeds:
        runs.append(measure(options.folder / options.name, seed, options.minutes))
        print(json.dumps(runs[-1]), file=sys.stderr)
        write(
            f"entities_{options.name}",
            {
                "question": f"regard train ner --data {options.name} --max-minutes {options.minutes:g}, two cores",
                "test_f1_percent": spread([run["f1_percent"] for run in runs]),
                "train_seconds": spread([run["train_seconds"] for run in runs]),
                "runs": runs,
            },
        )


if __name__ == "__main__":
    main()
