"""CoNLL-U and CoNLL-U Plus: a word a line in named columns, tabs between them, a blank line after each sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from regard.data.findings import MOST_LISTED, Finding, first_few
from regard.data.paragraphs import Line, paragraphs, read_each
from regard.errors import InputError

COLUMNS = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
"""Of a file that names no others."""
UNSPECIFIED = "_"
_NAMES = re.compile(r"#\s*global\.columns\s*=(.*)")
_TEXT = re.compile(r"#\s*text\s*=\s?(.*)")
_WORD = re.compile(r"([0-9]{1,9})")
_MULTIWORD = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")
_EMPTY_NODE = re.compile(r"[0-9]+\.[0-9]+")


@dataclass(frozen=True)
class Block:
    """A sentence: its syntactic words, ids 1 to n; rows of multiword tokens and of empty nodes are not among them."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    """Line of each row in its file."""
    comments: tuple[str, ...] = ()
    text: str | None = None
    """`# text =`, or put together from the forms and MISC's SpaceAfter=No; None where neither is there or they disagree."""
    offsets: tuple[tuple[int, int], ...] | None = None
    """[start, stop) of each word in `text`, in characters; words inside a multiword token have its own."""

    def column(self, name: str) -> tuple[str, ...]:
        """A value a word; `_` for each where there is no such column."""
        if name not in self.columns:
            return (UNSPECIFIED,) * len(self.rows)
        index = self.columns.index(name)
        return tuple(row[index] for row in self.rows)


def names_columns(line: str) -> bool:
    """Whether it is the comment `# global.columns =` of CoNLL-U Plus."""
    return _NAMES.match(line) is not None


class _Surface(NamedTuple):
    """A token as it stands in the text: one word, or several."""

    form: str
    misc: str
    num_words: int


def read_conllu(lines: Iterable[str], path: Path) -> tuple[list[Block], list[Finding]]:
    """The sentences that could be read, and what is wrong with the rest; `path` is what findings call the file."""
    unnamed: list[Finding] = []
    blocks, wrong = read_each(_with_columns(paragraphs(lines), path, unnamed), lambda given: _block(*given), path)
    message = "the comment text = does not hold the words of FORM in their order; read without its offsets."
    unplaced = (block for block in blocks if block.text is None and any(map(_TEXT.match, block.comments)))
    warnings = first_few((Finding("warning", path, block.lines[0], message) for block in unplaced), MOST_LISTED)
    return blocks, sorted([*unnamed, *wrong, *warnings], key=lambda finding: finding.line or 0)


def _with_columns(
    given: Iterable[list[Line]], path: Path, findings: list[Finding]
) -> Iterator[tuple[int, tuple[list[Line], tuple[str, ...]]]]:
    """The line of each sentence, its lines, and the names of its columns: the last that a comment gave.

    Columns without words are told once, where they are named, and the sentences in them are passed over.
    """
    columns = COLUMNS
    for paragraph in given:
        for number, match in ((number, _NAMES.match(line)) for number, line in paragraph):
            columns = tuple(match[1].split()) if match else columns
            if match and _lacking(columns):
                findings.append(Finding("error", path, number, _advice(columns)))
        if not _lacking(columns) and not all(line.startswith("#") for _, line in paragraph):
            yield paragraph[0][0], (paragraph, columns)


def _lacking(columns: Sequence[str]) -> list[str]:
    return [name for name in ("FORM", "ID") if name not in columns]


def _advice(columns: Sequence[str]) -> str:
    without_words = "Universal Propositions are published without words: put in the columns of their Universal Dependencies."
    advice = f" {without_words}" if any(name.startswith("UP:") for name in columns) else ""
    return f"global.columns must name {' and '.join(_lacking(columns))}, got {' '.join(columns)!r}.{advice}"


def _block(paragraph: list[Line], columns: tuple[str, ...]) -> Block:
    comments = tuple(line for _, line in paragraph if line.startswith("#"))
    rows = [(number, _fields(number, line, columns)) for number, line in paragraph if not line.startswith("#")]
    words, surfaces = _words(rows, columns)
    text, offsets = _place(surfaces, comments, "MISC" in columns)
    return Block(columns, tuple(row for _, row in words), tuple(number for number, _ in words), comments, text, offsets)


def _fields(number: int, line: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    fields = tuple(line.split("\t"))
    if len(fields) != len(columns):
        raise InputError(
            f"rows must have {len(columns)} columns with a tab between them ({' '.join(columns)}), got {len(fields)}.",
            line=number,
        )
    if not fields[columns.index("FORM")].strip():
        raise InputError("the token is empty. Remove the row or give it a FORM.", line=number)
    return fields


def _words(rows: list[tuple[int, tuple[str, ...]]], columns: tuple[str, ...]) -> tuple[list, list[_Surface]]:
    """The numbered rows of the syntactic words, and the tokens they stand in."""
    words: list[tuple[int, tuple[str, ...]]] = []
    surfaces: list[_Surface] = []
    covered = 0
    for number, row in rows:
        given = dict(zip(columns, row, strict=True))
        if _EMPTY_NODE.fullmatch(given["ID"]):
            continue
        first, last = _ids(given["ID"], number, len(words) + 1)
        if first > covered:
            surfaces.append(_Surface(given["FORM"], given.get("MISC", UNSPECIFIED), last - first + 1))
        elif "-" in given["ID"]:
            raise InputError(f"multiword tokens must not overlap: {given['ID']} begins inside the one before.", line=number)
        covered = max(covered, last)
        if "-" not in given["ID"]:
            words.append((number, row))
    if not words or covered > len(words):
        raise InputError(f"the sentence must have a row for each word, got {len(words)} of {covered}.", line=rows[0][0])
    return words, surfaces


def _ids(text: str, number: int, following: int) -> tuple[int, int]:
    """The first and last word of a row's id, which must begin with the one that is next."""
    match = _WORD.fullmatch(text) or _MULTIWORD.fullmatch(text)
    if not match:
        raise InputError(f"ID must be like 4, 4-5 or 4.1, got {text!r}.", line=number)
    first, last = int(match[1]), int(match[match.lastindex or 1])
    if first != following:
        raise InputError(f"ids must count 1, 2, 3 in order: {following} is next, got {text}.", line=number)
    if last < first:
        raise InputError(f"ID of a multiword token must be first-last, got {text}.", line=number)
    return first, last


def _place(surfaces: list[_Surface], comments: tuple[str, ...], knows_spaces: bool) -> tuple[str | None, tuple | None]:
    """The text, and where in it each word is."""
    given = next(filter(None, map(_TEXT.match, comments)), None)
    if not given and not knows_spaces:
        return None, None
    text = given[1] if given else _joined(surfaces)
    offsets, place = [], 0
    for form, num_words in ((surface.form.strip(), surface.num_words) for surface in surfaces):
        while text[place : place + 1].isspace():
            place += 1
        if not text.startswith(form, place):
            return None, None
        offsets.append([(place, place + len(form))] * num_words)
        place += len(form)
    return text, tuple(chain.from_iterable(offsets))


def _joined(surfaces: list[_Surface]) -> str:
    spaced = (form if "SpaceAfter=No" in misc.split("|") else f"{form} " for form, misc, _ in surfaces)
    return "".join(spaced).rstrip()
