"""Lines between blank lines, numbered, and what a broken sentence among them becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from regard.data.findings import MOST_LISTED, Finding, first_few
from regard.errors import InputError

Line = tuple[int, str]
"""Its number in the file, from 1, and its text."""
Given = TypeVar("Given")
Made = TypeVar("Made")


def paragraphs(lines: Iterable[str]) -> Iterator[list[Line]]:
    """Runs of lines that hold more than white space."""
    paragraph: list[Line] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            paragraph.append((number, line))
        elif paragraph:
            yield paragraph
            paragraph = []
    if paragraph:
        yield paragraph


def read_each(
    given: Iterable[tuple[int, Given]], read: Callable[[Given], Made], path: Path
) -> tuple[list[Made], list[Finding]]:
    """What `read` makes of each; where it raises InputError, a finding at the error's line or at that of the pair."""
    made: list[Made] = []

    def errors() -> Iterator[Finding]:
        for line, one in given:
            try:
                made.append(read(one))
            except InputError as error:
                yield Finding("error", path, error.line or line, error.message)

    return made, first_few(errors(), MOST_LISTED)
