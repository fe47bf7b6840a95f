"""Sentences and their entities as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from regard.data.sentence import Sentence
from regard.data.spans import OUTSIDE, Span, spans_of, to_bioes
from regard.models.options import EncoderOptions, WordOptions
from regard.tasks.reading import Reading


class EntityEncoder:
    """The reading of words, and the types of entities."""

    def __init__(self, reading: Reading, types: list[str]) -> None:
        self.reading, self.types = reading, types
        self.tags = [OUTSIDE, *(f"{prefix}-{kind}" for kind in types for prefix in "BIES")]
        self._tag_number = {tag: number for number, tag in enumerate(self.tags)}

    @classmethod
    def fit(cls, sentences: Sequence[Sentence], words: WordOptions, encoder: EncoderOptions) -> EntityEncoder:
        """Learn them."""
        types = {span.type for sentence in sentences for span in sentence.spans}
        return cls(Reading.fit([sentence.tokens for sentence in sentences], words, encoder), sorted(types))

    @classmethod
    def load(cls, kept: dict[str, Any]) -> EntityEncoder:
        """Again, from its `to_json`."""
        return cls(Reading.load(kept["reading"]), kept["types"])

    def to_json(self) -> dict[str, Any]:
        """All it knows, as plain values."""
        return {"reading": self.reading.to_json(), "types": self.types}

    def length(self, sentence: Sentence) -> int:
        """In tokens."""
        return max(1, len(sentence.tokens))

    def collate(self, sentences: list[Sentence]) -> dict[str, Tensor]:
        """Padded tensors; tags only where the sentences have them. One of no token is read as an unknown one."""
        batch = self.reading.collate([sentence.tokens or (" ",) for sentence in sentences])
        if all(sentence.tags is not None for sentence in sentences):
            tags = [torch.tensor(self._tags(sentence)) for sentence in sentences]
            batch["tags"] = pad_sequence(tags, batch_first=True)
        return batch

    def spans(self, tags: Sequence[int]) -> list[Span]:
        """The entities that tags, by number, mark."""
        return spans_of([self.tags[number] for number in tags])

    def places(self, tags: Sequence[int]) -> list[tuple[int, int]]:
        """First token and end of each."""
        return [(span.start, span.stop) for span in self.spans(tags)]

    def _tags(self, sentence: Sentence) -> list[int]:
        """A type that training never saw counts as outside."""
        known = [span for span in sentence.spans if span.type in self.types]
        return [self._tag_number[tag] for tag in to_bioes(known, len(sentence.tokens))]
