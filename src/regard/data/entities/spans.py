"""Entities as JSON gives them: checked, and put on words."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from regard.data.json_values import as_list, as_object, first_of, short
from regard.data.spans import Span
from regard.data.words import Piece
from regard.errors import InputError

_TYPE, _START, _STOP = ("type", "label"), ("start", "start_offset"), ("end", "end_offset")


def read_spans(given: Any, length: int, unit: str) -> list[Span]:
    """Entities in order, from lists [start, end, type] or [type, start, end], or from objects; `unit` is what they count."""
    spans = sorted((_span(one, length, unit) for one in as_list(given, "the entities")), key=lambda span: span[1:])
    for before, span in pairwise(spans):
        if span.start < before.stop:
            raise InputError(
                f"entities must not overlap, got {shown(before)} and {shown(span)} in {unit}. "
                "A tag marks one entity: keep one, such as the longer."
            )
    return spans


def shown(span: Span) -> str:
    """How messages name an entity."""
    return f"{span.type} [{span.start}, {span.stop})"


def misquoted(given: Sequence[Any], text: str) -> list[str]:
    """What to tell of each of the entities that brings a text of its own, where that is not what stands in its place."""
    own = [one for one in given if isinstance(one, dict) and isinstance(one.get("text"), str)]
    named = [(one["text"], first_of(one, _START)[1], first_of(one, _STOP)[1]) for one in own]
    return [
        f"the entity {quoted!r} has the place [{start}, {stop}), where text has {text[start:stop]!r}. "
        "See that offsets count characters from 0 and that end is the first behind the entity."
        for quoted, start, stop in named
        if quoted.strip() != text[start:stop].strip()
    ]


def trimmed(span: Span, text: str) -> Span:
    """Without white space at its ends."""
    part = text[span.start : span.stop]
    if not part.strip():
        raise InputError(f"an entity must hold a word, got {shown(span)}, which is white space. Remove it.")
    return Span(span.type, span.start + len(part) - len(part.lstrip()), span.stop - len(part) + len(part.rstrip()))


def cut_at(words: Sequence[Piece], spans: Sequence[Span]) -> tuple[list[Piece], list[str]]:
    """The words, parted where an entity begins or ends inside one, and a message for each that is."""
    borders = sorted({border for span in spans for border in span[1:]})
    parts = [list(_parts(word, borders)) for word in words]
    messages = [
        f"an entity begins or ends inside {word[0]!r}, so it is read as {' '.join(repr(text) for text, _, _ in some)}. "
        "See that offsets count characters and stand at the ends of words."
        for word, some in zip(words, parts, strict=True)
        if len(some) > 1
    ]
    return [piece for some in parts for piece in some], messages


def on_words(words: Sequence[Piece], spans: Sequence[Span]) -> list[Span]:
    """Spans of characters as spans of words, which must have been cut at them."""
    starts = [start for _, start, _ in words]
    placed = [Span(kind, bisect_left(starts, start), bisect_left(starts, stop)) for kind, start, stop in spans]
    for given, span in zip(spans, placed, strict=True):
        if span.start == span.stop:
            raise InputError(f"an entity must hold a word, got {shown(given)}, where no token is. Move or remove it.")
    return placed


def _parts(word: Piece, borders: list[int]) -> Iterator[Piece]:
    text, start, stop = word
    inside = borders[bisect_left(borders, start + 1) : bisect_left(borders, stop)]
    first = start
    for end in (*inside, stop):
        yield text[first - start : end - start], first, end
        first = end


def _span(given: Any, length: int, unit: str) -> Span:
    if isinstance(given, list) and len(given) == 3:
        kind, start, stop = given if isinstance(given[0], str) else (given[2], given[0], given[1])
    else:
        one = as_object(given, "an entity")
        (_, kind), (_, start), (_, stop) = (first_of(one, names) for names in (_TYPE, _START, _STOP))
    if not isinstance(kind, str) or not kind or kind != kind.strip() or "\n" in kind:
        raise InputError(f"an entity must have a type: text with no white space at its ends, got {short(given)}.")
    if type(start) is not int or type(stop) is not int:
        raise InputError(f"an entity must have whole numbers for start and end, got {short(given)}.")
    if not 0 <= start < stop <= length:
        raise InputError(
            f"an entity must have 0 <= start < end <= {length}, as there are {length} {unit} and end is the first behind it; "
            f"got {short(given)}."
        )
    return Span(kind, start, stop)
