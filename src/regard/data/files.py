"""Finding and opening a user's files: train, dev and test, plain or compressed, always UTF-8."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from regard.errors import InputError

SPLITS = {"train": ("train", "training"), "dev": ("dev", "devel", "valid", "validation", "val"), "test": ("test",)}
MAX_BYTES = 8 * 2**30


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


def existing(path: str | Path) -> Path:
    """The path, when there is a file."""
    path = Path(path)
    if not path.is_file():
        raise InputError("there is no such file.", file=path)
    return path


def _find(folder: Path, names: tuple[str, ...]) -> Path | None:
    if not folder.is_dir():
        raise InputError("--data must be a folder that exists.", file=folder)
    hits = sorted(path for path in folder.iterdir() if path.is_file() and path.name.split(".")[0].lower() in names)
    if len(hits) > 1:
        listed = ", ".join(path.name for path in hits)
        raise InputError(f"several files could be {names[0]}: {listed}. Name one with --{names[0]} FILE.", file=folder)
    return hits[0] if hits else None


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text file (.gz and one-file .zip too), without their ends. Splits on line feeds only."""
    return split_lines(_read_bytes(Path(path)), path)


def split_lines(data: bytes, name: str | Path) -> list[str]:
    """The lines of UTF-8 text; `name` is what errors call it."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"the text must be UTF-8, got byte 0x{data[error.start]:02x}. Convert the file: iconv -f LATIN1 -t UTF-8.",
            file=name,
            line=line,
        ) from None
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _read_bytes(path: Path) -> bytes:
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                return _bounded(stream, path)  # type: ignore[arg-type]
        if path.suffix == ".zip":
            return _read_zip(path)
        with path.open("rb") as stream:
            return _bounded(stream, path)  # type: ignore[arg-type]
    except (gzip.BadGzipFile, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise InputError(f"the file is damaged or not {path.suffix}: {error}.", file=path) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}.", file=path) from None


def _read_zip(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if not name.endswith("/")]
        if len(members) != 1:
            raise InputError(f"a .zip must hold one file, got {len(members)}.", file=path)
        with archive.open(members[0]) as stream:
            return _bounded(stream, path)  # type: ignore[arg-type]


def _bounded(stream: io.BufferedIOBase, path: Path) -> bytes:
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InputError(f"the text must be at most {MAX_BYTES >> 30} GiB uncompressed. Split the file.", file=path)
    return data
