"""Prediction on inputs of any length, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from regard.tasks.folder import Run
from regard.tasks.source import Source


def predict_source(
    run: Run, source: Source, num_best: int = 0, *, is_aligned: bool = False
) -> Iterator[tuple[list[Any], list[dict[str, Any]]]]:
    """Examples and what is written of each, in order, `Task.piece` at a time; InputError at one that cannot be read.

    Above 0, `num_best` asks for so many answers to each, ranked; `is_aligned` for what their words come from.
    """
    for examples in source:
        for start in range(0, len(examples), run.task.piece):
            piece = examples[start : start + run.task.piece]
            records = run.rank(piece, num_best) if num_best else list(map(run.task.to_json, piece, run.predict(piece)))
            if is_aligned:
                run.task.align(run, piece, records)
            yield piece, records
