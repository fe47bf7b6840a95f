"""Word vectors in text form: a word and its numbers a line, as GloVe, word2vec and fastText write them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from regard.data.stream import existing, open_lines
from regard.errors import InputError

if TYPE_CHECKING:
    from numpy import ndarray


def read_vectors(path: str | Path, max_vectors: int) -> tuple[list[str], ndarray]:
    """The first words of a file, each once, and their vectors: float32, (words, width)."""
    import numpy

    path = existing(path)
    words: list[str] = []
    rows: list[ndarray] = []
    width = 0
    for number, word, numbers in islice(_lines(path), max_vectors):
        row = _numbers(numbers, path, number)
        if width and len(row) != width:
            raise InputError(f"each word must have {width} numbers like the first, got {len(row)}.", file=path, line=number)
        width = len(row)
        words.append(word)
        rows.append(row)
    if not rows:
        raise InputError("the file holds no word vectors. A line must be a word and its numbers, by spaces or tabs.", file=path)
    first = {word: place for place, word in reversed(list(enumerate(words)))}
    kept = sorted(first.values())
    return [words[place] for place in kept], numpy.stack([rows[place] for place in kept])


def _lines(path: Path) -> Iterator[tuple[int, str, str]]:
    """(line number, word, numbers as text); the line of counts that word2vec and fastText begin with is passed over."""
    width = 0
    with open_lines(path) as lines:
        for number, line in enumerate(lines, 1):
            word, numbers = _parted(line.rstrip().replace("\t", " "), width)
            is_header = number == 1 and word.isdigit() and numbers.isdigit()
            if word and not is_header:
                width = width or len(numbers.split())
                yield number, word, numbers


def _parted(line: str, width: int) -> tuple[str, str]:
    """The word and its numbers; some words of GloVe's largest file have spaces in them."""
    word, _, numbers = line.partition(" ")
    if width and numbers.count(" ") >= width:
        spaced, *last = line.rsplit(" ", width)
        if not _is_number(spaced.rpartition(" ")[2]):
            return spaced, " ".join(last)
    return word, numbers


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(text: str, path: Path, line: int) -> ndarray:
    import numpy

    try:
        row = numpy.array(text.split(), dtype=numpy.float32)
    except ValueError:
        raise InputError(f"a word must be followed by numbers, got {text[:40]!r}.", file=path, line=line) from None
    if not len(row) or not numpy.isfinite(row).all():
        raise InputError("a word must be followed by finite numbers, got none.", file=path, line=line)
    return row
