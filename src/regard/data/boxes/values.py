"""Numbers of boxes, out of text and out of JSON, each with an error that says what it must be."""

from __future__ import annotations

import math
from typing import Any

from regard.data.boxes.scene import Box
from regard.data.json_values import short
from regard.errors import InputError

ENDS = ("xmin", "ymin", "xmax", "ymax")
_LARGEST = 1e9
"""No coordinate is as far away; NaN is not less."""


def number_of(text: str, what: str) -> float:
    """The finite number that a text is."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) < _LARGEST:
        raise InputError(f"{what} must be a number, got {short(text)}.")
    return value


def is_number(value: Any) -> bool:
    """Is a JSON value a finite number?"""
    return type(value) in (int, float) and abs(value) < _LARGEST


def numbers_of(value: Any, what: str, form: str) -> list[float]:
    """The numbers of a JSON list, as many as the words of `form`."""
    names = form.split()
    is_list = isinstance(value, list) and len(value) == len(names)
    if not is_list or not all(map(is_number, value)):
        raise InputError(f"{what} must be {len(names)} numbers [{', '.join(names)}], got {short(value)}.")
    return [float(one) for one in value]


def box_of(label: str, ends: list[float], *, is_crowd: bool = False) -> Box:
    """A box by its ends: xmin, ymin, xmax, ymax."""
    xmin, ymin, xmax, ymax = ends
    for low, high, axis in ((xmin, xmax, "x"), (ymin, ymax, "y")):
        if high < low:
            got = f"{axis}min {low:g} and {axis}max {high:g}"
            raise InputError(f"a box must end where it begins or after, got {got}. Exchange or mend them.")
    return Box(label, xmin, ymin, xmax, ymax, is_crowd)
