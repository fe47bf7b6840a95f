"""Files that hold both languages, by the ends of their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from regard.data.findings import Finding
from regard.data.pairs import columns, jsonl, tmx
from regard.data.pairs.languages import Languages
from regard.data.pairs.pair import Pair
from regard.data.stream import unpacked

Reader = Callable[[Path, Languages], tuple[list[Pair], list[Finding]]]
READERS: dict[str, Reader] = {
    ".tsv": columns.read,
    ".tab": columns.read,
    ".txt": columns.read,
    ".jsonl": jsonl.read,
    ".ndjson": jsonl.read,
    ".json": jsonl.read,
    ".tmx": tmx.read,
}


def reader_of(path: Path) -> Reader | None:
    """Who reads such a file."""
    return READERS.get(unpacked(path).suffix)
