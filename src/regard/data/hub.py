"""Data sets of the Hugging Face hub, by their id, as files like any other."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from regard.data.files import SPLITS
from regard.data.pictures.hub import picture_column, write_archive
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
                _write(splits[split], id, part_folder / part)
            os.rename(part_folder, folder)
        finally:
            shutil.rmtree(part_folder, ignore_errors=True)
    except OSError as error:
        if not folder.is_dir():  # else another process was faster
            raise InputError(f"the data set cannot be kept: {error.strerror}.", file=folder) from None


def _write(rows: Any, id: str, path: Path) -> None:
    """To the path with the ending of what the rows become."""
    if picture_column(rows.features) and not any(name in rows.features for name in _TOKENS):
        write_archive(rows, id, path.with_suffix(".zip"))
        return
    convert = _converter(rows.features, id)
    with path.with_suffix(".jsonl").open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(convert(row), ensure_ascii=False) + "\n" for row in rows)


def _converter(features: Mapping[str, Any], id: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """From a row to a record that the readers know."""
    tokens, tags, marked = (next((one for one in names if one in features), "") for names in (_TOKENS, _TAGS, _MARKED))
    if tokens and tags:
        names = _class_names(features[tags])
        return lambda row: {"tokens": row[tokens], "tags": [_named(tag, names) for tag in row[tags] or ()]}
    if marked and (tokens or "text" in features):
        kept = [tokens or "text", marked]
        return lambda row: {name: row[name] for name in kept}
    raise InputError(
        f"the data set {id!r} must have columns tokens and ner_tags, or text and entities, got {', '.join(features)}. "
        "Convert it to JSON lines of tokens and tags."
    )


def _named(tag: Any, names: list[str]) -> Any:
    """The name of a tag's number; a number without one stays, for the reader to tell."""
    return names[tag] if isinstance(tag, int) and 0 <= tag < len(names) else tag


def _class_names(feature: Any) -> list[str]:
    """The names of the numbers in a list; none where it holds no such numbers."""
    inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
    return list(getattr(inner, "names", None) or ())
