"""What a check has to say about a user's files."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from regard.errors import InputError

INPUT = Path("input")
"""What findings call lines that are given to predict on: no file that could be checked."""
_LONG_WORD = re.compile(r"\S{81,}")
_LONGEST = 480


@dataclass(frozen=True)
class Finding:
    """One thing about one place: an error stops training, a warning is told."""

    level: Literal["error", "warning"]
    file: Path
    line: int | None
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", brief(self.message))

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else str(self.file)
        return f"{self.level}: {where}: {self.message}"

    def to_json(self) -> dict[str, Any]:
        """The finding as plain values."""
        return asdict(self) | {"file": str(self.file)}


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
        more = f" ({len(errors) - 1} more{advice})" if len(errors) > 1 else ""
        raise InputError(errors[0].message + more, file=errors[0].file, line=errors[0].line)


def tell(findings: Sequence[Finding], most: int = 5) -> None:
    """On standard error, some of them."""
    for finding in findings[:most]:
        print(finding, file=sys.stderr)
    if len(findings) > most:
        print(f"… and {len(findings) - most} more warnings: regard check lists them all.", file=sys.stderr)
