"""Where the parts of a corpus are: each a file, or a folder of text files."""

from __future__ import annotations

from pathlib import Path

from regard.data.files import SPLITS, Files, find_files
from regard.data.stream import told, unpacked
from regard.errors import InputError

TEXTS, JSON_LINES = (".txt", ".text", ".md"), (".jsonl", ".ndjson")
"""Of a folder, the files that are read, packed or not."""
_SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names}


def find_corpora(folder: str | Path | None, given: dict[str, str | None]) -> Files:
    """The parts in `folder`, each replaced by the one named singly in `given`; a part may be a folder of text files.

    A folder with no parts but with text files is all for training.
    """
    folders = {split: Path(path) for split, path in given.items() if path and Path(path).is_dir()}
    named: dict[str, str | None] = {split: path for split, path in given.items() if path and split not in folders}
    inside = [] if folder is None else _inside(Path(folder))
    for split in SPLITS:
        own = [path for path in inside if _split(path) == split and not given.get(split)]
        if len(own) > 1 and any(path.is_dir() for path in own):
            names = ", ".join(sorted(path.name for path in own))
            raise InputError(
                f"one file or folder must be {split}, found {names}. Name it with --{split}.", file=Path(folder or "")
            )
    folders = {_split(path): path for path in inside if path.is_dir()} | folders
    if named or any(path.is_file() for path in inside):
        files = dict(find_files(folder, named).items())
    elif folders or folder is None or not texts_in(Path(folder)):
        files = {} if folders else dict(find_files(folder, named).items())
    else:
        files = {"train": Path(folder)}
    return Files(**(files | {split: path for split, path in folders.items() if split not in named}))


def texts_in(folder: Path) -> list[Path]:
    """The texts and JSON lines in a folder and the folders inside it, by name; hidden ones are left out."""
    return [path for path in _files_in(folder) if _kind(path) in (*TEXTS, *JSON_LINES)]


def left_out(folder: Path) -> list[Path]:
    """All other files in it."""
    return [path for path in _files_in(folder) if _kind(path) not in (*TEXTS, *JSON_LINES)]


def is_json_lines(path: Path) -> bool:
    """Is each line of this file a record?"""
    return _kind(path) in (*JSON_LINES, ".json")


def _kind(path: Path) -> str:
    return unpacked(path).suffix.lower()


def _files_in(folder: Path) -> list[Path]:
    with told(folder):
        found = (path for path in folder.rglob("*") if path.is_file())
        return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _inside(folder: Path) -> list[Path]:
    """The files and folders that are named like parts."""
    with told(folder):
        if not folder.is_dir():
            raise InputError("--data must be a folder that exists.", file=folder)
        return [path for path in folder.iterdir() if _split(path)]


def _split(path: Path) -> str:
    """Of which part it has the name, a folder all of it; empty where it has none."""
    return _SPLIT_OF.get((path.name if path.is_dir() else path.name.split(".")[0]).lower(), "")
