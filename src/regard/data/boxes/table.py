"""CSV or TSV with a box a row; a row with the name of a picture only is a picture without boxes."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from regard.data.boxes.scene import Draft, Given, Place
from regard.data.boxes.sources import Source
from regard.data.boxes.values import ENDS, box_of, number_of
from regard.data.findings import Finding
from regard.data.paragraphs import read_each
from regard.data.pictures.columns import LABELS, PATHS, place_of
from regard.errors import InputError

_ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
_KNOWN = {
    "filename": (*PATHS, "image_id", "image_name"),
    "xmin": ("xmin", "x_min", "x1", "left", "bbox_xmin"),
    "ymin": ("ymin", "y_min", "y1", "top", "bbox_ymin"),
    "xmax": ("xmax", "x_max", "x2", "right", "bbox_xmax"),
    "ymax": ("ymax", "y_max", "y2", "bottom", "bbox_ymax"),
    "class": (*LABELS, "name"),
}
"""Names of columns, the first of which that is there is meant; without a header they stand in this order."""


class _Row(NamedTuple):
    """A row's cells, and the line where it ends."""

    line: int
    cells: dict[str, str]


def candidates(source: Source) -> list[str]:
    """Files that may be parts."""
    return [name for name in source.names if name.lower().endswith(_ENDINGS)]


def read(source: Source, name: str) -> tuple[list[Draft], list[Finding]]:
    """The pictures in the order of their first rows, with their boxes, and what is left out."""
    path = source.path(name)
    boxes: dict[str, list[Given]] = {}
    first: dict[str, int] = {}

    def add(row: _Row) -> None:
        if not row.cells["filename"]:
            raise InputError(f"a row must have the name of a picture, got {', '.join(row.cells.values())}.")
        picture = source.picture_named(row.cells["filename"], name)
        first.setdefault(picture, row.line)
        boxes.setdefault(picture, []).extend(_given(row, path))

    findings = read_each(((row.line, row) for row in _rows(source.lines(name), path)), add, path)[1]
    return [Draft(source.picture(one), Place(path, first[one]), tuple(given)) for one, given in boxes.items()], findings


def _given(row: _Row, path: Path) -> list[Given]:
    """One box or none."""
    cells = [row.cells[name] for name in (*ENDS, "class")]
    if not any(cells):
        return []
    if not all(cells):
        raise InputError(f"a row must have all of {', '.join((*ENDS, 'class'))}, or none, got {', '.join(cells)}.")
    ends = [number_of(cell, name) for name, cell in zip(ENDS, cells, strict=False)]
    return [Given(box_of(row.cells["class"], ends), Place(path, row.line))]


def _rows(lines: list[str], path: Path) -> Iterator[_Row]:
    """Those with something in them, behind the header if there is one."""
    delimiter = max(",;\t", key=lines[0].count) if lines else ","
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter)
    places: list[int] = []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if not places:
                places, is_header = _places(cells, path)
                if is_header:
                    continue
            found = (cells[place] if place < len(cells) else "" for place in places)
            yield _Row(reader.line_num, dict(zip(_KNOWN, found, strict=True)))
    except csv.Error as error:
        raise InputError(f"the table must be rows of columns: {error}.", file=path, line=reader.line_num) from None


def _places(cells: list[str], path: Path) -> tuple[list[int], bool]:
    """Of the columns, and whether the row is a header."""
    places = {name: place_of(cells, known) for name, known in _KNOWN.items()}
    found = [place for place in places.values() if place is not None]
    if len(found) == len(_KNOWN):
        return found, True
    if not found and len(cells) == len(_KNOWN):
        return list(range(len(_KNOWN))), False
    missing = ", ".join(name for name, place in places.items() if place is None)
    raise InputError(f"the header must name {', '.join(_KNOWN)}; {missing} is not there.", file=path, line=1)
