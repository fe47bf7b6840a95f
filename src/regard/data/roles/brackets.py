"""Spans as columns of brackets: `(A0*`, `*`, `*)`, as CoNLL-2005 and CoNLL-2012 have them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from regard.data.findings import counted
from regard.data.paragraphs import Line
from regard.data.roles.propositions import PREDICATE, REST, field, shown
from regard.data.sentence import Proposition
from regard.data.spans import Span
from regard.errors import InputError

TAG = re.compile(r"(?:\([^()*\s]+)*\*(?:[^()*\s]*\))*")
"""A closing bracket may name its label, as in CoNLL-2004."""
WORD = re.compile(r"[^ \t\r\n]+")
NOTHING = "-"
_LABEL = re.compile(r"[^()*\s]+")
_SPACE = re.compile(r"[ \t]+")


def rows_of(paragraph: Sequence[Line]) -> list[tuple[int, list[str]]]:
    """The line and the columns of each row, which must be as many in all."""
    rows = [(number, _SPACE.split(line.strip(" \t\r"))) for number, line in paragraph]
    width = len(rows[0][1])
    for number, row in rows:
        if len(row) != width:
            wanted = counted(width, "column")
            raise InputError(f"this row must have {wanted} like the sentence's first, got {len(row)}.", line=number)
    return rows


def read_brackets(tags: Sequence[str], lines: Sequence[int]) -> list[Span]:
    """The spans of a column, the outer before the inner; `lines` are the rows' lines."""
    spans: list[Span] = []
    opened: list[tuple[str, int]] = []
    for position, (tag, line) in enumerate(zip(tags, lines, strict=True)):
        if not TAG.fullmatch(tag):
            raise InputError(f"an argument column must hold *, (LABEL*, *) or (LABEL*), got {tag!r}.", line=line)
        opening, _, closing = tag.partition("*")
        opened += [(label, position) for label in opening.split("(")[1:]]
        for label in closing.split(")")[:-1]:
            if not opened or label not in ("", opened[-1][0]):
                raise InputError(f"the bracket of {tag!r} closes none that is open.", line=line)
            kind, start = opened.pop()
            spans.append(Span(kind, start, position + 1))
    if opened:
        kind, start = opened[-1]
        raise InputError(f"the bracket ({kind}* is never closed. Put a ) on its last row.", line=lines[start])
    return sorted(spans, key=lambda span: (span.start, -span.stop))


def write_brackets(proposition: Proposition, length: int) -> list[str]:
    """A tag a token."""
    spans = sorted(_with_predicate(proposition), key=lambda span: span.start)
    opening, closing = [""] * length, [""] * length
    for before, after in pairwise(spans):
        if after.start < before.stop:
            raise InputError(f"bracket columns cannot hold arguments that overlap: {shown(before)}, {shown(after)}. Use jsonl.")
    for kind, start, stop in spans:
        opening[start], closing[stop - 1] = f"({field(kind, _LABEL, 'the label')}", ")"
    return [f"{before}*{after}" for before, after in zip(opening, closing, strict=True)]


def tokens_of(tokens: Iterable[str]) -> list[str]:
    """The tokens, none of which may hold a space."""
    return [field(token, WORD, "the token") for token in tokens]


def _with_predicate(one: Proposition) -> list[Span]:
    own = any(span.type in (PREDICATE, REST) and span.start <= one.predicate < span.stop for span in one.arguments)
    return [*one.arguments] if own else [*one.arguments, Span(PREDICATE, one.predicate, one.predicate + 1)]
