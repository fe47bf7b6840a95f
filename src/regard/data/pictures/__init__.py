"""Pictures with their classes, read from the formats people have; decoded when they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from regard.data.findings import Finding, first_few, share_of
from regard.data.pictures.finding import find_pictures
from regard.data.pictures.formats import FORMS, listed, reader_of
from regard.data.pictures.picture import Picture, Store, pixels
from regard.data.pictures.quality import check_pictures, describe_pictures, unseen_classes
from regard.data.pictures.stores import Folder
from regard.data.pictures.trees import PICTURES
from regard.data.pictures.verification import verified
from regard.data.stream import existing, open_lines
from regard.errors import InputError

__all__ = [
    "Picture",
    "Store",
    "check_pictures",
    "describe_pictures",
    "find_pictures",
    "input_pictures",
    "names_pictures",
    "pixels",
    "read_any_pictures",
    "read_pictures",
    "unseen_classes",
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


def read_any_pictures(path: Path) -> tuple[list[Picture], list[Finding]]:
    """The pictures of a part that can be decoded, with their classes where all have one; those that cannot are counted."""
    pictures, findings = _with_classes(path)
    kept, broken = verified(pictures)
    if broken:
        what = f"{share_of(len(broken), len(pictures), 'picture')} cannot be read, such as {broken[0].file}"
        findings.append(Finding("warning", path, None, f"{what}: {broken[0].message} They are left out."))
    if not kept:
        findings.append(Finding("error", path, None, "it must hold pictures that can be read, got none."))
    return kept, findings


def _with_classes(path: Path) -> tuple[list[Picture], list[Finding]]:
    """Of a part, not decoded; where the classes are missing of some or wrong, without."""
    reader = reader_of(path)
    if reader is None:
        raise InputError(f"pictures must be in {FORMS}.", file=path)
    pictures, _ = reader(path, is_labelled=False)
    try:
        labelled, findings = reader(path, is_labelled=True)
    except InputError:  # no labels beside it, or no column of them
        return pictures, []
    if len(labelled) == len(pictures):
        return labelled, findings
    if not labelled:
        return pictures, []
    message = f"{len(labelled):,} of {len(pictures):,} pictures have a class and the others have none: they are taken without."
    return pictures, [Finding("warning", path, None, message)]


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


def names_pictures(source: str) -> bool:
    """Is it the name of a picture, or of many?"""
    path = Path(source)
    return path.name.lower().endswith(PICTURES) or reader_of(path) is not None


def _single(path: Path) -> Picture:
    return Picture(Folder(path.parent), path.name)
