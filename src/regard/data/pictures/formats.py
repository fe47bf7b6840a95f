"""Who reads what, by the names of files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from regard.data.findings import Finding
from regard.data.pictures import idx, image_folder, parquet, tables, trees
from regard.data.pictures.picture import Picture
from regard.errors import InputError

FORMS = "a folder, .zip, .tar, .tar.gz, .csv, .tsv, .parquet or IDX pictures (…-images-idx3-ubyte)"


class Reader(Protocol):
    """Gives pictures that are not decoded yet, and what is wrong beside them."""

    def __call__(self, path: Path, *, is_labelled: bool) -> tuple[list[Picture], list[Finding]]: ...


READERS: dict[Callable[[Path], bool], Reader] = {
    image_folder.is_described: image_folder.read,
    trees.is_tree: trees.read,
    tables.is_table: tables.read,
    parquet.is_parquet: parquet.read,
    idx.is_images: idx.read,
}


def reader_of(path: Path) -> Reader | None:
    """Who reads such a folder or file of many pictures."""
    return next((reader for is_read, reader in READERS.items() if is_read(path)), None)


def listed(path: Path) -> tuple[list[Picture], list[Finding]]:
    """The labelled pictures of a part, not decoded."""
    reader = reader_of(path)
    if reader is None:
        raise InputError(f"labelled pictures must be in {FORMS}.", file=path)
    return reader(path, is_labelled=True)
