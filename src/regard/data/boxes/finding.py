"""Where the parts of a data set with boxes are, and who reads them."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from regard.data.boxes import coco, table, voc, yolo
from regard.data.boxes.scene import Draft
from regard.data.boxes.sources import Source, Within, located, split_of
from regard.data.files import Files, find_files
from regard.data.findings import Finding
from regard.errors import InputError

FORMS = "COCO's .json, PASCAL VOC's .xml, YOLO's images and labels, or a table, .csv"


class Reader(Protocol):
    """A format."""

    def candidates(self, source: Source) -> list[str]:
        """Files and folders that may be parts."""

    def read(self, source: Source, name: str) -> tuple[list[Draft], list[Finding]]:
        """The pictures of a part with their boxes, and what is left out."""


READERS: tuple[Reader, ...] = (voc, yolo, coco, table)
"""In the order in which they are looked for: where files of several say the same, the first is meant."""


class Part(NamedTuple):
    """Which pictures are in it is said by a file, or a folder, of a source."""

    reader: Reader
    source: Source
    name: str


def find_scenes(folder: str | Path | None, given: dict[str, str | None]) -> Files:
    """The parts in a folder or an archive, each replaced by the one named singly in `given`.

    What says which pictures are in a part has the part's name in its own or in that of a folder above it:
    ImageSets/Main/val.txt, instances_val2017.json, valid/images, val.csv. A part may be an archive, and all may be in one.
    One that names no part and stands alone is all for training.
    """
    found = {split: Path(path) for split, path in given.items() if path}
    for path in found.values():
        part_at(path)
    for split, paths in ({} if folder is None else _inside(*_opened(Path(folder)))).items():
        found.setdefault(split, _the_one(paths, split, folder))
    return Files(**found) if found else find_files(folder, {})


def part_at(path: Path) -> Part:
    """The part that is named; or the only one of a folder or an archive that is."""
    source, name = _opened(path)
    parts = [Part(reader, source, one) for reader in READERS for one in reader.candidates(source)]
    exact = [part for part in parts if part.name == (name or ".")]
    inside = [part for part in parts if _is_in(part.name, name)]
    meant = exact[:1] or [part for part in inside if part.reader is inside[0].reader]
    if not meant:
        raise InputError(f"a part with boxes must be {FORMS}; found none here.", file=path)
    if len(meant) > 1:
        listed = ", ".join(str(source.path(part.name)) for part in meant[:3])
        raise InputError(f"one part must be named, here are several: {listed}.", file=path)
    return meant[0]


def _opened(path: Path) -> tuple[Source, str]:
    """The data set that a path belongs to, and its name there. A folder of parts has nothing to do with what lies beside it."""
    if path.is_dir() and not isinstance(path, Within) and _holds_parts(source := Source(path)):
        return source, ""
    return located(path)


def _holds_parts(source: Source) -> bool:
    """Are there parts in it, with all that they need? Above a part of YOLO's may lie the names of its classes."""
    readers = [reader for reader in READERS if reader is not yolo or yolo.class_files(source)]
    return any(name != "." for reader in readers for name in reader.candidates(source))


def _inside(source: Source, folder: str) -> dict[str, list[Path]]:
    """What may be a part, by the parts."""
    offered = [*(reader.candidates(source) for reader in READERS), source.archives]
    choices = [[source.path(name) for name in names if _is_in(name, folder)] for names in offered]
    top = source.path(folder)
    named = next(filter(None, (_by_split(paths, top) for paths in choices)), None)
    alone = next((paths for paths in choices if len(paths) == 1), None)
    if named or alone is None:
        return named or {}
    return _inside(Source(alone[0]), "") if alone is choices[-1] else {"train": alone}


def _by_split(paths: list[Path], top: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        if split := split_of(str(path.relative_to(top))):
            found[split].append(path)
    return dict(found)


def _is_in(name: str, folder: str) -> bool:
    return PurePosixPath(name).is_relative_to(folder)


def _the_one(paths: list[Path], split: str, folder: str | Path | None) -> Path:
    """Of COCO's files the one with boxes, of which captions and others stand beside it."""
    meant = [path for path in paths if path.name.startswith("instances")] or paths
    if len(meant) > 1:
        listed = ", ".join(str(path) for path in meant[:3])
        raise InputError(f"several could be {split}: {listed}. Name one with --{split} PATH.", file=folder)
    return meant[0]
