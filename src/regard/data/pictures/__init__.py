"""Pictures with their classes, read from the formats people have; decoded when they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from regard.data.findings import Finding
from regard.data.pictures.finding import find_pictures
from regard.data.pictures.formats import listed, reader_of
from regard.data.pictures.picture import Picture, Store, pixels
from regard.data.pictures.quality import check_pictures, describe_pictures
from regard.data.pictures.stores import Folder
from regard.data.pictures.verification import verified
from regard.data.quality import first_few
from regard.data.stream import existing, open_lines
from regard.errors import InputError

__all__ = [
    "Picture",
    "Store",
    "check_pictures",
    "describe_pictures",
    "find_pictures",
    "input_pictures",
    "pixels",
    "read_pictures",
]
_MOST_ERRORS = 20


def read_pictures(path: Path) -> tuple[list[Picture], list[Finding]]:
    """The labelled pictures of a part that can be decoded, and what is wrong with the rest. Each is decoded once."""
    pictures, findings = listed(path)
    kept, broken = verified(pictures)
    warnings = [one for one in findings if one.level == "warning"]
    errors = [*(one for one in findings if one.level == "error"), *broken]
    if not pictures and not errors:
        errors = [Finding("error", path, None, "it must hold pictures in folders named like their classes, got none.")]
    return kept, [*first_few(errors, _MOST_ERRORS), *warnings]


def input_pictures(source: str) -> Iterator[Picture]:
    """Pictures without a class, not decoded: of a folder, an archive, a table, IDX or parquet, or one; of "-" a path a line."""
    if source == "-":
        with open_lines(source) as lines:
            yield from (_single(Path(line)) for line in lines if line.strip())
        return
    path = Path(source)
    reader = reader_of(path)
    if reader is None:
        yield _single(existing(path))
        return
    pictures, _ = reader(path, is_labelled=False)
    if not pictures:
        raise InputError("it must hold pictures, got none.", file=path)
    yield from pictures


def _single(path: Path) -> Picture:
    return Picture(Folder(path.parent), path.name)
