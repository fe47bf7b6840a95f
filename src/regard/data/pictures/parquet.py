"""Parquet with a picture a row, as data sets of the hub have it: its content and its class."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from regard.data.findings import Finding
from regard.data.pictures.columns import CONTENTS, LABELS, class_name, place_of
from regard.data.pictures.picture import Key, Picture, Store
from regard.data.pictures.stores import Span, Spans, spans
from regard.data.stream import existing, told
from regard.errors import InputError

_SHARD = re.compile(r"-\d{5}-of-(\d{5})(?=\.parquet$)")
_NUM_ROWS = 256
"""That are held at once."""


@dataclass(frozen=True)
class Parquet(Store):
    """Contents by their rows from 0, unpacked to a file without a name, once in each process that was not forked."""

    def name_of(self, key: Key) -> str:
        return f"{self.path}:{int(key) + 1}"

    def read(self, key: Key) -> bytes:
        return self._spans.read(key)

    @cached_property
    def _spans(self) -> Spans:
        places: dict[Key, Span] = {}
        with TemporaryFile() as file:
            for row, content in enumerate(_contents(self.path)):
                places[row] = Span(file.tell(), file.write(content))
            file.write(b"\0")  # lest it be empty
            return spans(file, places)


def is_parquet(path: Path) -> bool:
    """By its name."""
    return path.name.lower().endswith(".parquet")


def is_later_shard(path: Path) -> bool:
    """Is it a part of a table whose first part stands for all?"""
    return _SHARD.search(path.name) is not None and "-00000-of-" not in path.name


def read(path: Path, *, is_labelled: bool) -> tuple[list[Picture], list[Finding]]:
    """The pictures, and the rows without a class; of a table in numbered parts, all parts."""
    pictures: list[Picture] = []
    findings: list[Finding] = []
    store = Parquet(path)
    number = sum(map(_num_rows, _parts(path)))
    if not is_labelled:
        return [Picture(store, row) for row in range(number)], []
    for row, label in enumerate(_labels(path)):
        if label:
            pictures.append(Picture(store, row, label))
        else:
            findings.append(Finding("error", path, row + 1, "a row must have a class, got none."))
    return pictures, findings


def _num_rows(path: Path) -> int:
    """Of a table that has pictures."""
    with _opened(path) as file:
        _name(file.schema_arrow, CONTENTS, "pictures", path)
        return file.metadata.num_rows


def _contents(path: Path) -> Iterator[bytes]:
    """Of the pictures, in order; nothing where one is missing."""
    for value in _column(path, CONTENTS, "pictures"):
        content = value.get("bytes") if isinstance(value, dict) else value
        yield content if isinstance(content, bytes) else b""


def _labels(path: Path) -> Iterator[str]:
    with _opened(path) as file:
        name = _name(file.schema_arrow, LABELS, "classes", path)
        names = _class_names(file.schema_arrow, name)
    yield from (class_name(value, names) for value in _column(path, LABELS, "classes"))


def _column(path: Path, known: tuple[str, ...], what: str) -> Iterator[Any]:
    """The values of one column, of all parts."""
    rows = count(1)
    for part in _parts(path):
        with _opened(part) as file:
            name = _name(file.schema_arrow, known, what, part)
            for batch in file.iter_batches(_NUM_ROWS, columns=[name]):
                yield from (_plain(value, path, next(rows)) for value in batch.column(0))


def _plain(value: Any, path: Path, row: int) -> Any:
    """Of pyarrow, which checks no text before it is asked for."""
    try:
        return value.as_py()
    except UnicodeDecodeError as error:
        message = f"the text must be UTF-8, got byte 0x{error.object[error.start]:02x}. Write it anew, in UTF-8."
        raise InputError(message, file=path, line=row) from None


def _parts(path: Path) -> list[Path]:
    shard = _SHARD.search(path.name)
    if shard is None:
        return [path]
    before, after = path.name[: shard.start()], path.name[shard.end() :]
    return [path.with_name(f"{before}-{number:05}-of-{shard[1]}{after}") for number in range(int(shard[1]))]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise InputError("parquet needs the library pyarrow: pip install pyarrow.", file=path) from None
    with told(path):
        try:
            with ParquetFile(existing(path)) as file:
                yield file
        except pyarrow.ArrowException as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise InputError(f"the file is damaged or not parquet: {reason}.", file=path) from None


def _name(schema: Any, known: tuple[str, ...], what: str, path: Path) -> str:
    place = place_of(schema.names, known)
    if place is None:
        names = ", ".join(schema.names)
        raise InputError(f"a column must hold {what}, named one of {', '.join(known)}; got {names}.", file=path)
    return schema.names[place]


def _class_names(schema: Any, name: str) -> list[str]:
    """The names of the numbers, where the data set's description has them."""
    try:
        described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        return list(described["info"]["features"][name]["names"])
    except (ValueError, KeyError, TypeError):
        return []
