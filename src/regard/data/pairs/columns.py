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
            if number == 1 and (places := _header(fields, languages, path)):
                continue
            source, target = places or (0, 1)
            if len(fields) > max(source, target):
                pairs.append(Pair(fields[source], fields[target], number))
            elif line.strip():
                findings.append(Finding("error", path, number, _too_few(fields, places)))
    return pairs, findings


def _header(fields: Sequence[str], languages: Languages, path: Path) -> tuple[int, int] | None:
    """Where source and target stand; None where the row is no header."""
    cells = [field.strip() for field in fields]
    codes = [cell for cell in cells if is_known(cell) or is_asked(cell, languages)]
    if len(set(codes)) < 2:
        return None
    way = direction(codes, languages, path, Languages(*codes) if len(codes) == 2 else None)
    return cells.index(way.source), cells.index(way.target)


def _too_few(fields: Sequence[str], places: tuple[int, int] | None) -> str:
    form = f"{max(places) + 1} columns, as the header says" if places else "source, tab, target"
    return f"a row must be {form}; got {counted(len(fields), 'column')} by tab."
