"""Where tokens stand in the text that they were cut from, as JSON gives it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from regard.data.json_values import as_list, as_text, short
from regard.errors import InputError

Offsets = tuple[tuple[int, int], ...]
"""[start, stop) of each token in a text, in characters."""


def text_and_offsets(record: dict[str, Any], tokens: Sequence[str]) -> tuple[str | None, Offsets | None]:
    """`text` and `offsets` of a record; where it has no offsets, those that the tokens are found at."""
    if record.get("text") is None:
        return None, None
    text = as_text(record["text"], "text")
    if record.get("offsets") is None:
        return text, offsets_in(text, tokens)
    pairs = [tuple(as_list(pair, "an offset")) for pair in as_list(record["offsets"], "offsets")]
    return text, checked_offsets(pairs, len(tokens), len(text))


def checked_offsets(pairs: Sequence[tuple[Any, ...]], num_tokens: int, length: int) -> Offsets:
    """Places in order; words of one multiword token have the same."""
    before: tuple[Any, ...] = (0, 0)
    for pair in pairs:
        if len(pair) != 2 or not all(type(end) is int for end in pair) or not pair[0] < pair[1] <= length:
            raise InputError(f"a token's place must be [start, end], inside the text, got {short(pair)}.")
        if pair[0] < before[1] and pair != before:
            raise InputError(f"tokens must stand in the text in their order, got {short(pair)} behind {short(before)}.")
        before = pair
    if len(pairs) != num_tokens:
        raise InputError(f"offsets must be one a token, got {len(pairs)} for {num_tokens} tokens.")
    return tuple(pairs)


def offsets_in(text: str, tokens: Sequence[str]) -> Offsets | None:
    """Where each token stands when nothing but white space is between them; None where they do not stand so."""
    offsets, place = [], 0
    for token in tokens:
        while text[place : place + 1].isspace() and not text.startswith(token, place):
            place += 1
        if not text.startswith(token, place):
            return None
        offsets.append((place, place + len(token)))
        place += len(token)
    return None if text[place:].strip() else tuple(offsets)


def misplaced(tokens: Sequence[str], text: str | None, offsets: Offsets | None) -> list[str]:
    """What to tell where the text does not hold the tokens, or one of them is not what stands in its place.

    Words that share a place are parts of what stands there, and may be spelt otherwise.
    """
    if text is None:
        return []
    if offsets is None:
        return ["text does not hold the tokens in their order; read without their places."]
    num_words = Counter(offsets)
    own = ((token, place, text[slice(*place)]) for token, place in zip(tokens, offsets, strict=True) if num_words[place] == 1)
    wrong = [one for one in own if one[0].strip() != one[2].strip()]
    if not wrong:
        return []
    token, (start, stop), there = wrong[0]
    others = f", and so for {len(wrong) - 1} more of its tokens" if len(wrong) > 1 else ""
    return [
        f"the token {token!r} has the place [{start}, {stop}), where text has {there!r}{others}. "
        "See that offsets count characters from 0 and that end is the first behind the token."
    ]
