"""Parts of examples: what is held out of training where there is no dev part, and a few of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

HELD_OUT = 0.1


def held_out(examples: Sequence[Any], kinds: Sequence[str]) -> tuple[list[Any], list[Any]]:
    """The first tenth of each kind, one at least where there are two; and the rest."""
    counts = Counter(kinds)
    least = {kind: 1 if count > 1 or len(counts) == 1 else 0 for kind, count in counts.items()}
    left = {kind: max(least[kind], int(HELD_OUT * count)) for kind, count in counts.items()}
    parts: tuple[list[Any], list[Any]] = ([], [])
    for example, kind in zip(examples, kinds, strict=True):
        parts[0 if left[kind] > 0 else 1].append(example)
        left[kind] -= 1
    return parts


def evenly(examples: Sequence[Any], most: int) -> list[Any]:
    """So many at most, from all along: where examples are sorted by class, of every class."""
    number = min(len(examples), most)
    return [examples[place * len(examples) // number] for place in range(number)]
