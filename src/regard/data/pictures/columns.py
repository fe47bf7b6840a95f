"""What the columns of tables are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PATHS = ("path", "file", "filename", "file_name", "filepath", "image", "image_path", "img")
CONTENTS = ("image", "img", "picture", "photo", "image_bytes", "bytes")
LABELS = ("label", "class", "category", "target", "labels", "class_name", "fine_label")
"""The first that is there is meant."""


def place_of(names: Sequence[str], known: Sequence[str]) -> int | None:
    """Of the column with one of the known names; large and small letters are the same."""
    plain = [name.strip().lower() for name in names]
    return next((plain.index(one) for one in known if one in plain), None)


def class_name(label: Any, names: Sequence[str]) -> str:
    """Of a label that may be a number of one of the names; nothing where it is no label."""
    if isinstance(label, int) and 0 <= label < len(names):
        return names[label]
    return str(label).strip() if isinstance(label, str | int | float) else ""
