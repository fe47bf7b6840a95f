"""A folder of pictures with a table of their classes in it, metadata.csv, as the hub's ImageFolder has it."""

from __future__ import annotations

from pathlib import Path

from regard.data.findings import Finding
from regard.data.pictures import tables, trees
from regard.data.pictures.picture import Picture
from regard.data.stream import is_file

TABLE = "metadata.csv"


def is_described(path: Path) -> bool:
    """Is it such a folder? A table without classes, of texts about the pictures for one, says nothing of them."""
    return is_file(path / TABLE) and tables.names_classes(path / TABLE)


def read(path: Path, *, is_labelled: bool) -> tuple[list[Picture], list[Finding]]:
    """The pictures of the table, and the rows that have none; where classes are not asked for, all in the folder."""
    return tables.read(path / TABLE, is_labelled=True) if is_labelled else trees.read(path, is_labelled=False)
