"""The lists of one JSON object, with the lines in which their elements begin."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from regard.data.json_values import as_list, as_object, decoded
from regard.errors import InputError

Numbered = tuple[int, Any]
"""The line in which a value begins, and the value."""
_SKIPPED = re.compile(r"[\s,:]*")


def lists_of(text: str, names: Sequence[str]) -> list[list[Numbered]]:
    """Those of the names, all of which the object must have."""
    value, stop = decoded(text, len(text) - len(text.lstrip()))
    if text[stop:].strip():
        raise InputError(f"the file must hold one JSON object, got more behind it: {text[stop:].strip()[:20]!r}.")
    record = as_object(value, "the file")
    lists = [as_list(record.get(name), f'"{name}" of the object') for name in names]
    lines = _lines(text) if "\n" in text.strip() else {}
    return [
        list(zip(lines.get(name) or [1] * len(values), values, strict=True)) for name, values in zip(names, lists, strict=True)
    ]


def _lines(text: str) -> dict[str, list[int]]:
    """Of the elements of each list; the text is known to be an object."""
    decode, found = json.JSONDecoder().raw_decode, dict[str, list[int]]()
    place = _skip(text, text.index("{") + 1)
    while text[place] != "}":
        key, place = decode(text, place)
        found[key], place = _element_lines(text, _skip(text, place))
        place = _skip(text, place)
    return found


def _element_lines(text: str, place: int) -> tuple[list[int], int]:
    """Those of a list, none of another value; and where it ends."""
    decode, lines = json.JSONDecoder().raw_decode, list[int]()
    if text[place] != "[":
        return lines, decode(text, place)[1]
    line, counted = 1, 0
    place = _skip(text, place + 1)
    while text[place] != "]":
        line, counted = line + text.count("\n", counted, place), place
        lines.append(line)
        place = _skip(text, decode(text, place)[1])
    return lines, place + 1


def _skip(text: str, place: int) -> int:
    """Behind white space, commas and colons."""
    match = _SKIPPED.match(text, place)
    return match.end() if match else place
