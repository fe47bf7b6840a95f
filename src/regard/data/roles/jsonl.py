"""Roles as JSON, an object a line.

Three shapes are read; positions are token indices from 0, stop and end are exclusive:

- `{"tokens": […], "predicates": [P, …]}`, which is what is written;
- `{"tokens": […], **P}`, one proposition; lines in a row with the same tokens are one sentence until a predicate comes again
  or a blank line;
- `{"words": […], "verbs": [{"verb": "fell", "tags": ["B-V", "B-ARG1", …]}, …]}`, BIO tags, as AllenNLP puts them out.

P is `{"predicate": I, "sense": "fall.01", "arguments": [A, …]}`. I is an index, a list of the indices of all its tokens, or
`{"index": I, "sense": "fall.01"}`. A is `["ARG1", start, end]`, `[start, end, "ARG1"]` or
`{"type": "ARG1", "start": …, "end": …}`. `words` may stand for `tokens`, `spans` for `arguments`, `label` or `role` for
`type`; a sense may be missing or null. Where no predicate is named they are not known. `lemmas`, `text` and `offsets`
([start, end] of each token in text) are optional.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from regard.data.conll import repairs, scheme_of, tag_problem
from regard.data.findings import Finding, note
from regard.data.json_values import as_list, as_object, as_text, first_of, looks_like_json, one_object, short
from regard.data.offsets import text_and_offsets
from regard.data.paragraphs import paragraphs, read_each
from regard.data.roles.propositions import PREDICATE, REST, checked_tokens, in_order, proposition
from regard.data.sentence import Proposition, RoleSentence
from regard.data.spans import Span, spans_of
from regard.errors import InputError

_TOKENS, _ARGUMENTS, _LABEL = ("tokens", "words"), ("arguments", "spans"), ("type", "label", "role")


class _Read(NamedTuple):
    """A sentence, whether its line was of one proposition, and what should be told of it."""

    sentence: RoleSentence
    is_single: bool
    warnings: list[str]


def is_format(lines: Sequence[str]) -> bool:
    """Whether the first line with text begins as an object does."""
    first = next((line for line in lines if line.strip()), "").lstrip()
    return first.startswith("{") and looks_like_json(first)


def parse(lines: Sequence[str], path: Path) -> tuple[list[RoleSentence], list[Finding]]:
    """The sentences that could be read, and findings."""
    sentences: list[RoleSentence] = []
    findings: list[Finding] = []
    warnings: list[Finding] = []
    for paragraph in paragraphs(lines):
        given = ((number, (number, line)) for number, line in paragraph)
        read, wrong = read_each(given, lambda numbered: _sentence(*numbered), path)
        sentences += _merged(read)
        findings += wrong
        for one in read:
            for text in one.warnings:
                note(warnings, Finding("warning", path, one.sentence.line, text))
    return sentences, findings + warnings


def write(sentences: Sequence[RoleSentence]) -> list[str]:
    """A line a sentence."""
    return [json.dumps(_record(sentence), ensure_ascii=False) for sentence in sentences]


def _record(sentence: RoleSentence) -> dict[str, Any]:
    record: dict[str, Any] = {"tokens": checked_tokens(sentence.tokens)}
    if sentence.propositions is not None:
        record["predicates"] = [_written(one) for one in sentence.propositions]
    optional = {"lemmas": sentence.lemmas, "text": sentence.text, "offsets": sentence.offsets}
    return record | {name: value for name, value in optional.items() if value is not None}


def _written(one: Proposition) -> dict[str, Any]:
    arguments = [{"type": kind, "start": start, "end": stop} for kind, start, stop in one.arguments]
    return {"predicate": one.predicate, "sense": one.sense, "arguments": arguments}


def _merged(read: Iterable[_Read]) -> Iterator[RoleSentence]:
    """Sentences, those of one proposition a line put together."""
    last: RoleSentence | None = None
    for sentence, is_single, _ in read:
        if last and is_single and last.tokens == sentence.tokens and (both := _disjoint(last, sentence)):
            last = replace(last, propositions=both)
            continue
        if last:
            yield last
        last = sentence if is_single else None
        if not is_single:
            yield sentence
    if last:
        yield last


def _disjoint(first: RoleSentence, second: RoleSentence) -> tuple[Proposition, ...]:
    """The propositions of both; none where they have a predicate in common."""
    both = (*(first.propositions or ()), *(second.propositions or ()))
    return in_order(both) if len({one.predicate for one in both}) == len(both) else ()


def _sentence(line: int, given: str) -> _Read:
    record = one_object(given)
    tokens = checked_tokens(as_list(_get(record, _TOKENS), "tokens"))
    is_single = "predicate" in record
    text, offsets = text_and_offsets(record, tokens)
    warnings: list[str] = []
    propositions = _propositions(record, len(tokens), warnings)
    known = None if propositions is None else in_order(propositions)
    return _Read(RoleSentence(tokens, known, _lemmas(record, len(tokens)), line, text, offsets), is_single, warnings)


def _lemmas(record: dict[str, Any], length: int) -> tuple[str, ...] | None:
    if record.get("lemmas") is None:
        return None
    lemmas = tuple(as_text(lemma, "a lemma") for lemma in as_list(record["lemmas"], "lemmas"))
    if len(lemmas) != length:
        raise InputError(f"lemmas must be as many as tokens, got {len(lemmas)} for {length}.")
    return lemmas


def _propositions(record: dict[str, Any], length: int, warnings: list[str]) -> list[Proposition] | None:
    if "predicate" in record:
        return [_proposition(record, length)]
    if "predicates" in record:
        return [_proposition(given, length) for given in as_list(record["predicates"], "predicates")]
    if "verbs" in record:
        return [_tagged(given, length, warnings) for given in as_list(record["verbs"], "verbs")]
    return None


def _proposition(given: Any, length: int) -> Proposition:
    given = as_object(given, "a predicate")
    index, sense = _get(given, ("predicate",)), given.get("sense")
    if isinstance(index, dict):
        index, sense = _get(index, ("index",)), index.get("sense", sense)
    if sense is not None and (not isinstance(sense, str) or not sense.strip()):
        raise InputError(f"sense must be text or null, got {short(sense)}.")
    indices = sorted({_index(one, length) for one in (index if isinstance(index, list) else [index])})
    if not indices:
        raise InputError("predicate must be an index or a list of them, got an empty list.")
    spans = [*_own(indices), *map(_argument, as_list(_get(given, _ARGUMENTS, []), "arguments"))]
    return proposition(indices[0], sense, spans, length)


def _tagged(given: Any, length: int, warnings: list[str]) -> Proposition:
    tags = as_list(_get(as_object(given, "a verb"), ("tags",)), "tags")
    if len(tags) != length or not all(isinstance(tag, str) for tag in tags):
        raise InputError(f"tags must be text, one for each of the {length} tokens, got {len(tags)}.")
    if problem := next(filter(None, map(tag_problem, tags)), ""):
        raise InputError(problem)
    warnings += [message for _, message in repairs(tags, scheme_of([tags]))]
    spans = spans_of(tags)
    predicate = next((span.start for span in spans if span.type == PREDICATE), None)
    if predicate is None:
        raise InputError("the tags of a verb must mark it with B-V; these do not.")
    return proposition(predicate, None, spans, length)


def _own(indices: list[int]) -> Iterator[Span]:
    """V for the predicate's first run of tokens, C-V for each that follows."""
    starts = [index for index in indices if index - 1 not in indices]
    for start in starts:
        stop = next(index for index in indices if index >= start and index + 1 not in indices) + 1
        yield Span(PREDICATE if start == starts[0] else REST, start, stop)


def _argument(given: Any) -> Span:
    if isinstance(given, list) and len(given) == 3:
        kind, start, stop = given if isinstance(given[0], str) else (given[2], given[0], given[1])
    else:
        given = as_object(given, "an argument")
        kind, start, stop = _get(given, _LABEL), _get(given, ("start",)), _get(given, ("end",))
    if not isinstance(kind, str) or not kind.strip() or type(start) is not int or type(stop) is not int:
        raise InputError(
            "an argument must have a label and whole numbers for start and end, as [label, start, end] or [start, end, label] "
            f"or by their names, got {short(given)}."
        )
    return Span(kind, start, stop)


def _get(record: dict[str, Any], names: tuple[str, ...], default: Any = None) -> Any:
    """The value under the first of the names that has one."""
    name, value = first_of(record, names)
    if not name and default is None:
        raise InputError(f"{' or '.join(map(repr, names))} must be given in {short(record)}.")
    return value if name else default


def _index(value: Any, length: int) -> int:
    if type(value) is not int or not 0 <= value < length:
        raise InputError(f"predicate must be the index of a token, from 0 to {length - 1}, got {short(value)}.")
    return value
