"""Text of any length, read line by line as it is asked for: plain, .gz, one-file .zip, or standard input; always UTF-8."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, cast

from regard.errors import InputError

MAX_BYTES = 8 * 2**30
"""Of what has to be held at once: a line, or a text that is read whole."""
UTF16 = b"\xff\xfe"
ADVICE = {
    UTF16: "It looks like UTF-16. Convert the file: iconv -f UTF-16 -t UTF-8.",
    UTF16[::-1]: "It looks like UTF-16. Convert the file: iconv -f UTF-16 -t UTF-8.",
    b"\x1f\x8b": "It looks compressed: give it a name that ends in .gz.",
    b"PK": "It looks compressed: give it a name that ends in .zip.",
    b"": "Convert the file: iconv -f LATIN1 -t UTF-8.",
}
"""By what a file begins with."""
CHUNK_LINES = 2**14
_ARRAY = re.compile(r"\[\s*(?:[\[{\]]|\Z)")


class Lines:
    """The lines of a text, without their ends; iterated once. Splits on line feeds only. `name` is what errors call it.

    With `mended`, bytes that are no UTF-8 become U+FFFD instead of an error, and `mended` is told of it.
    """

    def __init__(self, text: BinaryIO, name: str | Path, packed: BinaryIO | None = None) -> None:
        self.text, self.name, self.packed, self.num_read = text, name, packed, 0
        self.mended: Callable[[InputError], None] | None = None
        self.num_bytes = 0 if packed is None else os.fstat(packed.fileno()).st_size

    def __iter__(self) -> Iterator[str]:
        with told(self.name):
            for number, line in enumerate(iter(self._line, b""), 1):
                self.num_read += len(line)
                yield self._decoded(line, number)

    def parts(self, size: int) -> Iterator[str]:
        """The lines with their ends, a line feed each; one of more than `size` bytes comes in parts, cut before a space."""
        number, rest = 1, b""
        with told(self.name):
            while piece := rest + self.text.readline(size - len(rest)):
                is_whole = piece.endswith(b"\n")
                cut = len(piece) if is_whole or len(piece) < size else max(piece.rfind(b" "), 0) or _last_character(piece)
                piece, rest = piece[:cut], piece[cut:]
                self.num_read += cut
                yield self._decoded(piece, number) + "\n" * is_whole
                number += is_whole

    @property
    def is_typed(self) -> bool:
        """Does a person write it at a terminal?"""
        return self.text.isatty()

    @property
    def share(self) -> float | None:
        """How much of the file has been read; None where nobody knows its length."""
        return self.packed.tell() / self.num_bytes if self.packed is not None and self.num_bytes else None

    def whole(self) -> list[str]:
        """All of them at once."""
        found = []
        for line in self:
            found.append(line)
            if self.num_read > MAX_BYTES:
                raise _too_large("the text", self.name)
        return found

    def _line(self) -> bytes:
        line = self.text.readline(MAX_BYTES + 1)
        if len(line) > MAX_BYTES:
            raise _too_large("a line", self.name)
        return line

    def _decoded(self, line: bytes, number: int) -> str:
        try:
            text = line.decode("utf-8-sig" if self.num_read == len(line) else "utf-8")
        except UnicodeDecodeError as error:
            message = f"the text must be UTF-8, got byte 0x{line[error.start]:02x}. {_advice(line, number)}"
            told = InputError(message, file=self.name, line=number)
            if self.mended is None or _advice(line, number) != ADVICE[b""]:
                raise told from None
            self.mended(told)
            text = line.decode("utf-8", errors="replace")
        if number == 1 and _is_utf16(line):
            raise InputError(f"the text must be UTF-8, got zero bytes. {ADVICE[UTF16]}", file=self.name, line=number)
        return text.removesuffix("\n").removesuffix("\r")


def _last_character(text: bytes) -> int:
    """Where the last character begins, which may not be whole; in UTF-8 no byte within one looks like a first byte."""
    return next(place for place in range(len(text) - 1, -1, -1) if text[place] & 0xC0 != 0x80 or place < len(text) - 4)


def _advice(line: bytes, number: int) -> str:
    if _is_utf16(line):
        return ADVICE[UTF16]
    return next((ADVICE[start] for start in ADVICE if number == 1 and line.startswith(start)), ADVICE[b""])


def _is_utf16(line: bytes) -> bool:
    """Every other byte of what is mostly Latin letters is zero."""
    return line.count(0) > len(line) / 3


def is_file(path: str | Path) -> bool:
    """Whether there is one; there is none of a text that is too long for a name."""
    try:
        return Path(path).is_file()
    except OSError:
        return False


def unpacked(path: Path) -> Path:
    """The name without .gz or .zip."""
    return path.with_suffix("") if path.suffix in (".gz", ".zip") else path


def existing(path: str | Path) -> Path:
    """The path, when there is a file."""
    path = Path(path)
    with told(path):
        if path.is_dir():
            raise InputError("this is a folder, a file must be named here.", file=path)
        if not path.is_file():
            raise InputError("there is no such file.", file=path)
    return path


@contextmanager
def open_lines(source: str | Path) -> Iterator[Lines]:
    """The lines of a file; of standard input where `source` is "-"."""
    if source == "-":
        yield Lines(sys.stdin.buffer, "standard input")
        return
    path = existing(source)
    with told(path):
        packed = path.open("rb")
    with packed:
        yield Lines(_unpacked(packed, path), path, packed)


def _unpacked(packed: BinaryIO, path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=packed))
    if path.suffix != ".zip":
        return packed
    with told(path):
        return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, _only_member(packed, path))))


def _only_member(packed: BinaryIO, path: Path) -> IO[bytes]:
    try:
        archive = zipfile.ZipFile(packed)
        members = [name for name in archive.namelist() if not name.endswith("/")]
        if len(members) != 1:
            raise InputError(f"a .zip must hold one file, got {len(members)}.", file=path)
        return archive.open(members[0])
    except (RuntimeError, UnicodeDecodeError, OSError) as error:  # a password, an unknown method, a name or place that is none
        raise _damaged(path, error) from None


@contextmanager
def told(name: str | Path) -> Iterator[None]:
    """What can go wrong with a file, as errors that name it."""
    try:
        yield
    except (gzip.BadGzipFile, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError) as error:
        raise _damaged(name, error) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}.", file=name) from None


def _damaged(name: str | Path, error: Exception) -> InputError:
    return InputError(f"the file is damaged or not {Path(name).suffix}: {str(error).rstrip('.')}.", file=name)


def _too_large(what: str, name: str | Path) -> InputError:
    return InputError(f"{what} must be at most {MAX_BYTES >> 30} GiB uncompressed. Split the file.", file=name)


class Chunk(NamedTuple):
    """Some lines of a text, behind what its beginning tells about all of it."""

    lines: list[str]
    first: int
    """Number of the first of `lines`."""
    is_cut: bool = False
    """Whether it ends at no blank line, nor where the text does: its last sentence may go on in the next."""
    head: Sequence[str] = ()
    """Lines of the text's beginning, to be read before `lines`: from them the format can be seen."""

    def number_of(self, line: int) -> int:
        """In the text, of a line counted from 1 in `head` and `lines` together."""
        return line - len(self.head) + self.first - 1

    def behind(self, head: Sequence[str], left: list[str]) -> Chunk:
        """The same with the lines that were left of the chunk before, and with another head."""
        return Chunk([*left, *self.lines], self.first - len(left), self.is_cut, head)


def chunks(lines: Iterable[str], size: int = CHUNK_LINES) -> Iterator[Chunk]:
    """Runs of at most `size` lines, cut at the last blank line among them, or anywhere where there is none.

    So no sentence in columns is cut that has fewer than `size` words, and a text may have a sentence a line. A JSON array
    stays whole.
    """
    kept: list[str] = []
    first = 1
    for line in lines:
        kept.append(line)
        if len(kept) >= size and (first > 1 or not _is_array(kept)):
            cut = next((place for place in range(len(kept), 0, -1) if not kept[place - 1].strip()), len(kept))
            yield from _chunk(kept[:cut], first, is_cut=bool(kept[cut - 1].strip()))
            kept, first = kept[cut:], first + cut
    yield from _chunk(kept, first)


def single_lines(lines: Iterable[str], size: int = CHUNK_LINES) -> Iterator[Chunk]:
    """Runs of at most `size` lines, blank ones too, of a text in which each line is by itself.

    Each run is twice as long as the one before: who waits for the first answers has not to wait for many lines.
    """
    rest, first, wanted = iter(lines), 1, 1
    while part := list(islice(rest, wanted)):
        yield Chunk(part, first)
        first += len(part)
        wanted = min(2 * wanted, size)


def _chunk(lines: list[str], first: int, *, is_cut: bool = False) -> Iterator[Chunk]:
    if any(line.strip() for line in lines):
        yield Chunk(lines, first, is_cut)


def _is_array(lines: list[str]) -> bool:
    return _ARRAY.match(next((line for line in lines if line.strip()), "").strip()) is not None
