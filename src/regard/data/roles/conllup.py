"""Roles in CoNLL-U Plus, as Universal Propositions 2.0 lays it out.

`UP:PRED` of a predicate's row is its sense; `UP:ARGSPANS` is LABEL:first-last|… in ids of syntactic words, the last one
included; `UP:ARGHEADS` is LABEL:id|… for the same arguments in the same order. Without spans each head is a span of its own.
`_` is none; a predicate whose sense is not known has `?`, which is this project's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from regard.data.conllu import UNSPECIFIED, Block, names_columns, read_conllu
from regard.data.findings import Finding
from regard.data.paragraphs import read_each
from regard.data.roles.propositions import checked_tokens, field, in_order, proposition
from regard.data.sentence import Proposition, RoleSentence
from regard.data.spans import Span
from regard.errors import InputError

UNKNOWN = "?"
_IDS = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
_VALUE = re.compile(r"[^\t\r\n]+")
_LABEL = re.compile(r"[^\t\r\n|]+")


def is_format(lines: Sequence[str]) -> bool:
    """Whether a comment names columns."""
    return any(map(names_columns, lines))


def parse(lines: Sequence[str], path: Path) -> tuple[list[RoleSentence], list[Finding]]:
    """The sentences that could be read, and findings."""
    blocks, findings = read_conllu(lines, path)
    without_roles = next((block for block in blocks if not _has_roles(block.columns)), None)
    if without_roles:
        message = "global.columns must name UP:PRED, and UP:ARGSPANS or UP:ARGHEADS."
        findings.append(Finding("error", path, without_roles.lines[0], message))
    labelled = ((block.lines[0], block) for block in blocks if _has_roles(block.columns))
    sentences, more = read_each(labelled, _sentence, path)
    return sentences, findings + more


def write(sentences: Sequence[RoleSentence]) -> list[str]:
    """Lines with ids, forms, lemmas where a sentence has any, senses and spans, and the texts."""
    has_lemmas = any(sentence.lemmas for sentence in sentences)
    columns = ("ID", "FORM", *(("LEMMA",) if has_lemmas else ()), "UP:PRED", "UP:ARGSPANS")
    lines = [f"# global.columns = {' '.join(columns)}"]
    for sentence in sentences:
        lines += [*_text(sentence), *_rows(sentence, columns), ""]
    return lines


def _has_roles(columns: Sequence[str]) -> bool:
    return "UP:PRED" in columns and not {"UP:ARGSPANS", "UP:ARGHEADS"}.isdisjoint(columns)


def _sentence(block: Block) -> RoleSentence:
    lemmas = block.column("LEMMA")
    return RoleSentence(
        block.column("FORM"),
        in_order(_propositions(block)),
        None if set(lemmas) == {UNSPECIFIED} else lemmas,
        block.lines[0],
        block.text,
        block.offsets,
    )


def _propositions(block: Block) -> Iterator[Proposition]:
    columns = zip(*map(block.column, ("UP:PRED", "UP:ARGHEADS", "UP:ARGSPANS")), strict=True)
    for position, ((sense, heads, spans), line) in enumerate(zip(columns, block.lines, strict=True)):
        if sense == UNSPECIFIED:
            if {heads, spans} != {UNSPECIFIED}:
                raise InputError("a row with arguments must have its predicate's sense in UP:PRED, got _.", line=line)
            continue
        arguments, by_head = (_arguments(value, len(block.rows), line) for value in (spans, heads))
        if {"UP:ARGHEADS", "UP:ARGSPANS"} <= set(block.columns):
            _same_labels(by_head, arguments, line)
        known = None if sense == UNKNOWN else sense
        yield proposition(position, known, arguments or by_head, len(block.rows), line)


def _arguments(value: str, length: int, line: int) -> list[Span]:
    spans = []
    for part in () if value == UNSPECIFIED else value.split("|"):
        label, _, ids = part.rpartition(":")
        match = _IDS.fullmatch(ids)
        if not label or not match:
            raise InputError(f"arguments must be LABEL:first-last|… or LABEL:id|…, got {part!r}.", line=line)
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise InputError(f"an argument must be LABEL:first-last, got {part!r}, which ends before it starts.", line=line)
        if not 1 <= first <= last <= length:
            raise InputError(
                f"an argument must be of the sentence's words, whose ids are 1 to {length}, got {part!r}.", line=line
            )
        spans.append(Span(label, first - 1, last))
    return spans


def _same_labels(heads: list[Span], spans: list[Span], line: int) -> None:
    labels = [[span.type for span in some] for some in (heads, spans)]
    if labels[0] != labels[1]:
        both = " and ".join(" ".join(some) or UNSPECIFIED for some in labels)
        raise InputError(f"UP:ARGHEADS and UP:ARGSPANS must name the same arguments in the same order, got {both}.", line=line)


def _text(sentence: RoleSentence) -> list[str]:
    return [] if sentence.text is None else [f"# text = {field(sentence.text, _VALUE, 'the text')}"]


def _rows(sentence: RoleSentence, columns: Sequence[str]) -> Iterator[str]:
    """A row a token, before them one for tokens that share their place in the text: those of a multiword token."""
    propositions = {one.predicate: one for one in sentence.propositions or ()}
    places = sentence.offsets or tuple((place, place) for place in range(len(sentence.tokens)))
    tokens = checked_tokens(sentence.tokens)
    for place, group in groupby(range(len(tokens)), places.__getitem__):
        inside = list(group)
        if sentence.text is not None and sentence.offsets and len(inside) > 1:
            surface = field(sentence.text[slice(*place)], _VALUE, "the multiword token")
            yield "\t".join([f"{inside[0] + 1}-{inside[-1] + 1}", surface, *[UNSPECIFIED] * (len(columns) - 2)])
        for position in inside:
            lemma = [sentence.lemmas[position] if sentence.lemmas else UNSPECIFIED] if "LEMMA" in columns else []
            values = [str(position + 1), tokens[position], *lemma, *_proposition(propositions.get(position))]
            yield "\t".join(field(value, _VALUE, "the value") for value in values)


def _proposition(one: Proposition | None) -> Iterable[str]:
    """The last two columns of its predicate's row."""
    if one is None:
        return UNSPECIFIED, UNSPECIFIED
    if one.sense in (UNSPECIFIED, UNKNOWN):
        raise InputError(f"this format cannot hold the sense {one.sense!r}. Use jsonl.")
    parts = [f"{field(kind, _LABEL, 'the label')}:{start + 1}-{stop}" for kind, start, stop in one.arguments]
    return UNKNOWN if one.sense is None else one.sense, "|".join(parts) or UNSPECIFIED
