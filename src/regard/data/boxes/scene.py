"""A picture with its boxes, as it is used, and as a file gives it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from regard.data.pictures.picture import Picture


@dataclass(frozen=True)
class Box:
    """A class and where it is, in pixels from the picture's upper left corner."""

    label: str
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    is_crowd: bool = False
    """Neither to be found nor to be missed: many of a kind in one box, or an object marked as difficult."""
    area: float | None = None
    """Of the object's mask, where it is known."""


@dataclass(frozen=True)
class Scene:
    """A picture and all that is in it; `line` is that of a table or a list."""

    picture: Picture
    width: int
    height: int
    boxes: tuple[Box, ...]
    line: int | None = None


@dataclass(frozen=True)
class Place:
    """Of a finding."""

    file: Path
    line: int | None = None


@dataclass(frozen=True)
class Given:
    """A box as a file has it: finite, its ends in order, not yet compared with the picture."""

    box: Box
    place: Place


@dataclass(frozen=True)
class Draft:
    """What a file says of a picture that was not decoded yet."""

    picture: Picture
    place: Place
    boxes: tuple[Given, ...] = ()
    size: tuple[int, int] | None = None
    """Width and height, where the file says them."""
    is_relative: bool = False
    """Whether boxes are in shares of the width and the height; then none has a crowd or an area."""
