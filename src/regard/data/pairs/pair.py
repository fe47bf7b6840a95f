"""A text and its translation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pair:
    """A text in the source language, and in the target language where it is known."""

    source: str
    target: str | None = None
    line: int | None = None
    """Where it stands in its file."""

    prefix: str = ""
    """What its translation shall begin with."""
    error: str = ""
    """Why it can not be translated."""
