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
    """One a line, or an object of JSON with "prompt", which may be empty or have several lines; blank lines are left out.

    Where the first line is such an object, each other one must be; an object without a prompt is none anywhere.
    """
    given = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    is_json = bool(given) and _is_object(given[0][1])
    return [_prompt(line, place, number, is_json=is_json) for place, (number, line) in enumerate(given)]


def _prompt(line: str, place: int, number: int, *, is_json: bool) -> Prompt:
    try:
        return Prompt(_of_record(line) if is_json or _is_object(line) else line, place, number)
    except InputError as error:
        return Prompt("", place, number, error.message)


def _is_object(line: str) -> bool:
    try:
        return line.lstrip().startswith("{") and isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _of_record(line: str) -> str:
    key, value = first_of(one_object(line), KEYS)
    if not key:
        raise InputError('a line must have a "prompt", which is the text to go on from.')
    return as_text(value, key)
