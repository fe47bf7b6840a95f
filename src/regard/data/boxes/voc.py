"""PASCAL VOC: an XML file a picture; lists in ImageSets/Main say which belong to which part. Everingham et al. 2010.

Coordinates are taken as they stand, xmax - xmin wide, as the tools that write such files today mean them.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from regard.data.boxes.elements import Element, parsed
from regard.data.boxes.scene import Box, Draft, Given, Place
from regard.data.boxes.sources import Source, folders
from regard.data.boxes.values import ENDS, box_of, number_of
from regard.data.findings import Finding
from regard.data.paragraphs import read_each
from regard.data.pictures.picture import Key
from regard.errors import InputError

_SIZE = re.compile("[1-9][0-9]{0,6}")
_LISTS, _PICTURES = ("ImageSets", "Main"), ("JPEGImages", "images", "Images")


def candidates(source: Source) -> list[str]:
    """Lists of pictures, those of one class such as cat_train left out; where there are none, folders of annotations."""
    lists = [PurePosixPath(name) for name in source.names if name.endswith(".txt")]
    meant = [str(one) for one in lists if one.parts[-3:-1] == _LISTS and "_" not in one.stem]
    return meant or folders([name for name in source.names if name.lower().endswith(".xml")])


def read(source: Source, name: str) -> tuple[list[Draft], list[Finding]]:
    """The pictures with their boxes, and what is left out."""
    annotations, findings = _listed(source, name) if name.endswith(".txt") else (_inside(source, name), [])
    drafts: dict[Key, Draft] = {}
    for annotation in annotations:
        try:
            draft, wrong = _draft(source, annotation)
            if drafts.setdefault(draft.picture.key, draft) is not draft:
                raise InputError(f"{draft.picture.key} has another annotation. Take one of them out.")
            findings += wrong
        except InputError as error:
            findings.append(Finding("error", source.path(annotation), error.line, error.message))
    return list(drafts.values()), findings


def _listed(source: Source, name: str) -> tuple[list[str], list[Finding]]:
    """The annotations that a list names, once each."""
    base = PurePosixPath(name).parents[2]
    known, found = set(source.names), dict[str, None]()

    def add(line: str) -> None:
        annotation = str(base / "Annotations" / f"{line.split()[0]}.xml")
        if annotation not in known:
            raise InputError(f"there is no {annotation} for it. A picture without boxes needs one without objects.")
        if annotation in found:
            raise InputError(f"each picture must be listed once, got {line.split()[0]} again.")
        found[annotation] = None

    lines = ((number, line) for number, line in enumerate(source.lines(name), 1) if line.strip())
    findings = read_each(lines, add, source.path(name))[1]
    return list(found), findings


def _inside(source: Source, folder: str) -> list[str]:
    """The annotations of a folder."""
    return [one for one in source.names if one.lower().endswith(".xml") and str(PurePosixPath(one).parent) == folder]


def _draft(source: Source, name: str) -> tuple[Draft, list[Finding]]:
    """What one annotation says; objects that cannot be used are left out."""
    path = source.path(name)
    top = parsed(source.tree.read(name), path)
    if top.name != "annotation":
        raise InputError(f"the XML must be an <annotation>, got <{top.name}>.", line=top.line)
    picture = source.picture(_picture(source, name, top.text_of("filename")))
    boxes, findings = read_each(((one.line, one) for one in top.all("object")), _box, path)
    given = tuple(Given(box, Place(path, one.line)) for box, one in boxes)
    return Draft(picture, Place(path), given, _size(top)), findings


def _picture(source: Source, annotation: str, named: str) -> str:
    """That of the same name, in the annotations' folder or a folder of pictures beside it; else the one that it names."""
    path = PurePosixPath(annotation).with_suffix("")
    places = [path, *(path.parents[1] / folder / path.name for folder in _PICTURES if len(path.parents) > 1)]
    found = (source.by_stem[str(place)] for place in places if str(place) in source.by_stem)
    return next(found, "") or source.picture_named(named or f"{path.name}.jpg", annotation)


def _box(given: Element) -> tuple[Box, Element]:
    label, place = given.text_of("name"), next(given.all("bndbox"), None)
    if not label or place is None:
        raise InputError("an <object> must have a <name> with letters and a <bndbox>.")
    ends = [number_of(place.text_of(end), f"<{end}> of the {label}") for end in ENDS]
    return box_of(label, ends, is_crowd=given.text_of("difficult") == "1"), given


def _size(top: Element) -> tuple[int, int] | None:
    """Where it is said; some tools write zeros."""
    for size in top.all("size"):
        width, height = size.text_of("width"), size.text_of("height")
        if _SIZE.fullmatch(width) and _SIZE.fullmatch(height):
            return int(width), int(height)
    return None
