"""Tab-separated columns: source, target, and others that are not read (Tatoeba's third is the licence)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from regard.data.findings import Finding, counted
from regard.data.pairs.languages import Languages, direction, is_asked, is_known
from regard.data.pairs.pair import Pair
from regard.data.stream import open_lines


def read(path: Path, languages: Languages) -> tuple[list[Pair], list[Finding]]:
    """The pairs, and the rows that are none. A first row of codes is a header, by which the columns are chosen."""
    pairs: list[Pair] = []
    findings: list[Finding] = []
    places: tuple[int, int] | None = None
    with open_lines(path) as lines:
        for number, line in enumerate(lines, 1):
            fields = line.split("\t")
            if number == 1 and (found := _header(fields, languages, path)):
                cells = [field.strip() for field in fields]
                places = cells.index(found.source), cells.index(found.target)
                continue
            source, target = places or (0, 1)
            if len(fields) > max(source, target):
                pairs.append(Pair(fields[source], fields[target], number))
            elif line.strip():
                findings.append(Finding("error", path, number, _too_few(fields, places)))
    return pairs, findings


def way(path: Path, languages: Languages) -> Languages | None:
    """From which language into which the header says; None where there is none."""
    with open_lines(path) as lines:
        return _header(next(iter(lines), "").split("\t"), languages, path)


def _header(fields: Sequence[str], languages: Languages, path: Path) -> Languages | None:
    """The names of the columns of source and target; None where the row is no header."""
    cells = [field.strip() for field in fields]
    codes = [cell for cell in cells if is_known(cell) or is_asked(cell, languages)]
    if len(set(codes)) < 2:
        return None
    return direction(codes, languages, path, Languages(*codes) if len(codes) == 2 else None)


def _too_few(fields: Sequence[str], places: tuple[int, int] | None) -> str:
    form = f"{max(places) + 1} columns, as the header says" if places else "source, tab, target"
    return f"a row must be {form}; got {counted(len(fields), 'column')} by tab."
