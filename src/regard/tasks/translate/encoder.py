"""Pairs of texts as numbers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from regard.data.pairs import Pair
from regard.models.options import PairOptions
from regard.tasks.subwords import END, START, Tokens, fit_tokens, load_tokens, remark_on_unknown

REMEMBERED, REMEMBERED_LENGTH = 2**19, 2000
"""Texts whose tokens are kept, so that each is cut once and not in every pass; and the letters of one at most."""


class PairEncoder:
    """The tokens of both languages: the same ones, or each its own."""

    def __init__(self, source: Tokens, target: Tokens, max_tokens: int) -> None:
        self.source, self.target, self.max_tokens = source, target, max_tokens
        self._remembered = lru_cache(REMEMBERED)(self._encoded)
        self.told: set[str] = set()

    @classmethod
    def fit(cls, pairs: Sequence[Pair], options: PairOptions) -> PairEncoder:
        """Learn them."""
        sources, targets = [pair.source for pair in pairs], [pair.target or "" for pair in pairs]
        if options.is_joint:
            tokens = fit_tokens([*sources, *targets], options.tokens, options.vocabulary)
            return cls(tokens, tokens, options.max_tokens)
        source, target = (fit_tokens(texts, options.tokens, options.vocabulary) for texts in (sources, targets))
        return cls(source, target, options.max_tokens)

    @classmethod
    def load(cls, kept: dict[str, Any]) -> PairEncoder:
        """Again, from its `to_json`."""
        source = load_tokens(kept["source"])
        return cls(source, load_tokens(kept["target"]) if kept["target"] else source, kept["max_tokens"])

    def to_json(self) -> dict[str, Any]:
        """All it knows, as plain values."""
        target = None if self.is_joint else self.target.to_json()
        return {"source": self.source.to_json(), "target": target, "max_tokens": self.max_tokens}

    @property
    def is_joint(self) -> bool:
        """Have both languages the same tokens?"""
        return self.source is self.target

    def length(self, pair: Pair) -> int:
        """In tokens of both sides."""
        return len(self.source_tokens(pair.source)) + len(self.target_tokens(pair.target or ""))

    def is_shortened(self, pair: Pair) -> bool:
        """Is its source too long to be read whole?"""
        return len(self._cut(pair.source, True)) >= self.max_tokens

    def warn(self, pair: Pair) -> None:
        """Of each way in which a text is not taken as it stands, the first time."""
        where = f"line {pair.line}" if pair.line else "a text"
        if self.is_shortened(pair):
            self._tell("length", f"{where} has more than {self.max_tokens - 1} tokens: the rest is left out.")
        if pair.prefix and len(self._cut(pair.prefix, False)) >= self.max_tokens:
            self._tell("prefix", f"{where} begins with more than {self.max_tokens - 1} tokens: the rest is left out.")
        for side, text in ((self.source, pair.source), (self.target, pair.prefix)):
            if remark := remark_on_unknown(side, text):
                self._tell("unknown", f"{where}: {remark}")

    def _tell(self, kind: str, message: str) -> None:
        if kind not in self.told:
            self.told.add(kind)
            print(f"warning: {message}", file=sys.stderr)

    def source_tokens(self, text: str) -> list[int]:
        """As many as are read, and the sign of the end."""
        return [*self._cut(text, True)[: self.max_tokens - 1], END]

    def target_tokens(self, text: str) -> list[int]:
        """As many as are learnt from, and the sign of the end."""
        return [*self._cut(text, False)[: self.max_tokens - 1], END]

    def begun(self, pair: Pair) -> list[int]:
        """What its translation begins with, as far as it is taken."""
        return [START, *(self._cut(pair.prefix, False)[: self.max_tokens - 1] if pair.prefix else ())]

    def collate(self, pairs: list[Pair]) -> dict[str, Tensor]:
        """Padded tensors; `inputs` and `outputs` only where all translations are known."""
        sources = [torch.tensor(self.source_tokens(pair.source)) for pair in pairs]
        batch = {
            "source": pad_sequence(sources, batch_first=True),
            "lengths": torch.tensor([len(source) for source in sources]),
            "begun": pad_sequence([torch.tensor(self.begun(pair)) for pair in pairs], batch_first=True),
        }
        if all(pair.target is not None for pair in pairs):
            outputs = [torch.tensor(self.target_tokens(pair.target or "")) for pair in pairs]
            batch["outputs"] = pad_sequence(outputs, batch_first=True)
            batch["inputs"] = torch.nn.functional.pad(batch["outputs"], (1, -1), value=START)
        return batch

    def _cut(self, text: str, is_source: bool) -> list[int]:
        """Its tokens, as many as could be read."""
        return (self._remembered if len(text) <= REMEMBERED_LENGTH else self._encoded)(text, is_source)

    def _encoded(self, text: str, is_source: bool) -> list[int]:
        return (self.source if is_source else self.target).encode([text])[0][: self.max_tokens]
