"""What a person gives to predict on, read piece by piece."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from regard.data.stream import Chunk, Lines, chunks, open_lines, single_lines
from regard.errors import InputError
from regard.tasks.task import Task


class Source(ABC):
    """Examples, some at a time, in memory that does not grow with them."""

    name: str

    @property
    @abstractmethod
    def share(self) -> float | None:
        """How much of it has been read; None where nobody knows how much there is."""

    @abstractmethod
    def __iter__(self) -> Iterator[list[Any]]:
        """Raises InputError where nothing can be made of it."""

    def place_of(self, example: Any) -> str:
        """Where an example stands, as a person would say it."""
        return f"{self.name}:{example.line}"


class TextSource(Source):
    """A text of any length."""

    def __init__(self, task: Task, lines: Lines) -> None:
        self.task, self.lines, self.name = task, lines, str(lines.name)
        lines.mended = _tell_mended if task.is_lenient else None

    @classmethod
    @contextmanager
    def open(cls, task: Task, source: str) -> Iterator[TextSource]:
        """A file, or standard input where `source` is "-"."""
        with open_lines(source) as lines:
            yield cls(task, lines)

    @property
    def share(self) -> float | None:
        return self.lines.share

    def __iter__(self) -> Iterator[list[Any]]:
        return read_examples(self.task, self.lines, self.name)


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


def _tell_mended(error: InputError) -> None:
    print(f"{error} It is read with \ufffd in its place.", file=sys.stderr)
