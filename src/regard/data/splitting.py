"""What is held out of training examples where there is no dev part."""

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
