"""One sentence as JSON, with tokens or with a text that offsets point into.

- `{"tokens": ["Ada", …], "tags": ["B-PER", …]}`; `ner_tags` or `labels` may stand for `tags`, in any scheme;
- `{"tokens": ["Ada", …], "entities": [{"type": "PER", "start": 0, "end": 1}, …]}` counts tokens;
- `{"text": "Ada …", "entities": [[0, 3, "PER"], …]}` counts characters (Unicode code points, not bytes);
- `{"text": …, "tokens": [{"text": "Ada", "start": 0, "end": 3}, …], "spans": […]}`, as Prodigy has it, counts characters;
- `["Ada …", {"entities": [[0, 3, "PER"], …]}]`, as spaCy trains on.

End is exclusive, and from 0 counts everything. Each entity may be a list or an object; `label` may stand for `type`,
`start_offset` and `end_offset` for `start` and `end`, `spans` for `entities`, and `label` or `labels` too where there are
no tokens. With tokens that are text, `text` only says what they were cut from (`offsets`, [start, end] of each, say where).
A record whose `answer` is `reject` or `ignore`, as Prodigy says of what nobody may learn from, is no example.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from regard.data.conll import tag_problem
from regard.data.entities.spans import cut_at, misquoted, on_words, read_spans, shown, trimmed
from regard.data.json_values import as_list, as_object, as_text, decoded, first_of, short
from regard.data.offsets import checked_offsets, misplaced, text_and_offsets
from regard.data.sentence import Sentence
from regard.data.spans import Span, spans_of, to_bio
from regard.data.words import Piece, words_of
from regard.errors import InputError

_NOT_ACCEPTED = ("reject", "ignore")
_TOKENS, _TAGS, _ENTITIES = ("tokens", "words"), ("tags", "ner_tags", "labels"), ("entities", "spans")


class Read(NamedTuple):
    """A sentence, its tags in the scheme they came in, and what should be told of it."""

    sentence: Sentence
    warnings: list[str]
    fits_characters: bool | None = None
    """Of entities that were read as numbers of tokens: whether as numbers of characters they would be words too, and others."""
    is_accepted: bool = True


def read_line(line: str, number: int, labelled: bool) -> Read:
    """The record of a line of JSON."""
    value, stop = decoded(line, len(line) - len(line.lstrip()))
    if rest := line[stop:].strip():
        raise InputError(f"a line must hold one record, got {short(rest)} behind it.")
    return read_record(value, number, labelled)


def read_record(value: Any, number: int, labelled: bool) -> Read:
    """A record; unless `labelled` its labels are neither needed nor read."""
    if isinstance(value, list):
        if len(value) != 2:
            raise InputError(f'a record in brackets must be ["text", {{"entities": […]}}], got {short(value)}.')
        value = as_object(value[1], "what follows the text") | {"text": value[0]}
    record = as_object(value, "a record")
    if labelled and record.get("answer") in _NOT_ACCEPTED:
        return Read(Sentence((), line=number), [], is_accepted=False)
    _, tokens = first_of(record, _TOKENS)
    if tokens is None:
        return _of_text(record, number, labelled)
    if any(isinstance(token, dict) for token in as_list(tokens, "tokens")):
        return _of_places(record, tokens, number, labelled)
    return _of_tokens(record, tuple(_token(token) for token in tokens), number, labelled)


def _of_tokens(record: dict[str, Any], tokens: tuple[str, ...], number: int, labelled: bool) -> Read:
    text, offsets = text_and_offsets(record, tokens)
    tags = _tags(record, len(tokens)) if labelled else None
    sentence = Sentence(tokens, tags, number, text, offsets)
    has_tags = first_of(record, _TAGS)[1] is not None
    return Read(sentence, misplaced(tokens, text, offsets), None if has_tags else _fits_characters(sentence))


def _of_text(record: dict[str, Any], number: int, labelled: bool) -> Read:
    _, text = first_of(record, ("text",))
    if text is None:
        raise InputError('a record must have "tokens", a list of words, or "text".')
    return _labelled(record, words_of(as_text(text, "text")), number, labelled)


def _of_places(record: dict[str, Any], tokens: list[Any], number: int, labelled: bool) -> Read:
    text = as_text(record.get("text"), "text, into which tokens with start and end point,")
    given = [as_object(token, "a token") for token in tokens]
    offsets = checked_offsets([(one.get("start"), one.get("end")) for one in given], len(tokens), len(text))
    if len(set(offsets)) < len(offsets):
        raise InputError("each token must have a place of its own in the text; two have the same start and end.")
    there = [text[start:stop] for start, stop in offsets]
    named = [as_text(one.get("text") or word, "the text of a token") for one, word in zip(given, there, strict=True)]
    words = [(word, *place) for word, place in zip(there, offsets, strict=True) if word.strip()]
    read = _labelled(record, words, number, labelled)
    return read._replace(warnings=[*misplaced(named, text, offsets), *read.warnings])


def _labelled(record: dict[str, Any], words: list[Piece], number: int, labelled: bool) -> Read:
    """Words of the record's text with its entities, which count characters."""
    text, given, warnings = record["text"], list[Span](), list[str]()
    if labelled:
        _, value = first_of(record, (*_ENTITIES, "label", "labels"))
        if value is None:
            raise InputError('a record with "text" must have "entities": [[start, end, type], …], empty where there is none.')
        given = read_spans(value, len(text), "characters")
        warnings = misquoted(value, text)
    spans = [trimmed(span, text) for span in given]
    changed = ((old, new) for old, new in zip(given, spans, strict=True) if old != new)
    warnings += [f"{shown(old)} has white space at its ends; read as {shown(new)}." for old, new in changed]
    pieces, cuts = cut_at(words, spans)
    tokens, offsets = tuple(piece[0] for piece in pieces), tuple(piece[1:] for piece in pieces)
    tags = tuple(to_bio(on_words(pieces, spans), len(pieces))) if labelled else None
    return Read(Sentence(tokens, tags, number, text, offsets), warnings + cuts)


def _fits_characters(sentence: Sentence) -> bool | None:
    """See `Read`; None where there are no entities or no places, or the numbers are the same."""
    places, spans = sentence.offsets, sentence.spans
    if not places or not spans:
        return None
    starts, stops = ({place[end]: token + end for token, place in enumerate(places)} for end in (0, 1))
    others = [(starts.get(start), stops.get(stop)) for _, start, stop in spans]
    return None if others == [span[1:] for span in spans] else all(None not in pair for pair in others)


def _token(value: Any) -> str:
    if not as_text(value, "a token").strip():
        raise InputError(f"a token must hold more than white space, got {short(value)}. Remove it and its tag.")
    return value


def _tags(record: dict[str, Any], length: int) -> tuple[str, ...]:
    """The tags, from themselves, from entities, or from both where they agree."""
    name, tags = first_of(record, _TAGS)
    _, entities = first_of(record, _ENTITIES)
    spans = None if entities is None else read_spans(entities, length, "tokens")
    if tags is None:
        if spans is None:
            raise InputError('a record with "tokens" must have "tags", one a token, or "entities", empty where there is none.')
        return tuple(to_bio(spans, length))
    checked = _checked_tags(as_list(tags, name), name, length)
    if spans is not None and spans != spans_of(checked):
        raise InputError(f"{name} and the entities must say the same. Mend or remove one of them.")
    return checked


def _checked_tags(tags: list[Any], name: str, length: int) -> tuple[str, ...]:
    if len(tags) != length:
        raise InputError(f"{name} must be one a token, got {len(tags)} for {length} tokens.")
    for tag in tags:
        if type(tag) is int:
            raise InputError(
                f"{name} must be names such as B-PER, got the number {tag}. Write the names that the numbers stand for."
            )
        if problem := tag_problem(as_text(tag, f"each of {name}")):
            raise InputError(problem)
    return tuple(tags)
