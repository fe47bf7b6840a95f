"""A number of bytes, and the best of each part of a picture that fits into it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

BEST_DEFLATION = 8
"""How many times smaller than its numbers a part may come out: what is larger still is not tried."""


@dataclass(frozen=True)
class Choice:
    """One way to keep a part."""

    num_bytes: int
    """Of its numbers before they are deflated."""
    pack: Callable[[], Any]
    lost: str = ""
    """What a reader should know of it, when it is not the best."""


@dataclass
class Room:
    """Bytes that are left, and what was lost by keeping to them."""

    left: float
    lost: list[str] = field(default_factory=list)

    def best(self, share: float, choices: Sequence[Choice]) -> Any:
        """The first choice that fits into a share of what is left, or else the last, in plain values."""
        most, (*others, last) = share * self.left, choices
        for choice in others:
            if choice.num_bytes <= BEST_DEFLATION * most:
                packed = choice.pack()
                if size_of(packed) <= most:
                    return self._take(choice, packed)
        return self._take(last, last.pack())

    def _take(self, choice: Choice, packed: Any) -> Any:
        self.left -= size_of(packed)
        if choice.lost:
            self.lost.append(choice.lost)
        return packed


def size_of(packed: Any) -> int:
    """Bytes of plain values in the page."""
    return len(to_text(packed).encode())


def to_text(packed: Any) -> str:
    """Plain values as JSON that may stand inside a script element; what is no character, as of a file's odd name, is a "?"."""
    text = json.dumps(packed, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf8", "replace").decode("utf8").replace("<", "\\u003c")
