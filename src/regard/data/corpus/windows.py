"""A corpus as windows of tokens: what a model reads at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

from regard.data.corpus.tokens import TokenFile


class Window(NamedTuple):
    """Tokens to be predicted, from `start` to `stop`; token 0 stands behind the corpus's first sign."""

    text: TokenFile
    start: int
    stop: int
    is_free: bool = False
    """May it be moved a little? So training sees other borders each time."""


@dataclass(frozen=True)
class Windows(Sequence[Window]):
    """A corpus cut into windows of `context` tokens, each token in one of them."""

    text: TokenFile
    context: int
    is_free: bool = False

    def __len__(self) -> int:
        return math.ceil(self.text.num_tokens / self.context)

    @overload
    def __getitem__(self, place: int) -> Window: ...
    @overload
    def __getitem__(self, place: slice) -> list[Window]: ...
    def __getitem__(self, place: int | slice) -> Window | list[Window]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        start = range(len(self))[place] * self.context
        stop = min(start + self.context, self.text.num_tokens)
        if self.is_free:  # all of one length
            start = max(0, stop - self.context)
        return Window(self.text, start, stop, self.is_free)
