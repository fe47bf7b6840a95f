"""Files that hold both languages, by the ends of their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from regard.data.findings import Finding
from regard.data.pairs import columns, jsonl, tmx
from regard.data.pairs.languages import Languages
from regard.data.pairs.pair import Pair
from regard.data.stream import unpacked


class Format(NamedTuple):
    """How a file is read; and how the direction is found out that it names itself, where it can."""

    read: Callable[[Path, Languages], tuple[list[Pair], list[Finding]]]
    way: Callable[[Path, Languages], Languages | None] = lambda path, languages: None


_COLUMNS, _JSON, _TMX = Format(columns.read, columns.way), Format(jsonl.read), Format(tmx.read, tmx.way)
FORMATS = {
    **{".tsv": _COLUMNS, ".tab": _COLUMNS, ".txt": _COLUMNS},
    **{".jsonl": _JSON, ".ndjson": _JSON, ".json": _JSON},
    ".tmx": _TMX,
}


def format_of(path: Path) -> Format | None:
    """Of such a file."""
    return FORMATS.get(unpacked(path).suffix)
