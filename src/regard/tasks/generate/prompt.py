"""What a person wants to be continued."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from regard.data.json_values import as_text, first_of, one_object
from regard.errors import InputError

KEYS = ("prompt", "text")


@dataclass(frozen=True)
class Prompt:
    """A text that is to be continued."""

    text: str
    number: int = 0
    """Its place among others: the same text is continued in another way elsewhere."""
    line: int | None = field(default=None, compare=False)
    error: str = ""
    """Why it can not be continued."""


def read_prompts(lines: list[str]) -> list[Prompt]:
    """One a line, or JSON lines with "prompt", which may be empty or have several lines; blank lines are left out."""
    is_json = _is_record(next((line for line in lines if line.strip()), ""))
    given = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return [_prompt(line, place, number, is_json=is_json) for place, (number, line) in enumerate(given)]


def _prompt(line: str, place: int, number: int, *, is_json: bool) -> Prompt:
    try:
        return Prompt(_of_record(line) if is_json else line, place, number)
    except InputError as error:
        return Prompt("", place, number, error.message)


def _is_record(line: str) -> bool:
    try:
        value = json.loads(line)
    except ValueError:
        return False
    return isinstance(value, dict) and any(key in value for key in KEYS)


def _of_record(line: str) -> str:
    key, value = first_of(one_object(line), KEYS)
    if not key:
        raise InputError('a line must have a "prompt", which is the text to go on from.')
    return as_text(value, key)
