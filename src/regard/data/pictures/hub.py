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


def has_classes(rows: Any) -> bool:
    """Has any row one? Those of a test split may be kept secret: -1 stands for each."""
    label = _label_column(rows.features)
    return label is not None and any(value not in (None, "", -1) for value in rows[label])


def write_archive(rows: Any, where: str, path: Path) -> None:
    """A .zip with the content of each picture as it is, in the folder of its class, named by its row from 1.

    `where` is what an error calls the rows.
    """
    image, label = picture_column(rows.features), _label_column(rows.features)
    if image is None or label is None:
        raise InputError(f"{where}, must have a column of classes ({', '.join(LABELS)}), got {', '.join(rows.features)}.")
    classes = getattr(rows.features[label], "names", None) or ()
    encoded = rows.select_columns([image, label]).cast_column(image, type(rows.features[image])(decode=False))
    with zipfile.ZipFile(path, "w") as archive:
        for number, row in enumerate(encoded, 1):
            content = _content(row[image], where, number)
            folder = _folder(row[label], classes, where, number)
            archive.writestr(f"{folder}/{number:07}.{ending_of(content) or 'png'}", content)


def _label_column(features: Mapping[str, Any]) -> str | None:
    names = list(features)
    place = place_of(names, LABELS)
    return None if place is None else names[place]


def _content(value: Any, where: str, number: int) -> bytes:
    """Kept in the data set, or in a file that it names; what is no picture is told when it is read."""
    try:
        content = value and (value.get("bytes") or Path(value["path"]).read_bytes())
    except (OSError, KeyError, TypeError):
        content = None
    if not content:
        raise InputError(f"{where}, must have a picture in each row, row {number:,} has none.")
    return content


def _folder(label: Any, classes: Any, where: str, number: int) -> str:
    """The class, as a folder may be called."""
    name = class_name(label, classes)
    if not name or (classes and name not in classes):
        raise InputError(f"{where}, must have a class in each row, row {number:,} has {label!r}.")
    name = name.replace("/", "∕").replace("\\", "∖")  # what looks like them, for these part folders
    return f"_{name}" if name.startswith(".") else name
