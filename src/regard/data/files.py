"""Finding and opening a user's files: train, dev and test, plain or compressed, always UTF-8."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from regard.data.stream import Lines, existing, open_lines, told
from regard.errors import InputError

SPLITS = {"train": ("train", "training"), "dev": ("dev", "devel", "valid", "validation", "val"), "test": ("test",)}


@dataclass(frozen=True)
class Files:
    """Where the parts of a data set are; None for a part that does not exist."""

    train: Path | None = None
    dev: Path | None = None
    test: Path | None = None

    def items(self) -> Iterator[tuple[str, Path]]:
        """(split, path) of each part that exists."""
        for split in SPLITS:
            if path := getattr(self, split):
                yield split, path


def find_files(folder: str | Path | None, given: dict[str, str | None]) -> Files:
    """The parts in `folder`, each replaced by the one named singly in `given`."""
    found: dict[str, Path | None] = {}
    for split, names in SPLITS.items():
        if path := given.get(split):
            found[split] = existing(path)
        elif folder is not None:
            found[split] = _find(Path(folder), names)
    if not any(found.values()):
        where = f"No train, dev or test file in {folder}" if folder else "No data was given"
        raise InputError(f"{where}. Name a folder with --data DIR, or files with --train, --dev and --test.")
    return Files(**found)


def _find(folder: Path, names: tuple[str, ...]) -> Path | None:
    with told(folder):
        if not folder.is_dir():
            raise InputError("--data must be a folder that exists.", file=folder)
        hits = sorted(path for path in folder.iterdir() if path.name.split(".")[0].lower() in names and path.is_file())
    if len(hits) > 1:
        listed = ", ".join(path.name for path in hits)
        raise InputError(f"several files could be {names[0]}: {listed}. Name one with --{names[0]} FILE.", file=folder)
    return hits[0] if hits else None


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text file (.gz and one-file .zip too), without their ends. Splits on line feeds only."""
    with open_lines(Path(path)) as lines:
        return lines.whole()


def split_lines(data: bytes, name: str | Path) -> list[str]:
    """The lines of UTF-8 text; `name` is what errors call it."""
    return Lines(io.BytesIO(data), name).whole()
