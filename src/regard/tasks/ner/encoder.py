"""Sentences as numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from regard.data.sentence import Sentence
from regard.data.spans import OUTSIDE, to_bioes
from regard.data.vocabulary import Vocabulary

MAX_LETTERS = 24
"""Letters of a word that are read; the rest of a longer one is left out."""


def normal_form(word: str) -> str:
    """Lower case, every digit a 0."""
    return "".join("0" if letter.isdigit() else letter for letter in word.lower())


def shape(word: str) -> str:
    """X for capitals, x for small letters, d for digits; a run longer than two is cut: McDonald's → XxXxx'x."""
    kept = ""
    for letter in word:
        kind = "X" if letter.isupper() else "x" if letter.islower() else "d" if letter.isdigit() else letter
        if not kept.endswith(kind * 2):
            kept += kind
    return kept[:10]


AFFIXES = (lambda word: normal_form(word)[:3], lambda word: normal_form(word)[-3:], shape)


class SentenceEncoder:
    """Vocabularies of words, letters, affixes and tags, learnt from the training sentences."""

    def __init__(self, words: list[str], first_rare: int, letters: list[str], affixes: list[list[str]], types: list[str]):
        self.words, self.first_rare, self.letters = Vocabulary(words), first_rare, Vocabulary(letters)
        self.affixes = [Vocabulary(items) for items in affixes]
        self.types = types
        self.tags = [OUTSIDE, *(f"{prefix}-{kind}" for kind in types for prefix in "BIES")]
        self._tag_number = {tag: number for number, tag in enumerate(self.tags)}

    @classmethod
    def fit(cls, sentences: Sequence[Sentence]) -> SentenceEncoder:
        """Learn them."""
        tokens = [token for sentence in sentences for token in sentence.tokens]
        counts = Counter(map(normal_form, tokens))
        words = Vocabulary.counted(map(normal_form, tokens))
        return cls(
            words.items,
            2 + sum(counts[word] > 1 for word in words.items),
            Vocabulary.counted("".join(tokens)).items,
            [Vocabulary.counted(map(affix, tokens), min_count=2).items for affix in AFFIXES],
            sorted({span.type for sentence in sentences for span in sentence.spans}),
        )

    def to_json(self) -> dict[str, Any]:
        """All it knows: the arguments of the constructor."""
        return {
            "words": self.words.items,
            "first_rare": self.first_rare,
            "letters": self.letters.items,
            "affixes": [affix.items for affix in self.affixes],
            "types": self.types,
        }

    def length(self, sentence: Sentence) -> int:
        """In tokens."""
        return len(sentence.tokens)

    def collate(self, sentences: list[Sentence]) -> dict[str, Tensor]:
        """Padded tensors; tags only where the sentences have them."""
        tokens = [sentence.tokens for sentence in sentences]
        batch = {
            "words": _padded([[self.words[normal_form(word)] for word in words] for words in tokens]),
            "affixes": _padded([[[v[f(w)] for v, f in zip(self.affixes, AFFIXES, strict=True)] for w in ws] for ws in tokens]),
            "characters": self._letters(tokens),
            "lengths": torch.tensor([len(words) for words in tokens]),
        }
        if all(sentence.tags is not None for sentence in sentences):
            batch["tags"] = _padded([self._tags(sentence) for sentence in sentences])
        return batch

    def _letters(self, tokens: list[tuple[str, ...]]) -> Tensor:
        longest = min(MAX_LETTERS, max(len(word) for words in tokens for word in words))
        width = max(longest, 1)
        rows = [
            [[self.letters[letter] for letter in word[:width]] + [0] * (width - len(word)) for word in words]
            for words in tokens
        ]
        return _padded(rows)

    def _tags(self, sentence: Sentence) -> list[int]:
        """A type that training never saw counts as outside."""
        known = [span for span in sentence.spans if span.type in self.types]
        return [self._tag_number[tag] for tag in to_bioes(known, len(sentence.tokens))]


def _padded(rows: list[Any]) -> Tensor:
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
