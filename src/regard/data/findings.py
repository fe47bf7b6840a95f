"""What a check has to say about a user's files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from regard.errors import InputError


@dataclass(frozen=True)
class Finding:
    """One thing about one place: an error stops training, a warning is told."""

    level: Literal["error", "warning"]
    file: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else str(self.file)
        return f"{self.level}: {where}: {self.message}"

    def to_json(self) -> dict[str, Any]:
        """The finding as plain values."""
        return asdict(self) | {"file": str(self.file)}


def raise_first_error(findings: Iterable[Finding]) -> None:
    """Raise the first error, saying how many more there are."""
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        more = f" ({len(errors) - 1} more: regard check lists them all.)" if len(errors) > 1 else ""
        raise InputError(errors[0].message + more, file=errors[0].file, line=errors[0].line)
