"""YOLO's text: a file a picture, a box a line: the class by number, then x and y of the middle, width and height in shares."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from regard.data.boxes.scene import Box, Draft, Given, Place
from regard.data.boxes.sources import Source, folders
from regard.data.boxes.values import number_of
from regard.data.findings import Finding, counted
from regard.data.paragraphs import read_each
from regard.errors import InputError

_NAMES = ("classes.txt", "obj.names")
_YAML = (".yaml", ".yml")
_FAR = 2
"""No share is beyond, of a box that reaches out of its picture or lies beside it; what is, was meant in pixels."""


def candidates(source: Source) -> list[str]:
    """Folders of pictures that have labels."""
    names = set(source.names)
    return folders([name for name in source.pictures if _labels_of(name) in names])


def read(source: Source, name: str) -> tuple[list[Draft], list[Finding]]:
    """The pictures with their boxes, and what is left out. One without labels has no box."""
    classes, names = _classes(source, name), set(source.names)
    pictures = [one for one in source.pictures if str(PurePosixPath(one).parent) == name]
    drafts: list[Draft] = []
    findings = _without_picture(source, pictures)
    for picture in pictures:
        labels = _labels_of(picture)
        path, boxes = source.path(labels), list[tuple[int, Box]]()
        if labels in names:
            lines = ((number, (number, line)) for number, line in enumerate(source.lines(labels), 1) if line.strip())
            boxes, wrong = read_each(lines, lambda given: (given[0], _box(given[1], classes)), path)
            findings += wrong
        given = tuple(Given(box, Place(path, line)) for line, box in boxes)
        drafts.append(Draft(source.picture(picture), Place(path), given, is_relative=True))
    return drafts, findings


def _labels_of(picture: str) -> str:
    """In the folder labels where the picture is in images, else beside it."""
    parts = list(PurePosixPath(picture).with_suffix(".txt").parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return "/".join(parts)


def _without_picture(source: Source, pictures: list[str]) -> list[Finding]:
    """Errors for labels of no picture."""
    known = {_labels_of(one) for one in pictures}
    places = set(folders(list(known)))
    lost = [
        name
        for name in source.names
        if name.endswith(".txt")
        and str(PurePosixPath(name).parent) in places
        and not name.endswith(_NAMES)
        and name not in known
    ]
    message = "there is no picture of this name for its boxes. Put it there, or take the labels out."
    return [Finding("error", source.path(name), None, message) for name in lost]


def _box(line: str, classes: dict[str, str]) -> Box:
    fields = line.split()
    if len(fields) != 5:
        raise InputError(f"a line must be class, x, y, width and height, got {counted(len(fields), 'field')}.")
    if fields[0] not in classes:
        raise InputError(f"the class must be a number from 0 to {len(classes) - 1}, got {fields[0]}.")
    x, y, width, height = shares = [number_of(field, "a share") for field in fields[1:]]
    if max(map(abs, shares)) > _FAR:
        got = f"got {' '.join(fields[1:])}. Divide pixels by its width and its height."
        raise InputError(f"x, y, width and height must be shares of the picture, 0 to 1, {got}")
    if width < 0 or height < 0:
        raise InputError(f"a box must have a width and a height of at least 0, got {width:g} and {height:g}.")
    return Box(classes[fields[0]], x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def class_files(source: Source) -> list[str]:
    """That may have the names of the classes."""
    return [name for name in source.names if name.endswith((*_NAMES, *_YAML))]


def _classes(source: Source, part: str) -> dict[str, str]:
    """The names of the classes by their numbers, out of the file nearest to the part."""
    files = class_files(source)
    if not files:
        raise InputError(f"the names of the classes must be in data.yaml or {_NAMES[0]}.", file=source.path(part))
    file = max(files, key=lambda name: (_num_shared(name, part), "data." in name))
    path, lines = source.path(file), source.lines(file)
    names = _of_yaml("\n".join(lines), path) if file.endswith(_YAML) else [line.strip() for line in lines if line.strip()]
    if not names or len(set(names)) < len(names):
        raise InputError(f"the classes must have names, each its own, got {', '.join(names) or 'none'}.", file=path)
    return {str(number): name for number, name in enumerate(names)}


def _num_shared(file: str, part: str) -> int:
    """Folders that both are in."""
    pairs = zip(PurePosixPath(file).parts, PurePosixPath(part).parts, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _of_yaml(text: str, path: Path) -> list[str]:
    """A list, or names by their numbers from 0."""
    import yaml

    try:
        content: Any = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise InputError(f"this must be YAML: {error.problem}.", file=path, line=line) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"this must be YAML: {str(error).splitlines()[0]}.", file=path) from None
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list):
        raise InputError("names must be a list of the classes, or their names by the numbers from 0.", file=path)
    return [str(name) for name in names]
