"""Data sets of the Hugging Face hub that hold pictures, as archives with a folder for each class."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regard.data.pictures.columns import LABELS, class_name, place_of
from regard.data.pictures.decoding import ending_of
from regard.errors import InputError


def picture_column(features: Mapping[str, Any]) -> str | None:
    """The name of the first column of pictures."""
    return next((name for name, feature in features.items() if type(feature).__name__ == "Image"), None)


def write_archive(rows: Any, id: str, path: Path) -> None:
    """A .zip with the content of each picture as it is, in the folder of its class, named by its row from 1."""
    image, names = picture_column(rows.features), list(rows.features)
    place = place_of(names, LABELS)
    if image is None or place is None:
        raise InputError(f"the data set {id!r} must have a column of classes ({', '.join(LABELS)}), got {', '.join(names)}.")
    classes = getattr(rows.features[names[place]], "names", None) or ()
    encoded = rows.select_columns([image, names[place]]).cast_column(image, type(rows.features[image])(decode=False))
    with zipfile.ZipFile(path, "w") as archive:
        for number, row in enumerate(encoded, 1):
            content = _content(row[image], id, number)
            folder = _folder(row[names[place]], classes, id, number)
            archive.writestr(f"{folder}/{number:07}.{ending_of(content) or 'png'}", content)


def _content(value: Any, id: str, number: int) -> bytes:
    """Kept in the data set, or in a file that it names; what is no picture is told when it is read."""
    try:
        content = value and (value.get("bytes") or Path(value["path"]).read_bytes())
    except (OSError, KeyError, TypeError):
        content = None
    if not content:
        raise InputError(f"the data set {id!r} must have a picture in each row, row {number:,} has none.")
    return content


def _folder(label: Any, classes: Any, id: str, number: int) -> str:
    """The class, as a folder may be called."""
    name = class_name(label, classes)
    if not name or (classes and name not in classes):
        raise InputError(f"the data set {id!r} must have a class in each row, row {number:,} has {label!r}.")
    name = name.replace("/", "∕").replace("\\", "∖")  # what looks like them, for these part folders
    return f"_{name}" if name.startswith(".") else name
