"""Dates as people write them, from the Unicode CLDR formats that Babel carries, beside ISO 8601."""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from regard.data.files import read_lines
from regard.data.findings import Finding

LOCALES = tuple(
    "bg cs da de el en_GB en_US es et fi fr he hi hr hu id it ja ko lt nb nl pl pt_BR ro ru sl sv tr uk vi zh_Hans".split()  # noqa: SIM905
)
FORMATS = ("full", "long", "medium")
FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class WrittenDate:
    """A date as it was written, the ISO 8601 form where it is known, and the locale it was written in."""

    text: str
    iso: str | None = None
    locale: str = ""
    line: int | None = field(default=None, compare=False)


def generate(num_dates: int, seed: int) -> dict[str, list[WrittenDate]]:
    """Random days in every locale and format, no day in two parts and no text with two readings.

    Of the days, one in ten goes to dev and one in ten to test, so that test asks for days never seen in any language.
    """
    from babel.dates import format_date

    draw = random.Random(seed)
    days = draw.sample(range((LAST - FIRST).days + 1), num_dates)
    parts: dict[str, list[WrittenDate]] = {"train": [], "dev": [], "test": []}
    read_as: dict[str, str] = {}
    for number, offset in enumerate(days):
        day = FIRST + datetime.timedelta(days=offset)
        split = ("dev", "test")[number % 10] if number % 10 < 2 else "train"
        for locale in draw.sample(LOCALES, 4):
            text = format_date(day, draw.choice(FORMATS), locale=locale)
            if read_as.setdefault(text, day.isoformat()) == day.isoformat():
                parts[split].append(WrittenDate(text, day.isoformat(), locale))
    for part in parts.values():
        draw.shuffle(part)
    return parts


def to_lines(dates: list[WrittenDate]) -> str:
    """Tab-separated: text, ISO 8601, locale."""
    return "".join(f"{date.text}\t{date.iso}\t{date.locale}\n" for date in dates)


def read_dates(path: Path) -> tuple[list[WrittenDate], list[Finding]]:
    """The dates of a tab-separated file, and what is wrong with the rows that are none."""
    findings: list[Finding] = []
    dates = list(_rows(path, findings))
    if not dates and not findings:
        findings.append(Finding("error", path, None, "the file holds no date. Rows must be: text, tab, YYYY-MM-DD."))
    return dates, findings


def _rows(path: Path, findings: list[Finding]) -> Iterator[WrittenDate]:
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) not in (2, 3) or not fields[0].strip():
            message = f"rows must be text, tab, YYYY-MM-DD and perhaps a locale; got {len(fields)} columns by tab."
            findings.append(Finding("error", path, number, message))
        elif not _is_iso(fields[1]):
            findings.append(Finding("error", path, number, f"the date must be YYYY-MM-DD and exist, got {fields[1][:40]!r}."))
        else:
            yield WrittenDate(fields[0].strip(), fields[1], fields[2] if len(fields) == 3 else "")


def _is_iso(text: str) -> bool:
    try:
        return bool(_ISO.fullmatch(text) and datetime.date.fromisoformat(text))
    except ValueError:
        return False
