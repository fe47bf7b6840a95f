"""Columns of CoNLL-2012 (`*_gold_conll`), between `#begin document` and `#end document`.

Document, part, word's number from 0, word, part of speech, parse, predicate's lemma, its frameset, word sense, speaker,
entities, a bracket column for each predicate, coreference. `-` is none. A column's predicate is where its V starts; where it
has no V, the row with a frameset that comes as many-th as the column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from regard.data.findings import Finding
from regard.data.paragraphs import Line, paragraphs, read_each
from regard.data.roles.brackets import NOTHING, WORD, read_brackets, rows_of, tokens_of, write_brackets
from regard.data.roles.propositions import PREDICATE, checked_tokens, field, in_order, proposition, split_sense
from regard.data.sentence import Proposition, RoleSentence
from regard.data.spans import Span
from regard.errors import InputError

BEGIN, END = "#begin document", "#end document"
NUM_BEFORE, NUM_AFTER = 11, 1
"""Columns before and after those of arguments."""
NO_LEMMA = "_"
_NUMBER, _WORD, _LEMMA, _FRAMESET = 2, 3, 6, 7


def is_format(lines: Sequence[str]) -> bool:
    """Whether a line begins a document."""
    return any(line.startswith(BEGIN) for line in lines)


def parse(lines: Sequence[str], path: Path) -> tuple[list[RoleSentence], list[Finding]]:
    """The sentences that could be read, and findings."""
    rows = ["" if line.startswith((BEGIN, END)) else line for line in lines]
    return read_each(((paragraph[0][0], paragraph) for paragraph in paragraphs(rows)), _sentence, path)


def write(sentences: Sequence[RoleSentence]) -> list[str]:
    """One document, whose other columns say nothing."""
    lines = [f"{BEGIN} (document); part 000"]
    for sentence in sentences:
        lines += [*map("\t".join, zip(*_columns(sentence), strict=True)), ""]
    return [*lines, END]


def _sentence(paragraph: list[Line]) -> RoleSentence:
    rows = rows_of(paragraph)
    lines = [number for number, _ in rows]
    columns = list(zip(*(row for _, row in rows), strict=True))
    if len(columns) < NUM_BEFORE + NUM_AFTER:
        raise InputError(f"rows must have {NUM_BEFORE + NUM_AFTER} columns and one a predicate, got {len(columns)}.")
    for wanted, (number, line) in enumerate(zip(columns[_NUMBER], lines, strict=True)):
        if number != str(wanted):
            raise InputError(f"word numbers must count 0, 1, 2 in order: {wanted} is next, got {number!r}.", line=line)
    propositions = in_order(_propositions(columns, lines))
    return RoleSentence(checked_tokens(columns[_WORD]), propositions, line=lines[0])


def _propositions(columns: list[tuple[str, ...]], lines: list[int]) -> Iterator[Proposition]:
    framesets = [position for position, frameset in enumerate(columns[_FRAMESET]) if frameset != NOTHING]
    brackets = [read_brackets(column, lines) for column in columns[NUM_BEFORE:-NUM_AFTER]]
    predicates = list(_predicates(brackets, framesets))
    if unused := set(framesets) - set(predicates):
        message = "a row with a frameset must have an argument column whose V starts on it; this one has none."
        raise InputError(message, line=lines[min(unused)])
    for position, spans in zip(predicates, brackets, strict=True):
        lemma, frameset = columns[_LEMMA][position], columns[_FRAMESET][position]
        sense = None if NOTHING in (lemma, frameset) else f"{lemma}.{frameset}"
        yield proposition(position, sense, spans, len(lines), lines[position])


def _predicates(brackets: list[list[Span]], framesets: list[int]) -> Iterator[int]:
    for number, spans in enumerate(brackets):
        starts = [span.start for span in spans if span.type == PREDICATE]
        if not starts and len(framesets) != len(brackets):
            message = f"argument column {number + 1} has no (V*, and {len(framesets)} framesets for {len(brackets)} columns"
            raise InputError(f"{message} do not tell its predicate.")
        yield next((start for start in starts if start in framesets), starts[0]) if starts else framesets[number]


def _columns(sentence: RoleSentence) -> Iterable[Sequence[str]]:
    tokens = tokens_of(checked_tokens(sentence.tokens))
    length = len(tokens)
    propositions = sorted(sentence.propositions or (), key=lambda one: one.predicate)
    lemmas, framesets = [NOTHING] * length, [NOTHING] * length
    for one in propositions:
        lemmas[one.predicate], framesets[one.predicate] = _sense(one, sentence.lemmas)
    nothing, star = [NOTHING] * length, ["*"] * length
    before = [["document"] * length, ["0"] * length, [str(position) for position in range(length)], tokens, nothing, star]
    brackets = [write_brackets(one, length) for one in propositions]
    return [*before, lemmas, framesets, nothing, nothing, star, *brackets, nothing]


def _sense(one: Proposition, lemmas: Sequence[str] | None) -> tuple[str, str]:
    """Its lemma and frameset; a lemma that nobody told is `_`."""
    if one.sense is None:
        return field(lemmas[one.predicate] if lemmas else NO_LEMMA, WORD, "the lemma"), NOTHING
    lemma, frameset = split_sense(one.sense)
    if NOTHING in (lemma, frameset):
        raise InputError(f"CoNLL-2012 cannot hold the sense {one.sense!r}: - means none. Use jsonl.")
    return field(lemma, WORD, "the lemma"), field(frameset, WORD, "the frameset")
