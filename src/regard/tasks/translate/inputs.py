"""What a person gives to be translated: a text a line, or JSON lines."""

from __future__ import annotations

import re

from regard.data.json_values import as_text, first_of, one_object
from regard.data.pairs import Pair
from regard.errors import InputError


def read_lines(lines: list[str]) -> list[Pair]:
    """A pair a line, empty ones too: the translation of line N is line N. A line {"source", "prefix"} may say how it begins.

    A line of JSON that says no source has an `error`, and the others go on; what looks like JSON and is none is a text.
    """
    return [_pair(line, number) for number, line in enumerate(lines, 1)]


_RECORD = re.compile(r'\s*\{\s*"')


def _pair(line: str, number: int) -> Pair:
    text = Pair(line.strip(), line=number)
    if not _RECORD.match(line):
        return text
    try:
        record = one_object(line)
    except InputError:
        return text
    try:
        name, source = first_of(record, ("source", "src", "text"))
        if not name:
            raise InputError('a line of JSON must have a "source".')
        prefix = record.get("prefix")
        return Pair(as_text(source, name), None, number, "" if prefix is None else as_text(prefix, "prefix"))
    except InputError as error:
        return Pair("", None, number, error=error.message)
