"""What a check has to say about a user's files."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from regard.errors import InputError

INPUT = Path("input")
"""What findings call lines that are given to predict on: no file that could be checked."""
MOST_LISTED = 1_000
"""Findings of a kind that are kept, lest those of a million lines fill the memory."""
_FEW = 3
_LONG_WORD = re.compile(r"\S{81,}")
_LONGEST = 480


@dataclass(frozen=True)
class Finding:
    """One thing about one place: an error stops training, a warning is told."""

    level: Literal["error", "warning"]
    file: Path
    line: int | None
    message: str
    more: tuple[Finding, ...] = ()
    """Others of its kind, which are listed, but not shown to a person."""
    num_left_out: int = 0
    """How many there are besides."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", brief(self.message))

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else str(self.file)
        return f"{self.level}: {where}: {self.message}{_and_more(self.number - 1)}"

    @property
    def number(self) -> int:
        """Of this and all like it."""
        return 1 + sum(one.number for one in self.more) + self.num_left_out

    def listed(self) -> Iterator[dict[str, Any]]:
        """This and those like it as plain values, and last how many were left out."""
        place = {"level": self.level, "file": str(self.file)}
        yield {**place, "line": self.line, "message": self.message}
        for one in self.more:
            yield from one.listed()
        if self.num_left_out:
            yield {**place, "line": None, "message": f"… and {self.num_left_out:,} more like these, which are not listed."}


def _and_more(number: int) -> str:
    return f" And {number:,} more like this." if number else ""


def first_few(findings: Iterable[Finding], most: int = _FEW) -> list[Finding]:
    """Of a kind, those that are shown: the first. The last of them has the others, and says how many there are.

    They are taken as they come, and no more than MOST_LISTED held.
    """
    given = iter(findings)
    shown = list(islice(given, most))
    more = tuple(islice(given, MOST_LISTED - most))
    num_left_out = sum(one.number for one in given)
    if more or num_left_out:
        last = shown[-1]
        shown[-1] = replace(last, more=(*last.more, *more), num_left_out=last.num_left_out + num_left_out)
    return shown


def note(findings: list[Finding], one: Finding) -> None:
    """Add one of a kind to others; from MOST_LISTED on they are counted, and not held."""
    if len(findings) < MOST_LISTED:
        findings.append(one)
    else:
        findings[-1] = replace(findings[-1], num_left_out=findings[-1].num_left_out + 1)


def num_findings(findings: Iterable[Finding]) -> int:
    """How many there are, with all like them."""
    return sum(one.number for one in findings)


def brief(message: str) -> str:
    """A message that quotes a file, where the file has endless words or lists, with their middle left out."""
    message = _LONG_WORD.sub(lambda match: f"{match[0][:60]}…{match[0][-15:]}", message)
    return message if len(message) <= _LONGEST else f"{message[: _LONGEST - 123]} … {message[-120:]}"


def counted(number: int, what: str) -> str:
    """1 sentence, 2 sentences."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def share_of(number: int, total: int, what: str) -> str:
    """Such as: 3 of 40 pictures (7.5 %)."""
    percent = 100 * number / total
    shown = f"{percent:.1f}" if percent >= 0.1 else "<0.1"
    return f"{number:,} of {counted(total, what)} ({shown} %)"


def raise_first_error(findings: Iterable[Finding]) -> None:
    """Raise the first error, saying how many more there are, and of a file what lists them."""
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        advice = "." if errors[0].file == INPUT else ": regard check lists them all."
        more = num_findings(errors) - 1
        told = f" ({more:,} more{advice})" if more else ""
        raise InputError(errors[0].message + told, file=errors[0].file, line=errors[0].line)


def tell(findings: Sequence[Finding], most: int = 5) -> None:
    """On standard error, some of them."""
    for finding in findings[:most]:
        print(finding, file=sys.stderr)
    if more := num_findings(findings[most:]):
        print(f"… and {more:,} more warnings: regard check lists them all.", file=sys.stderr)
