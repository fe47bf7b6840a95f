"""Data sets of the Hugging Face hub, by their id, as files like any other."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from regard.data.conll import tag_problem
from regard.data.entities.records import read_line
from regard.data.files import SPLITS
from regard.data.pictures.hub import has_classes, picture_column, write_archive
from regard.data.spans import OUTSIDE
from regard.data.stream import told
from regard.errors import InputError
from regard.places import cache_folder, may_be_hub_id

_TOKENS, _TAGS, _MARKED = ("tokens", "words"), ("ner_tags", "tags", "labels"), ("entities", "spans")
_UNSAFE = re.compile(r"[^\w.-]+")
_CONFIG = re.compile(r"[\w.-]+")
_MARKS = ("dataset_dict.json", "state.json")
"""What `save_to_disk` leaves in a folder."""


def is_data_set(name: str) -> bool:
    """Is it a folder that `datasets` saved, or, where there is nothing of that name here, may it be an id of the hub?"""
    path = Path(name)
    with told(path):
        if path.exists():
            return any((path / mark).is_file() for mark in _MARKS)
        id, colon, config = name.partition(":")
        return may_be_hub_id(id) and (not colon or _CONFIG.fullmatch(config) is not None)


def folder_from_hub(id: str, cache: Path | None = None) -> Path:
    """A folder with train, dev and test of `owner/name` or `name`, with `:config` behind it where there are several.

    Converted once in a folder of `cache`, names put for the numbers of tags; later calls read no network. Sentences become
    JSON lines; pictures an archive with a folder for each class.
    `id` may also be a folder that `datasets` saved (`save_to_disk`); it is converted again when it has changed.
    """
    folder = (cache or cache_folder() / "hub") / _folder_name(id)
    if not folder.is_dir():
        if not Path(id).is_dir():
            print(f"regard: {id} is no folder here; asking the hub for it", file=sys.stderr)
        _convert(_load(id), id, folder)
    return folder


def _folder_name(id: str) -> str:
    """A readable name; of a local folder also what tells it from others and from itself in another state."""
    if not Path(id).is_dir():
        return _UNSAFE.sub("--", id)
    folder = Path(id).resolve()
    states = sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*.json"))
    digest = hashlib.sha256(repr(states).encode()).hexdigest()
    return f"{_UNSAFE.sub('--', folder.name)}-{digest[:12]}"


def _load(id: str) -> Mapping[str, Any]:
    """The splits, by their names."""
    try:
        import datasets
    except ImportError:
        raise InputError(
            "data of the hub needs the library datasets: pip install 'regard[hub]'. Or give files: --data DIR."
        ) from None
    try:
        if Path(id).is_dir():
            loaded = datasets.load_from_disk(id)
        else:
            name, _, config = id.partition(":")
            loaded = datasets.load_dataset(name, config or None)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"the data set {id!r} cannot be loaded: {reason.rstrip('.')}. It must be a folder that exists, or owner/name or "
            "owner/name:config of the hub; without a network only data loaded before is at hand."
        ) from None
    return {"train": loaded} if isinstance(loaded, datasets.Dataset) else loaded


def _convert(splits: Mapping[str, Any], id: str, folder: Path) -> None:
    """Write all parts to a temporary folder beside the final one, then rename it: what is there is whole."""
    found = {part: split for part, names in SPLITS.items() for split in splits if split.lower() in names}
    if not found:
        raise InputError(f"the data set {id!r} must have a split train, validation or test, got {', '.join(splits)}.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part_folder = Path(mkdtemp(prefix=".part-", dir=folder.parent))
        try:
            for part, split in found.items():
                _write(splits[split], f"the data set {id!r}, split {split}", id, part_folder / part)
            os.rename(part_folder, folder)
        finally:
            shutil.rmtree(part_folder, ignore_errors=True)
    except OSError as error:
        if not folder.is_dir():  # else another process was faster
            raise InputError(f"the data set cannot be kept: {error.strerror}.", file=folder) from None


def _write(rows: Any, where: str, id: str, path: Path) -> None:
    """To the path with the ending of what the rows become, if not left out; `where` is what an error calls them."""
    if picture_column(rows.features) and not any(name in rows.features for name in _TOKENS):
        if path.name == "train" or has_classes(rows):
            write_archive(rows, where, path.with_suffix(".zip"))
        else:
            print(f"warning: {where}, has pictures without a class: it is left out.", file=sys.stderr)
        return
    convert = _converter(rows.features, id)
    with path.with_suffix(".jsonl").open("w", encoding="utf-8") as stream:
        for number, row in enumerate(rows, 1):
            stream.write(_checked(json.dumps(convert(row), ensure_ascii=False), number, where) + "\n")


def _checked(line: str, number: int, where: str) -> str:
    """The record, when it can be read: later an error would name a file that nobody wrote."""
    try:
        read_line(line, number, labelled=True)
    except InputError as error:
        raise InputError(f"{where}, row {number:,}, cannot be read: {error.message}") from None
    return line


def _converter(features: Mapping[str, Any], id: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """From a row to a record that the readers know."""
    tokens, tags, marked = (next((one for one in names if one in features), "") for names in (_TOKENS, _TAGS, _MARKED))
    if tokens and tags:
        names = _tag_names(features[tags])
        return lambda row: {"tokens": row[tokens], "tags": [_name(tag, names) for tag in row[tags] or ()]}
    if marked and (tokens or "text" in features):
        text = tokens or "text"
        return lambda row: {text: row[text], marked: _as_list(_named(row[marked], features[marked]))}
    raise InputError(
        f"the data set {id!r} must have columns tokens and ner_tags, or text and entities, got {', '.join(features)}. "
        "Convert it to JSON lines of tokens and tags."
    )


def _tag_names(feature: Any) -> list[str]:
    """The names of the numbers in a list; classes that are types alone, and O, as tags: words in a row are one entity."""
    names = list(getattr(_inner(feature), "names", None) or ())
    are_types = OUTSIDE in names and all(name == OUTSIDE or tag_problem(name) for name in names)
    return [f"I-{name}" if are_types and name != OUTSIDE else name for name in names]


def _named(value: Any, feature: Any) -> Any:
    """The value with names for the numbers of classes anywhere in it."""
    if isinstance(value, list):
        return [_named(one, _inner(feature)) for one in value]
    if isinstance(value, dict) and isinstance(feature, dict):
        return {name: _named(one, feature[name]) for name, one in value.items()}
    return _name(value, getattr(feature, "names", ()))


def _name(value: Any, names: Sequence[str]) -> Any:
    """The name of a class's number; a number without one stays, for the reader to tell."""
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


def _inner(feature: Any) -> Any:
    """Of what stands in a list."""
    return feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)


def _as_list(marked: Any) -> Any:
    """Entities one by one, where a row has lists of all their starts, ends and labels, as a Sequence of objects does."""
    lists = list(marked.values()) if isinstance(marked, dict) else []
    if not lists or not all(isinstance(one, list) and len(one) == len(lists[0]) for one in lists):
        return marked
    return [dict(zip(marked, one, strict=True)) for one in zip(*lists, strict=True)]
