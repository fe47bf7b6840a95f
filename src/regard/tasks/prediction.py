"""Prediction on texts of any length, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from regard.data.stream import Chunk, Lines, chunks, single_lines
from regard.errors import InputError
from regard.tasks.folder import Run
from regard.tasks.task import Task

PIECE = 4096
"""Examples that are predicted and given out at once."""


def predict_lines(
    run: Run, lines: Lines, num_best: int = 0, *, is_aligned: bool = False
) -> Iterator[tuple[list[Any], list[dict[str, Any]]]]:
    """Examples and what is written of each, in order, some thousand at a time; InputError at a line that cannot be read.

    Above 0, `num_best` asks for so many answers to each, ranked; `is_aligned` for what their words come from.
    """
    for examples in read_examples(run.task, lines, str(lines.name)):
        for start in range(0, len(examples), PIECE):
            piece = examples[start : start + PIECE]
            records = run.rank(piece, num_best) if num_best else list(map(run.task.to_json, piece, run.predict(piece)))
            if is_aligned:
                run.task.align(run, piece, records)
            yield piece, records


def read_examples(task: Task, lines: Iterable[str], name: str) -> Iterator[list[Any]]:
    """What a task makes of a text, chunk by chunk; errors have the name and the line that a person knows."""
    for chunk in single_lines(lines) if task.is_line_by_line else chunks(lines):
        try:
            num_known = len(task.read_input(chunk.head)) if chunk.head else 0
            yield _renumbered(task.read_input([*chunk.head, *chunk.lines])[num_known:], chunk)
        except InputError as error:
            line = None if error.line is None else chunk.number_of(error.line)
            raise InputError(error.message, file=name, line=line) from None


def _renumbered(examples: list[Any], chunk: Chunk) -> list[Any]:
    """With the numbers that their lines have in the whole text, where examples know theirs."""
    if chunk.first == 1 or not examples or getattr(examples[0], "line", None) is None:
        return examples
    return [replace(example, line=chunk.number_of(example.line)) for example in examples]
