"""Alignments of words in Pharaoh's format: 0-0 1-2, source before target, both counted from 0."""

from __future__ import annotations

import re
from collections.abc import Iterable

from regard.errors import InputError

_LINK = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")


def to_pharaoh(links: Iterable[tuple[int, int]]) -> str:
    """A line of (source, target), in their order."""
    return " ".join(f"{source}-{target}" for source, target in links)


def parse_pharaoh(line: str) -> list[tuple[int, int]]:
    """The links of a line; none where it is blank."""
    return [_link(word) for word in line.split()]


def _link(word: str) -> tuple[int, int]:
    match = _LINK.fullmatch(word)
    if match is None:
        raise InputError(f"a link must be two numbers with - between them, such as 0-2, got {word[:40]!r}.")
    return int(match[1]), int(match[2])
