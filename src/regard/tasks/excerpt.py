"""Words of a sentence as a person reads them, and where they stand in its text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

LONG = 6
"""Words that are shown whole."""


def shortened(words: Sequence[str]) -> str:
    """The words; of many, the first and the last ones."""
    return " ".join(words if len(words) <= LONG else (*words[:3], "…", *words[-2:]))


def distinct(names: Sequence[str]) -> list[str]:
    """The names, those that come again with a number behind them."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found


def excerpt(sentence: Any, start: int, stop: int) -> dict[str, Any]:
    """The text of some tokens of a `Sentence` or `RoleSentence`; where they were cut from a text, with its characters there."""
    if sentence.text is None or sentence.offsets is None:
        return {"text": " ".join(sentence.tokens[start:stop])}
    first, last = sentence.offsets[start][0], sentence.offsets[stop - 1][1]
    return {"text": sentence.text[first:last], "start_character": first, "end_character": last}
