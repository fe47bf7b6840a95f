"""Running text, read a piece at a time: one text, JSON lines with "text", or a folder of texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from regard.data.corpus.files import JSON_LINES, TEXTS, is_json_lines, left_out, texts_in
from regard.data.findings import Finding, counted, first_few, note
from regard.data.json_values import as_text, one_object
from regard.data.stream import Lines, open_lines
from regard.errors import InputError

BLOCK_CHARACTERS = 2**14
"""Of a block, at least, but for the last."""
LONGEST_LINE = 2**14
"""Bytes of a line that is read whole: a text may be one line."""
_MOST_ERRORS = 20


class Passage(NamedTuple):
    """Lines of a text, with their ends; or a part of a long one."""

    text: str
    is_end: bool
    """Does a document end with it? One text by itself has no end: it could go on."""


class Block(NamedTuple):
    """Some passages of a corpus, by their place in it: what is held in memory of a text."""

    path: Path
    number: int
    num_characters: int
    num_bytes: int
    num_lines: int
    num_documents: int
    """That end in it."""


def read_corpus(path: Path) -> tuple[list[Block], list[Finding]]:
    """The blocks of a corpus, and what is wrong with it. Raises InputError where a file cannot be read on."""
    errors: list[Finding] = []
    found = [_measured(path, number, passages) for number, passages in enumerate(_blocks(_passages(path, errors)))]
    if not errors and not any(block.num_characters for block in found):
        return [], [Finding("error", path, None, "there is no text in it.")]
    return found, [*first_few(errors, _MOST_ERRORS), *_other_files(path)]


def passages_of(blocks: Sequence[Block]) -> Iterator[Passage]:
    """The text of some blocks again, in the order of their places, in memory that does not grow with it."""
    for path, group in groupby(sorted(blocks, key=lambda block: block[:2]), key=lambda block: block.path):
        wanted = {block.number for block in group}
        for number, passages in enumerate(_blocks(_passages(path, []))):
            if number in wanted:
                yield from passages


def is_documents(path: Path) -> bool:
    """Are there documents in it, each with an end, rather than one text?"""
    return path.is_dir() or is_json_lines(path)


def _other_files(path: Path) -> list[Finding]:
    """A warning of those in a folder that are not read."""
    others = left_out(path) if path.is_dir() else []
    if not others:
        return []
    are = "is" if len(others) == 1 else "are"
    message = f"{counted(len(others), 'file')} of the folder {are} not read: a text is {', '.join(TEXTS)}, JSON lines are"
    return [Finding("warning", others[0], None, f"{message} {', '.join(JSON_LINES)}.")]


def _measured(path: Path, number: int, passages: list[Passage]) -> Block:
    texts = [passage.text for passage in passages]
    sizes = sum(map(len, texts)), sum(len(text.encode()) for text in texts), sum(text.count("\n") for text in texts)
    return Block(path, number, *sizes, sum(passage.is_end for passage in passages))


def _blocks(passages: Iterable[Passage]) -> Iterator[list[Passage]]:
    kept: list[Passage] = []
    size = 0
    for passage in passages:
        kept.append(passage)
        size += len(passage.text)
        if size >= BLOCK_CHARACTERS:
            yield kept
            kept, size = [], 0
    if kept:
        yield kept


def _passages(path: Path, errors: list[Finding]) -> Iterator[Passage]:
    """Of a file, or of each file in a folder; lines that are none of JSON are added to `errors`."""
    for one in texts_in(path) if path.is_dir() else [path]:
        with open_lines(one) as lines:
            if is_json_lines(one):
                yield from _documents(lines, one, errors)
            elif path.is_dir():
                yield from _one_document(lines)
            else:
                yield from (Passage(text, False) for text in _texts(lines))


def _one_document(lines: Lines) -> Iterator[Passage]:
    last = None
    for text in _texts(lines):
        if last is not None:
            yield Passage(last, False)
        last = text
    if last is not None:
        yield Passage(last, True)


def _texts(lines: Lines) -> Iterator[str]:
    """Runs of lines of about a block's size."""
    kept: list[str] = []
    size = 0
    for part in lines.parts(LONGEST_LINE):
        kept.append(part)
        size += len(part)
        if size >= BLOCK_CHARACTERS:
            yield "".join(kept)
            kept, size = [], 0
    if kept:
        yield "".join(kept)


def _documents(lines: Lines, path: Path, errors: list[Finding]) -> Iterator[Passage]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                text = as_text(one_object(line).get("text"), '"text"')
            except InputError as error:
                note(errors, Finding("error", path, number, error.message))
                continue
            if text:
                yield Passage(text, True)
