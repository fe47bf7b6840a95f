"""Tags of tokens and the spans they mark, in every scheme, as conlleval reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """Tokens [start, stop) with a type."""

    type: str
    start: int
    stop: int


OUTSIDE = "O"
_BEGIN, _END = frozenset("BSU"), frozenset("ESLU")


def split_tag(tag: str) -> tuple[str, str]:
    """("B", "PER") of B-PER; ("O", "") of O."""
    prefix, _, kind = tag.partition("-")
    return prefix, kind


def spans_of(tags: Sequence[str]) -> list[Span]:
    """The spans of BIO, IOB1, BIOES or BILOU tags. An I- that continues nothing starts a span, as in conlleval."""
    spans: list[Span] = []
    start, open_kind = 0, ""
    for position, tag in enumerate([*tags, OUTSIDE]):
        prefix, kind = split_tag(tag)
        if open_kind and (prefix == OUTSIDE or kind != open_kind or prefix in _BEGIN):
            spans.append(Span(open_kind, start, position))
            open_kind = ""
        if prefix != OUTSIDE and not open_kind:
            start, open_kind = position, kind
        if prefix in _END and open_kind:
            spans.append(Span(open_kind, start, position + 1))
            open_kind = ""
    return spans


def to_bio(spans: Iterable[Span], length: int) -> list[str]:
    """IOB2 tags: B- on the first token of a span, I- on the others."""
    tags = [OUTSIDE] * length
    for kind, start, stop in spans:
        tags[start:stop] = [f"B-{kind}", *[f"I-{kind}"] * (stop - start - 1)]
    return tags


def to_bioes(spans: Iterable[Span], length: int) -> list[str]:
    """BIOES tags: also E- on the last token, and S- on a span of one."""
    tags = [OUTSIDE] * length
    for kind, start, stop in spans:
        single = stop - start == 1
        tags[start:stop] = [f"S-{kind}"] if single else [f"B-{kind}", *[f"I-{kind}"] * (stop - start - 2), f"E-{kind}"]
    return tags


def may_follow(before: str, after: str) -> bool:
    """Whether BIOES tag `after` may come after `before`; "" stands for the sentence's start and end."""
    prefix, kind = split_tag(before) if before else (OUTSIDE, "")
    next_prefix, next_kind = split_tag(after) if after else (OUTSIDE, "")
    if prefix in ("B", "I"):
        return next_prefix in ("I", "E") and next_kind == kind
    return next_prefix in (OUTSIDE, "B", "S")
