"""Checks of scenes, within their parts and between them. In linear time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regard.data.boxes.scene import Scene
from regard.data.files import Files
from regard.data.findings import Finding, first_few, share_of
from regard.data.pictures.quality import unseen
from regard.data.quality import Labelled, check_parts

Parts = dict[str, list[Scene]]


def describe_scenes(scenes: Sequence[Scene]) -> dict[str, Any]:
    """Counts: pictures, those without a box, boxes, crowds among these, and boxes of each class without crowds."""
    boxes = [box for scene in scenes for box in scene.boxes]
    return {
        "pictures": len(scenes),
        "empty": sum(not scene.boxes for scene in scenes),
        "boxes": len(boxes),
        "crowds": sum(box.is_crowd for box in boxes),
        "per_class": dict(sorted(_classes(scenes).items())),
    }


def check_scenes(files: Files, parts: Parts) -> list[Finding]:
    """Errors of classes that training lacks; warnings of all else, a handful of a kind at most."""
    findings: list[Finding] = []
    for split, path in files.items():
        findings += [*_empty(parts[split], path), *_grey(parts[split], path), *_repeated(parts[split], path)]
        if split != "train" and files.train:
            findings += first_few(_unseen(parts["train"], parts[split], path))
            findings += _leaked(parts["train"], parts[split], (files.train, path))
    if files.train:
        findings += _rare_and_slips(parts["train"], files.train)
        if parts["train"] and not _classes(parts["train"]):
            findings.append(Finding("error", files.train, None, "the training pictures must have boxes, none has one."))
    return findings


def _classes(scenes: Sequence[Scene]) -> Counter[str]:
    """How many boxes each has, crowds left out."""
    return Counter(box.label for scene in scenes for box in scene.boxes if not box.is_crowd)


def _empty(scenes: Sequence[Scene], path: Path) -> list[Finding]:
    empty = [scene for scene in scenes if not scene.boxes]
    if not empty:
        return []
    what = f"{_share(empty, scenes)} no box, such as {empty[0].picture.key}"
    return [Finding("warning", path, empty[0].line, f"{what}: kept, to learn from what is not there.")]


def _grey(scenes: Sequence[Scene], path: Path) -> list[Finding]:
    grey = [scene for scene in scenes if scene.picture.channels == 1]
    if not grey:
        return []
    what = f"{_share(grey, scenes)} no colours, such as {grey[0].picture.key}"
    return [Finding("warning", path, grey[0].line, f"{what}: kept, and read as three equal ones.")]


def _repeated(scenes: Sequence[Scene], path: Path) -> list[Finding]:
    first: dict[str, Scene] = {}
    again = [scene for scene in scenes if first.setdefault(scene.picture.digest, scene) is not scene]
    if not again:
        return []
    place = f"{again[0].picture.key} (as {first[again[0].picture.digest].picture.key})"
    return [Finding("warning", path, again[0].line, f"{_share(again, scenes)} come before, such as {place}. Keep one of each.")]


def _leaked(train: Sequence[Scene], scenes: Sequence[Scene], paths: tuple[Path, Path]) -> list[Finding]:
    known = {scene.picture.digest: scene.picture.key for scene in train}
    leaked = [scene for scene in scenes if scene.picture.digest in known]
    if not leaked:
        return []
    place = f"{leaked[0].picture.key} (as {known[leaked[0].picture.digest]})"
    message = (
        f"{_share(leaked, scenes)} a place in {paths[0].name} too, such as {place}. "
        "Take them out of one of the two, else the score promises too much."
    )
    return [Finding("warning", paths[1], leaked[0].line, message)]


def _unseen(train: Sequence[Scene], scenes: Sequence[Scene], path: Path) -> list[Finding]:
    numbers = _classes(scenes)
    first = {box.label: scene for scene in reversed(scenes) for box in scene.boxes}
    where = {label: f"{number:,} here, the first in {first[label].picture.key}" for label, number in numbers.items()}
    messages = unseen(_classes(train), numbers, "boxes", where)
    return [Finding("error", path, first[label].line, message) for label, message in messages]


def _rare_and_slips(train: Sequence[Scene], path: Path) -> list[Finding]:
    """Classes with too few boxes, and names of classes that look like a slip."""
    labels = (tuple(box.label for box in scene.boxes if not box.is_crowd) for scene in train)
    labelled = [Labelled((one.picture.name,), some, one.line) for one, some in zip(train, labels, strict=True)]
    return check_parts(Files(train=path), {"train": labelled})


def _share(some: Sequence[Scene], scenes: Sequence[Scene]) -> str:
    return f"{share_of(len(some), len(scenes), 'picture')} {'has' if len(some) == 1 else 'have'}"
