"""What a person wants to be continued."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from regard.data.json_values import as_text, first_of, one_object
from regard.errors import InputError

KEYS = ("prompt", "text")
_RECORD = re.compile(r'\s*\{\s*"(prompt|text)"\s*:')


@dataclass(frozen=True)
class Prompt:
    """A text that is to be continued."""

    text: str
    line: int = 1
    """Of the input: the same text is continued in another way elsewhere."""
    error: str = ""
    """Why it can not be continued."""

    @property
    def place(self) -> int:
        """The line, counted from 0."""
        return self.line - 1


def read_prompts(lines: list[str]) -> list[Prompt]:
    """One a line, or an object of JSON with "prompt", which may be empty or have several lines; blank lines are left out.

    An object without a prompt has an `error`, and so has what begins as one with a prompt and is no JSON; all else is a text.
    """
    return [_prompt(line, number) for number, line in enumerate(lines, 1) if line.strip()]


def _prompt(line: str, number: int) -> Prompt:
    try:
        return Prompt(_of_record(line) if _RECORD.match(line) or _is_object(line) else line, number)
    except InputError as error:
        return Prompt("", number, error.message)


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
