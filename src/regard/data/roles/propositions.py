"""What every format of roles needs: propositions checked and in order, senses cut in two, fields that can be written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from regard.data.findings import Finding
from regard.data.sentence import Proposition, RoleSentence
from regard.data.spans import Span
from regard.errors import InputError

PREDICATE, REST = "V", "C-V"
"""Labels of the predicate's own tokens."""


def proposition(predicate: int, sense: str | None, spans: Iterable[Span], length: int, line: int | None = None) -> Proposition:
    """A predicate with its arguments in order of their first token; a V that is the predicate's token alone is left out."""
    spans = list(spans)
    for kind, start, stop in spans:
        if not 0 <= start < stop <= length:
            raise InputError(
                f"the argument {kind} must begin at a token from 0 to {length - 1} and stop after it, at {length} or before; "
                f"got start {start}, stop {stop}.",
                line=line,
            )
    own = Span(PREDICATE, predicate, predicate + 1)
    return Proposition(predicate, sense, tuple(sorted((span for span in spans if span != own), key=lambda span: span.start)))


def in_order(propositions: Iterable[Proposition], line: int | None = None) -> tuple[Proposition, ...]:
    """By their token, which must be another one for each."""
    ordered = tuple(sorted(propositions, key=lambda one: one.predicate))
    for before, after in pairwise(ordered):
        if before.predicate == after.predicate:
            raise InputError(f"a token may be the predicate of one proposition, token {after.predicate} is of two.", line=line)
    return ordered


def checked_tokens(tokens: Sequence[str]) -> tuple[str, ...]:
    """The tokens, of which there must be one, and none empty."""
    if not tokens:
        raise InputError("a sentence must have a token, got none.")
    for position, token in enumerate(tokens):
        if not isinstance(token, str) or not token.strip():
            raise InputError(f"a token must be text that is not empty, token {position} is {token!r}.")
    return tuple(tokens)


def overlaps(sentence: RoleSentence, path: Path) -> Iterator[Finding]:
    """A warning for each proposition that has a token in two arguments."""
    for one in sentence.propositions or ():
        reach: Span | None = None
        for span in one.arguments:
            if reach and span.start < reach.stop:
                word = sentence.tokens[one.predicate]
                both = f"{shown(reach)} and {shown(span)}"
                message = f"arguments {both} of the predicate {word!r} overlap; a tag a token can hold one of them."
                yield Finding("warning", path, sentence.line, message)
                break
            reach = span


def unattached(sentence: RoleSentence, path: Path) -> Iterator[Finding]:
    """A warning for each argument that continues or refers to one that its predicate does not have."""
    for one in sentence.propositions or ():
        begins: dict[str, int] = {PREDICATE: -1}
        for span in one.arguments:
            begins.setdefault(span.type, span.start)
        for span in one.arguments:
            prefix, dash, kind = span.type.partition("-")
            if prefix == "C" and dash and begins.get(kind, span.start) >= span.start:
                fault = f"continues no {kind} before it; it is scored as one, as srl-eval does"
                advice = f"Write {kind}, or label what it continues."
            elif prefix == "R" and dash and kind not in begins:
                fault = f"refers to {kind}, which the predicate does not have"
                advice = "Label that, or mend this label."
            else:
                continue
            message = f"{shown(span)} of the predicate {sentence.tokens[one.predicate]!r} {fault}. {advice}"
            yield Finding("warning", path, sentence.line, message)


def shown(span: Span) -> str:
    """ARG1 [2, 5): as errors name it."""
    return f"{span.type} [{span.start}, {span.stop})"


def split_sense(sense: str) -> tuple[str, str]:
    """("nominate", "01") of nominate.01."""
    lemma, dot, number = sense.rpartition(".")
    if not dot:
        raise InputError(f"columns hold a sense as lemma.number, got {sense!r}. Use jsonl or conllup.")
    return lemma, number


def field(value: str, allowed: re.Pattern[str], what: str) -> str:
    """The value, when the format written can hold it."""
    if not value.strip() or not allowed.fullmatch(value):
        raise InputError(f"this format cannot hold {what} {value!r}. Use jsonl.")
    return value
