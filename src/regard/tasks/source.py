"""What a person gives to predict on, read piece by piece."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from regard.data.stream import CHUNK_LINES, Chunk, Lines, chunks, open_lines, single_lines
from regard.errors import InputError
from regard.tasks.task import Task

HEAD_LINES = 200
"""Lines in which the first paragraph of a text must end to be read again as a whole."""


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
        return read_examples(self.task, self.lines, self.name, 1 if self.lines.is_typed else self.task.piece)


def read_examples(task: Task, lines: Iterable[str], name: str, size: int = CHUNK_LINES) -> Iterator[list[Any]]:
    """What a task makes of a text, chunk by chunk, at most `size` lines; errors have the name and the line a person knows.

    Before each chunk but the first, the beginning of the text is read again, by which its format is known. The last example
    of a chunk that ends at no blank line is read with the next chunk, where it may go on.
    """
    head: list[str] = []
    left: list[str] = []
    held: list[Any] = []
    for part in single_lines(lines, size) if task.is_line_by_line else chunks(lines):
        chunk = part.behind(head, left)
        examples = _read(task, chunk, name)
        if not (head or task.is_line_by_line):
            head = _head(chunk, examples)
        held = [one for one in examples if part.is_cut and examples[0].line < one.line == examples[-1].line]
        left = chunk.lines[held[0].line - chunk.first :] if held else []
        yield examples[: len(examples) - len(held)]
    if held:
        yield held


def _read(task: Task, chunk: Chunk, name: str) -> list[Any]:
    """The examples of a chunk, without those of its head, with the numbers that their lines have in the whole text."""
    try:
        examples = task.read_input([*chunk.head, *chunk.lines])
    except InputError as error:
        line = None if error.line is None else chunk.number_of(error.line)
        raise InputError(error.message, file=name, line=line) from None
    return [replace(one, line=chunk.number_of(one.line)) for one in examples if one.line > len(chunk.head)]


def _head(chunk: Chunk, examples: list[Any]) -> list[str]:
    """All up to the end of the first paragraph with an example, or up to its second row where no end is near."""
    if not examples:
        return []
    begin = examples[0].line - chunk.first
    lines = chunk.lines[begin : begin + HEAD_LINES]
    rows = [place for place, line in enumerate(lines, 1) if line.strip()][:2]
    end = next((place for place in range(rows[-1], len(lines)) if not lines[place].strip()), rows[-1])
    return [*chunk.lines[: begin + end], ""]


def _tell_mended(error: InputError) -> None:
    print(f"{error} It is read with \ufffd in its place.", file=sys.stderr)
