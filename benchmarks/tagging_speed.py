"""How many words a second does from-scratch `ner` tag, beside spaCy 3.8 trained on the same data?

    python -m venv spacy && spacy/bin/pip install 'spacy==3.8.*'
    python benchmarks/tagging_speed.py DATA_FOLDER --spacy spacy/bin/python [--minutes 2] [--epochs 10] [--runs 5]

DATA_FOLDER holds train, dev and test. Both are trained on train (ours for some minutes, spaCy for some passes), then find the
entities of all three, cut into words beforehand, in turns, each in a process of its own that has read its model and that text
once before. spaCy gets all cores, as ours does, and uses one; so ours is run a third time on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import regard, spread, write

from regard.data.conll import read_conll
from regard.metrics.spans import score_spans

PEER = Path(__file__).with_name("tagging_peer.py")


class Contestant:
    """A process that predicts when it is told to."""

    def __init__(self, python: str, *arguments: str, cores: int | None = None) -> None:
        threads = {} if cores is None else {"OMP_NUM_THREADS": str(cores), "MKL_NUM_THREADS": str(cores)}
        command = [python, str(PEER), *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | threads
        )
        self.entities = [[tuple(span) for span in spans] for spans in self._answer()]
        self.runs: list[dict[str, float]] = []

    def run(self) -> None:
        """Once more."""
        assert self.process.stdin is not None
        print(file=self.process.stdin, flush=True)
        self.runs.append(self._answer())

    def close(self) -> None:
        """Let it end."""
        self.process.communicate()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def result(self, gold: list[list[tuple]]) -> dict[str, Any]:
        """Words a second, memory and score."""
        return {
            "words_per_second": spread([run["words"] / run["seconds"] for run in self.runs]),
            "peak_memory_mb": max(run["peak_memory_mb"] for run in self.runs),
            "test_f1_percent": score_spans(gold, self.entities[: len(gold)])["f1_percent"],
        }


def main() -> None:
    """Train both, then let them take turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--spacy", default=sys.executable, help="a Python that has spaCy")
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        result = measure(options, Path(temporary))
    print(json.dumps(result, indent=1), file=sys.stderr)
    write("tagging_speed", result)


def measure(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """The whole result."""
    parts = {split: read_conll(next(options.folder.glob(f"{split}.*")))[0] for split in ("test", "dev", "train")}
    for name, sentences in (("train", parts["train"]), ("all", [one for part in parts.values() for one in part])):
        given = {"words": [one.tokens for one in sentences], "entities": [one.spans for one in sentences]}
        (work / f"{name}.json").write_text(json.dumps(given), encoding="utf8")
    trained = train_both(options, work, sum(len(one.tokens) for one in parts["train"]) / len(parts["train"]))
    contestants = take_turns(options, work)
    found = {name: one.result([sentence.spans for sentence in parts["test"]]) for name, one in contestants.items()}
    median = {name: one["words_per_second"]["median"] for name, one in found.items()}
    return {
        "question": f"words a second of from-scratch ner on all of {options.folder.name}",
        "regard_over_spacy": median["regard"] / median["spacy"],
        "regard_one_core_over_spacy": median["regard_one_core"] / median["spacy"],
        **found,
        "training": {
            "how": f"spaCy {options.epochs} passes, updates alone; regard {options.minutes:g} minutes, with scoring dev",
            **trained,
        },
    }


def train_both(options: argparse.Namespace, work: Path, mean_length: float) -> dict[str, Any]:
    """A model of each in the folder."""
    command = [options.spacy, str(PEER), "spacy-train", str(work / "train.json"), str(work / "spacy"), str(options.epochs)]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    peer = json.loads(told.strip().split("\n")[-1])
    budget = ["--out", str(work / "run"), "--max-minutes", str(options.minutes)]
    ours, _ = regard("train", "ner", "--data", str(options.folder), *budget)
    return {
        "spacy": {
            "version": peer["version"],
            "words_per_second": peer["words"] / peer["seconds"],
            "peak_memory_mb": peer["peak_memory_mb"],
        },
        "regard": {
            "words_per_second": ours["examples_per_second"] * mean_length,
            "peak_memory_mb": ours["peak_memory_mb"],
        },
    }


def take_turns(options: argparse.Namespace, work: Path) -> dict[str, Contestant]:
    """All runs of all."""
    text = str(work / "all.json")
    contestants = {
        "spacy": Contestant(options.spacy, "spacy", text, str(work / "spacy")),
        "regard": Contestant(sys.executable, "regard", text, str(work / "run")),
        "regard_one_core": Contestant(sys.executable, "regard", text, str(work / "run"), cores=1),
    }
    for _ in range(options.runs):
        for contestant in contestants.values():
            contestant.run()
    for contestant in contestants.values():
        contestant.close()
    return contestants


if __name__ == "__main__":
    main()
