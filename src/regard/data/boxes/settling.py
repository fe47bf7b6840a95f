"""Boxes as files give them, put into the pictures as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from regard.data.boxes.scene import Box, Draft, Given, Scene
from regard.data.findings import Finding, first_few
from regard.data.pictures.picture import Picture

_NEAR = 1.0
"""Pixels that a box may reach beyond its picture without being told, for coordinates are rounded."""
_MOST_TOLD = 5


def settled(drafts: Iterable[Draft], pictures: Mapping[str | int, Picture]) -> tuple[list[Scene], list[Finding]]:
    """Scenes of the drafts whose pictures, by their keys, could be decoded; warnings, a handful of a kind.

    Boxes are cut at the edges of the picture; those of no area and those beyond the picture are left out.
    """
    told: dict[str, list[Finding]] = defaultdict(list)
    scenes = []
    for draft in drafts:
        picture = pictures.get(draft.picture.key)
        if picture is None or picture.size is None:
            continue
        if draft.size not in (None, picture.size):
            told["size"].append(_other_size(draft, picture))
        boxes = []
        for given in draft.boxes:
            box, kind = _fitted(_in_pixels(given.box, draft, picture.size), picture.size)
            boxes += [] if box is None else [box]
            if kind:
                told[kind].append(_warning(given, kind, picture))
        scenes.append(Scene(picture, *picture.size, tuple(boxes), draft.place.line))
    return scenes, [one for findings in told.values() for one in first_few(findings, _MOST_TOLD)]


def _in_pixels(box: Box, draft: Draft, size: tuple[int, int]) -> Box:
    if not draft.is_relative:
        return box
    width, height = size
    ends = (box.xmin * width, box.ymin * height, box.xmax * width, box.ymax * height)
    return Box(box.label, *ends)


def _fitted(box: Box, size: tuple[int, int]) -> tuple[Box | None, str]:
    """What of a box is in the picture, and what is to be told."""
    width, height = size
    if box.xmin == box.xmax or box.ymin == box.ymax:
        return None, "has no area: left out"
    if box.xmin >= width or box.ymin >= height or box.xmax <= 0 or box.ymax <= 0:
        return None, "is outside the picture: left out"
    cut = replace(box, xmin=max(box.xmin, 0.0), ymin=max(box.ymin, 0.0), xmax=min(box.xmax, width), ymax=min(box.ymax, height))
    beyond = max(cut.xmin - box.xmin, cut.ymin - box.ymin, box.xmax - cut.xmax, box.ymax - cut.ymax)
    return cut, "reaches beyond the picture: cut at its edge" if beyond > _NEAR else ""


def _warning(given: Given, kind: str, picture: Picture) -> Finding:
    box = given.box
    where = f"{box.xmin:g}, {box.ymin:g}, {box.xmax:g}, {box.ymax:g}"
    width, height = picture.size or (0, 0)
    message = f"the box {where} of {box.label} {kind}. The picture {picture.key} is {width} x {height}."
    return Finding("warning", given.place.file, given.place.line, message)


def _other_size(draft: Draft, picture: Picture) -> Finding:
    (width, height), (real_width, real_height) = draft.size or (0, 0), picture.size or (0, 0)
    message = (
        f"the picture {picture.key} is {real_width} x {real_height}, but said to be {width} x {height}. "
        "Were its boxes drawn on it as it is now?"
    )
    return Finding("warning", draft.place.file, draft.place.line, message)
