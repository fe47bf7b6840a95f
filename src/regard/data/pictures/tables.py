"""CSV or TSV with a picture a row: its path from the table's folder or from that of the table's name, and its class."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from regard.data.findings import Finding
from regard.data.pictures.columns import LABELS, PATHS, place_of
from regard.data.pictures.picture import Picture
from regard.data.pictures.stores import Folder
from regard.data.stream import is_file, open_lines
from regard.errors import InputError

ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


class _Columns(NamedTuple):
    path: int = 0
    label: int | None = 1
    is_header: bool = False


def is_table(path: Path) -> bool:
    """By its name."""
    return path.name.lower().endswith(ENDINGS)


def names_classes(path: Path) -> bool:
    """Does its first row name a column of pictures and one of classes?"""
    _, row = next(_rows(path), (1, []))
    return place_of(row, PATHS) is not None and place_of(row, LABELS) is not None


def read(path: Path, *, is_labelled: bool) -> tuple[list[Picture], list[Finding]]:
    """The pictures, and the rows that have none. A header tells the columns; without one they are path and label."""
    pictures: list[Picture] = []
    findings: list[Finding] = []
    columns: _Columns | None = None
    store = Folder(path.parent)
    for line, row in _rows(path):
        if columns is None:
            columns = _columns(row, path, is_labelled)
            if columns.is_header:
                continue
        key, label = _key(_cell(row, columns.path), path), _cell(row, columns.label)
        if not is_labelled:
            pictures.append(Picture(store, key, line=line))
        elif problem := _problem(row, key, label, path.parent):
            findings.append(Finding("error", path, line, problem))
        else:
            pictures.append(Picture(store, key, label, line))
    return pictures, findings


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Those with something in them, and the lines where they end."""
    with open_lines(path) as lines:
        texts = iter(lines)
        first = next(texts, "")
        reader = csv.reader(_again(first, texts), delimiter=_delimiter(first, path))
        try:
            yield from ((reader.line_num, row) for row in reader if any(map(str.strip, row)))
        except csv.Error as error:
            raise InputError(f"the table must be rows of columns: {error}.", file=path, line=reader.line_num) from None


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    """With the ends that a quoted cell of several lines needs."""
    yield first + "\n"
    yield from (line + "\n" for line in rest)


def _delimiter(first: str, path: Path) -> str:
    if ".tsv" in path.suffixes or ".TSV" in path.suffixes:
        return "\t"
    return max(",;\t", key=first.count)


def _columns(row: list[str], path: Path, is_labelled: bool) -> _Columns:
    place, label = place_of(row, PATHS), place_of(row, LABELS)
    if place is None and label is None:
        return _Columns()
    if place is None or (label is None and is_labelled):
        missing = f"a path ({', '.join(PATHS)})" if place is None else f"a class ({', '.join(LABELS)})"
        raise InputError(f"the header must name a column with {missing}; got {', '.join(row)}.", file=path, line=1)
    return _Columns(place, label, is_header=True)


def _cell(row: list[str], place: int | None) -> str:
    return row[place].strip() if place is not None and place < len(row) else ""


def _key(name: str, path: Path) -> str:
    """From the table's folder: train.csv may mean train/1.png by 1.png."""
    inside = f"{path.name.split('.')[0]}/{name}"
    return inside if name and not is_file(path.parent / name) and is_file(path.parent / inside) else name


def _problem(row: list[str], key: str, label: str, folder: Path) -> str | None:
    """What is wrong with a row."""
    if not key or not label:
        return f"a row must have a path and a class, got {', '.join(row)}."
    if not is_file(folder / key):
        return f"there is no such file: {folder / key}. Paths start at the table's folder, or at one of the table's name."
    return None
