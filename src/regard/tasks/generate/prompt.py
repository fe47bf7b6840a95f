"""What a person wants to be continued."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from regard.data.json_values import as_object, as_text, decoded, first_of
from regard.errors import InputError

KEYS = ("prompt", "text")


@dataclass(frozen=True)
class Prompt:
    """A text that is to be continued."""

    text: str
    number: int = 0
    """Its place among others: the same text is continued in another way elsewhere."""


def read_prompts(lines: list[str]) -> list[Prompt]:
    """One a line, or JSON lines with "prompt", which may be empty or have several lines; blank lines are left out."""
    return [Prompt(text, number) for number, text in enumerate(_texts(lines))]


def _texts(lines: list[str]) -> Iterator[str]:
    is_json = _is_record(next((line for line in lines if line.strip()), ""))
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _of_record(line) if is_json else line
            except InputError as error:
                raise InputError(error.message, line=number) from None


def _is_record(line: str) -> bool:
    try:
        value = json.loads(line)
    except ValueError:
        return False
    return isinstance(value, dict) and any(key in value for key in KEYS)


def _of_record(line: str) -> str:
    key, value = first_of(as_object(decoded(line.strip())[0], "a line"), KEYS)
    if not key:
        raise InputError('a line must have a "prompt", which is the text to go on from.')
    return as_text(value, key)
