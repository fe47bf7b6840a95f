"""Text of any length, read line by line as it is asked for: plain, .gz, one-file .zip, or standard input; always UTF-8."""

from __future__ import annotations

import gzip
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from regard.data.files import existing
from regard.errors import InputError

BLOCK_BYTES = 2**20
CHUNK_LINES = 2**14
HEAD_LINES = 200
_ARRAY = re.compile(r"\[\s*(?:[\[{\]]|\Z)")


class Lines:
    """The lines of a text, without their ends; iterated once. Splits on line feeds only. `name` is what errors call it."""

    def __init__(self, text: BinaryIO, name: str | Path, packed: BinaryIO | None = None) -> None:
        self.text, self.name, self.packed = text, name, packed
        self.num_bytes = 0 if packed is None else os.fstat(packed.fileno()).st_size

    def __iter__(self) -> Iterator[str]:
        first = 1
        while block := self._block():
            for number, line in enumerate(block, first):
                yield self._decoded(line, number)
            first += len(block)

    @property
    def share(self) -> float | None:
        """How much of the file has been read; None where nobody knows its length."""
        return self.packed.tell() / self.num_bytes if self.packed is not None and self.num_bytes else None

    def _block(self) -> list[bytes]:
        with _told(self.name):
            return self.text.readlines(BLOCK_BYTES)

    def _decoded(self, line: bytes, number: int) -> str:
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"the text must be UTF-8, got byte 0x{line[error.start]:02x}. Convert the file: iconv -f LATIN1 -t UTF-8.",
                file=self.name,
                line=number,
            ) from None
        return text.removesuffix("\n").removesuffix("\r")


@contextmanager
def open_lines(source: str | Path) -> Iterator[Lines]:
    """The lines of a file; of standard input where `source` is "-"."""
    if source == "-":
        yield Lines(sys.stdin.buffer, "standard input")
        return
    path = existing(source)
    with _told(path):
        packed = path.open("rb")
    with packed:
        yield Lines(_unpacked(packed, path), path, packed)


def _unpacked(packed: BinaryIO, path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=packed))
    if path.suffix != ".zip":
        return packed
    with _told(path):
        archive = zipfile.ZipFile(packed)
        members = [name for name in archive.namelist() if not name.endswith("/")]
        if len(members) != 1:
            raise InputError(f"a .zip must hold one file, got {len(members)}.", file=path)
        return cast(BinaryIO, archive.open(members[0]))


@contextmanager
def _told(name: str | Path) -> Iterator[None]:
    """What can go wrong with a file, as errors that name it."""
    try:
        yield
    except (gzip.BadGzipFile, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise InputError(f"the file is damaged or not {Path(name).suffix}: {error}.", file=name) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}.", file=name) from None


class Chunk(NamedTuple):
    """Some lines of a text, behind what its beginning tells about all of it."""

    head: list[str]
    """Its first paragraph, from which the format can be seen; empty for the chunk that begins the text."""
    lines: list[str]
    first: int
    """Number of the first of `lines`."""

    def number_of(self, line: int) -> int:
        """In the text, of a line counted from 1 in `head` and `lines` together."""
        return line - len(self.head) + self.first - 1


def chunks(lines: Iterable[str], size: int = CHUNK_LINES) -> Iterator[Chunk]:
    """Runs of at most `size` lines, cut at the last blank line among them, or anywhere where there is none.

    So no sentence in columns is cut that has fewer than `size` words, and a text may have a sentence a line. A JSON array
    stays whole.
    """
    head: list[str] = []
    kept: list[str] = []
    first = 1
    for line in lines:
        kept.append(line)
        if len(kept) >= size and (head or not _is_array(kept)):
            cut = next((place for place in range(len(kept), 0, -1) if not kept[place - 1].strip()), len(kept))
            yield from _chunk(head, kept[:cut], first)
            head = head or _head(kept[:cut])
            kept, first = kept[cut:], first + cut
    yield from _chunk(head, kept, first)


def _chunk(head: list[str], lines: list[str], first: int) -> Iterator[Chunk]:
    if any(line.strip() for line in lines):
        yield Chunk(head, lines, first)


def _is_array(lines: list[str]) -> bool:
    return _ARRAY.match(next((line for line in lines if line.strip()), "").strip()) is not None


def _head(lines: list[str]) -> list[str]:
    """The first paragraph; of a text without blank lines near its beginning, the first line with text."""
    begin = next((place for place, line in enumerate(lines) if line.strip()), None)
    if begin is None:
        return []
    ends = (place for place, line in enumerate(lines[begin : begin + HEAD_LINES], begin) if not line.strip())
    return [*lines[begin : next(ends, begin + 1)], ""]
