"""The embedded example, from nothing to a page that shows an alignment."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from regard.data.dates import LOCALES, WrittenDate, generate, to_lines
from regard.data.files import find_files
from regard.tasks import folder as run_folder
from regard.tasks.dates.task import Dates, examples_of_each_locale

NUM_DAYS = 6000
NUM_SHOWN = 8


def run_demo(out: Path, seed: int, *, is_again: bool = False) -> dict[str, Any]:
    """Draw the dates, train on them unless `out` holds a finished demo, and say what came of it."""
    task, metrics = Dates(), out / run_folder.METRICS
    if metrics.is_file() and not is_again:
        _say(f"{out} holds a finished demo. Train it again with --again.")
        return json.loads(metrics.read_text()) | {"examples": _examples(out, task.read(out / "data" / "test.tsv")[0])}
    data = run_folder.create(out, "data")
    parts = generate(NUM_DAYS, seed)
    for split, dates in parts.items():
        run_folder.write(data / f"{split}.tsv", to_lines(dates))
    _say(f"{len(parts['train']):,} written dates in {len(LOCALES)} locales, such as:")
    for date in examples_of_each_locale(parts["train"])[:: len(LOCALES) // 5]:
        _say(f"  {date.text}  →  {date.iso}")
    _say("Training a recurrent encoder and decoder with additive attention to read them:")
    from regard.train.run import Terms, train

    return train(task, find_files(str(data), {}), out, Terms(seed)) | {"examples": _examples(out, parts["test"])}


def _examples(out: Path, dates: list[WrittenDate]) -> list[dict[str, str]]:
    """Some held-out dates with what the model makes of them, each in another language."""
    chosen = examples_of_each_locale(dates)[:: len(LOCALES) // NUM_SHOWN]
    predictions = run_folder.load_run(out).predict(chosen)
    return [
        {"text": date.text, "iso": iso, "verdict": "right" if iso == date.iso else f"wrong: {date.iso}"}
        for date, iso in zip(chosen, predictions, strict=True)
    ]


def _say(text: str) -> None:
    print(text, file=sys.stderr)
