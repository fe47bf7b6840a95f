"""Columns of CoNLL-2005: a predicate's lemma or -, then a bracket column for each predicate, in order of their rows.

Before the lemma may stand the word, any other columns, and last the number of the sense or -: word … [number] lemma (A0* ….
Files of predictions have no words; their tokens are `_`. White space separates columns, a blank line ends a sentence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from regard.data.findings import MOST_LISTED, Finding, first_few
from regard.data.paragraphs import paragraphs, read_each
from regard.data.roles.brackets import NOTHING, TAG, WORD, read_brackets, rows_of, tokens_of, write_brackets
from regard.data.roles.propositions import checked_tokens, field, proposition, split_sense
from regard.data.sentence import Proposition, RoleSentence
from regard.errors import InputError

NO_WORD = "_"
_NUMBER = re.compile(r"[0-9]+|[A-Z]{2}")
Rows = list[tuple[int, list[str]]]


class _Layout(NamedTuple):
    """Which column is what: the file's, since a sentence alone does not always tell."""

    lemma: int
    has_senses: bool


def is_format(lines: Sequence[str]) -> bool:
    """Whether the first row ends in a bracket column or in the - of a row that is no predicate."""
    return all(map(_ends_in_brackets, _first(lines, 1)))


def is_no_text(lines: Sequence[str]) -> bool:
    """Whether the second row does so too, or a lone one has tabs or a bracket: a sentence may end in a dash or a star."""
    rows = _first(lines, 2)
    return all(map(_ends_in_brackets, rows)) and (len(rows) == 2 or any("\t" in row or "(" in row.split()[-1] for row in rows))


def _first(lines: Sequence[str], number: int) -> list[str]:
    return list(islice((line for line in lines if line.strip()), number))


def _ends_in_brackets(row: str) -> bool:
    last = row.split()[-1]
    return last == NOTHING or TAG.fullmatch(last) is not None


def parse(lines: Sequence[str], path: Path) -> tuple[list[RoleSentence], list[Finding]]:
    """The sentences that could be read, and findings."""
    given, findings = read_each(((paragraph[0][0], paragraph) for paragraph in paragraphs(lines)), rows_of, path)
    layout = _layout(given)
    if given and not layout.lemma:
        message = "the file has no words: it can be scored against gold, but not be learned from."
        findings.append(Finding("warning", path, None, message))
    findings += first_few(_left_out(given, layout, path), MOST_LISTED)
    sentences, more = read_each(((rows[0][0], rows) for rows in given), partial(_sentence, layout=layout), path)
    return sentences, findings + more


def write(sentences: Sequence[RoleSentence]) -> list[str]:
    """Lines of word, the sense's number where any is known, lemma and brackets, with tabs between them."""
    has_senses = any(one.sense is not None for sentence in sentences for one in sentence.propositions or ())
    lines: list[str] = []
    for sentence in sentences:
        lines += [*map("\t".join, zip(*_columns(sentence, has_senses), strict=True)), ""]
    return lines


def _layout(given: list[Rows]) -> _Layout:
    """The most frequent place of a row's last column that is not brackets, and whether the one before it numbers senses.

    A column of senses may hold slips of the pen, but fewer than senses. Parts of speech and the like stand mostly where no
    lemma is, or are mostly no numbers.
    """
    places = Counter(place for rows in given for _, row in rows if (place := _last_other(row)) >= 0)
    place = max(places, key=lambda place: (places[place], -place), default=0)
    held = _before_lemmas(given, place)
    num_strays = sum(lemma == NOTHING for _, _, lemma in held)
    num_right = sum(_is_sense(value, lemma) for _, value, lemma in held)
    return _Layout(place, num_right > num_strays and num_right >= len(held) - num_strays - num_right)


def _before_lemmas(given: Iterable[Rows], place: int) -> list[tuple[int, str, str]]:
    """The line, the value before the lemma's place and the lemma of each row that has such a value."""
    wide = ((line, row[place - 1], row[place]) for rows in given for line, row in rows if 1 < place < len(row))
    return [one for one in wide if one[1] != NOTHING]


def _is_sense(value: str, lemma: str) -> bool:
    return lemma != NOTHING and _NUMBER.fullmatch(value) is not None


def _left_out(given: Iterable[Rows], layout: _Layout, path: Path) -> Iterator[Finding]:
    """A warning for each value in the column of senses that is none."""
    for line, value, lemma in _before_lemmas(given, layout.lemma) if layout.has_senses else ():
        if lemma == NOTHING:
            message = (
                f"a row without a lemma must have - for its sense, got {value!r}, which is left out. Write - or the lemma."
            )
            yield Finding("warning", path, line, message)
        elif not _is_sense(value, lemma):
            message = f"a sense must be a number such as 01, two letters such as LV, or -, got {value!r}, which is left out."
            yield Finding("warning", path, line, f"{message} Correct it, or write -.")


def _last_other(row: list[str]) -> int:
    return max((place for place, value in enumerate(row) if not TAG.fullmatch(value)), default=-1)


def _sentence(rows: Rows, layout: _Layout) -> RoleSentence:
    lines = [number for number, _ in rows]
    columns = list(zip(*(row for _, row in rows), strict=True))
    if len(columns) <= layout.lemma:
        raise InputError(f"rows must have at least {layout.lemma + 1} columns as elsewhere in the file, got {len(columns)}.")
    words = columns[0] if layout.lemma else (NO_WORD,) * len(rows)
    return RoleSentence(checked_tokens(words), tuple(_propositions(columns, lines, layout)), line=lines[0])


def _propositions(columns: list[tuple[str, ...]], lines: list[int], layout: _Layout) -> Iterator[Proposition]:
    lemmas, brackets = columns[layout.lemma], columns[layout.lemma + 1 :]
    predicates = [position for position, lemma in enumerate(lemmas) if lemma != NOTHING]
    if len(predicates) != len(brackets):
        raise InputError(f"a sentence must have an argument column a predicate, got {len(brackets)} for {len(predicates)}.")
    for position, tags in zip(predicates, brackets, strict=True):
        number = columns[layout.lemma - 1][position] if layout.has_senses else NOTHING
        sense = f"{lemmas[position]}.{number}" if _NUMBER.fullmatch(number) else None
        yield proposition(position, sense, read_brackets(tags, lines), len(lines), lines[position])


def _columns(sentence: RoleSentence, has_senses: bool) -> Iterator[Sequence[str]]:
    tokens = tokens_of(checked_tokens(sentence.tokens))
    propositions = sorted(sentence.propositions or (), key=lambda one: one.predicate)
    lemmas, numbers = [NOTHING] * len(tokens), [NOTHING] * len(tokens)
    for one in propositions:
        lemmas[one.predicate], numbers[one.predicate] = _sense(one, sentence.lemmas)
    yield tokens
    if has_senses:
        yield numbers
    yield lemmas
    for one in propositions:
        yield write_brackets(one, len(tokens))


def _sense(one: Proposition, lemmas: Sequence[str] | None) -> tuple[str, str]:
    """Its lemma and number; a lemma that nobody told is `_`."""
    if one.sense is None:
        lemma, number = lemmas[one.predicate] if lemmas else NO_WORD, NOTHING
    else:
        lemma, number = split_sense(one.sense)
        field(number, _NUMBER, "the sense's number")
    if lemma == NOTHING or TAG.fullmatch(lemma):
        raise InputError(f"CoNLL-2005 cannot hold a predicate whose lemma is {lemma!r}. Use jsonl.")
    return field(lemma, WORD, "the lemma"), number
