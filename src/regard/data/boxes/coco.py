"""COCO's JSON: categories have any numbers, boxes are x, y, width, height; Lin et al. 2014, arXiv:1405.0312."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from regard.data.boxes.json_lists import Numbered, lists_of
from regard.data.boxes.scene import Box, Draft, Given, Place
from regard.data.boxes.sources import Source
from regard.data.boxes.values import is_number, numbers_of
from regard.data.findings import Finding, counted
from regard.data.json_values import as_object, as_text, short
from regard.data.paragraphs import read_each
from regard.errors import InputError

_ENDINGS = (".json", ".json.gz")
Id = int | str


def candidates(source: Source) -> list[str]:
    """Files that may be parts."""
    return [name for name in source.names if name.lower().endswith(_ENDINGS)]


def read(source: Source, name: str) -> tuple[list[Draft], list[Finding]]:
    """The pictures with their boxes, and what is left out."""
    path = source.path(name)
    try:
        images, annotations, categories = lists_of("\n".join(source.lines(name)), ("images", "annotations", "categories"))
    except InputError as error:
        raise InputError(f"{error.message} COCO's JSON is read here.", file=path, line=error.line) from None
    labels, wrong_categories = _labels(categories, path)
    pictures, wrong_images = _pictures(images, source, name)
    boxes, wrong_boxes = _boxes(annotations, labels, {_id_of(one) for _, one in images}, path)
    drafts = [Draft(one.picture, one.place, tuple(boxes[id]), one.size) for id, one in pictures.items()]
    return drafts, [*wrong_categories, *wrong_images, *wrong_boxes, *_gaps(labels, path)]


def _labels(categories: list[Numbered], path: Path) -> tuple[dict[Id, str], list[Finding]]:
    labels: dict[Id, str] = {}

    def add(value: Any) -> None:
        record = as_object(value, "a category")
        id = _checked_id(record, "id", "a category")
        name = as_text(record.get("name"), f"the name of category {id}").strip()
        if id in labels or name in labels.values() or not name:
            raise InputError(f"each category must have an id and a name of its own, got {short(record)}.")
        labels[id] = name

    return labels, read_each(categories, add, path)[1]


def _pictures(images: list[Numbered], source: Source, name: str) -> tuple[dict[Id, Draft], list[Finding]]:
    """Drafts without boxes, by the ids of their pictures."""
    drafts: dict[Id, Draft] = {}
    files: set[str] = set()
    path = source.path(name)

    def add(given: Numbered) -> None:
        record = as_object(given[1], "an image")
        id = _checked_id(record, "id", "an image")
        file = source.picture_named(as_text(record.get("file_name"), f"file_name of image {id}"), name)
        if id in drafts or file in files:
            raise InputError(f"each picture must be listed once, with an id of its own; got {file} with id {id} again.")
        files.add(file)
        width, height = record.get("width"), record.get("height")
        size = (width, height) if type(width) is int and type(height) is int else None
        drafts[id] = Draft(source.picture(file), Place(path, given[0]), size=size)

    return drafts, read_each(((line, (line, one)) for line, one in images), add, path)[1]


def _boxes(
    annotations: list[Numbered], labels: dict[Id, str], images: Collection[Id | None], path: Path
) -> tuple[dict[Id, list[Given]], list[Finding]]:
    """By the ids of their pictures."""
    boxes: dict[Id, list[Given]] = defaultdict(list)

    def add(given: Numbered) -> None:
        record = as_object(given[1], "an annotation")
        what = f"annotation {short(record.get('id'))}"
        label = labels[_listed(record, "category", labels, what)]
        boxes[_listed(record, "image", images, what)].append(Given(_box(record, label, what), Place(path, given[0])))

    return boxes, read_each(((line, (line, one)) for line, one in annotations), add, path)[1]


def _box(record: dict[str, Any], label: str, what: str) -> Box:
    x, y, width, height = numbers_of(record.get("bbox"), f"bbox of {what}", "x y width height")
    if width < 0 or height < 0:
        raise InputError(f"bbox of {what} must have a width and a height of at least 0, got {width:g} and {height:g}.")
    is_crowd, area = record.get("iscrowd", 0), record.get("area")
    if is_crowd not in (0, 1):
        raise InputError(f"iscrowd of {what} must be 0 or 1, got {short(is_crowd)}.")
    if area is not None and not is_number(area):
        raise InputError(f"area of {what} must be a number, got {short(area)}.")
    return Box(label, x, y, x + width, y + height, bool(is_crowd), area)


def _listed(record: dict[str, Any], kind: str, ids: Collection[Id | None], what: str) -> Id:
    """The id of an image or a category that is there."""
    id = _checked_id(record, f"{kind}_id", what)
    if id not in ids:
        raise InputError(f"{kind}_id of {what} must be the id of a listed {kind}, got {short(id)}. List it, or mend the id.")
    return id


def _checked_id(record: dict[str, Any], name: str, what: str) -> Id:
    id = record.get(name)
    if type(id) not in (int, str):
        raise InputError(f"{name} of {what} must be a number, got {short(id)}.")
    return id  # type: ignore[return-value]


def _id_of(image: Any) -> Id | None:
    """Also of an image that has something else wrong, so that its boxes are not told too."""
    id = image.get("id") if isinstance(image, dict) else None
    return id if type(id) in (int, str) else None


def _gaps(labels: dict[Id, str], path: Path) -> list[Finding]:
    numbers = sorted(id for id in labels if isinstance(id, int))
    missing = (number for low, high in pairwise(numbers) for number in range(low + 1, high))
    first = ", ".join(map(str, islice(missing, 3)))
    if not first:
        return []
    missed = counted(numbers[-1] - numbers[0] + 1 - len(numbers), "number")
    message = f"the ids of categories have gaps, {missed} in all, the first {first}. Classes go by names, so they do no harm."
    return [Finding("warning", path, None, message)]
