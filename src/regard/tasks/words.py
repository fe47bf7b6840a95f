"""Words by vocabularies that are learnt from the training sentences."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from regard.data.vocabulary import PADDING, Vocabulary

MAX_LETTERS = 24
"""Letters of a word that are read; the rest of a longer one is left out."""
MAX_SPELLED = 2**16
"""Distinct words whose numbers are kept, about 20 MB."""


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


Made = TypeVar("Made")


class Remembered(dict[str, Made]):
    """What `make` makes of words, kept for when they come again; forgets all when it has kept enough."""

    def __init__(self, make: Callable[[str], Made]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, word: str) -> Made:
        if len(self) >= MAX_SPELLED:
            self.clear()
        self[word] = made = self.make(word)
        return made


class WordEncoder:
    """Vocabularies of words, letters and affixes. Words from `first_rare` on were seen only once."""

    def __init__(self, words: list[str], first_rare: int, letters: list[str], affixes: list[list[str]]) -> None:
        self.words, self.first_rare, self.letters = Vocabulary(words), first_rare, Vocabulary(letters)
        self.affixes = [Vocabulary(items) for items in affixes]
        self.spelled = Remembered(self._spell)

    @classmethod
    def fit(cls, sentences: Sequence[Sequence[str]]) -> WordEncoder:
        """Learn them of sentences, each its tokens."""
        tokens = [token for sentence in sentences for token in sentence]
        counts = Counter(map(normal_form, tokens))
        words = Vocabulary.counted(map(normal_form, tokens))
        return cls(
            words.items,
            2 + sum(counts[word] > 1 for word in words.items),
            Vocabulary.counted("".join(tokens)).items,
            [Vocabulary.counted(map(affix, tokens), min_count=2).items for affix in AFFIXES],
        )

    def to_json(self) -> dict[str, Any]:
        """All it knows: the arguments of the constructor."""
        return {
            "words": self.words.items,
            "first_rare": self.first_rare,
            "letters": self.letters.items,
            "affixes": [affix.items for affix in self.affixes],
        }

    def collate(self, sentences: Sequence[Sequence[str]]) -> dict[str, Tensor]:
        """Padded tensors."""
        lengths = [len(tokens) for tokens in sentences]
        packed = b"".join(self.spelled[word] for tokens in sentences for word in tokens)
        rows = torch.frombuffer(bytearray(packed), dtype=torch.int32).view(-1, 1 + len(AFFIXES) + MAX_LETTERS)
        numbers = pad_sequence(rows.split(lengths), batch_first=True).long()
        letters = numbers[:, :, 1 + len(AFFIXES) :]
        longest = max(1, int((rows[:, 1 + len(AFFIXES) :] != PADDING).any(0).sum()))
        return {
            "words": numbers[:, :, 0],
            "affixes": numbers[:, :, 1 : 1 + len(AFFIXES)],
            "characters": letters[:, :, :longest],
            "lengths": torch.tensor(lengths),
        }

    def _spell(self, word: str) -> bytes:
        """The numbers of a word, of its affixes and of its letters, as 32-bit integers."""
        affixes = [vocabulary[affix(word)] for vocabulary, affix in zip(self.affixes, AFFIXES, strict=True)]
        letters = [self.letters[letter] for letter in word[:MAX_LETTERS]]
        padding = [PADDING] * (MAX_LETTERS - len(letters))
        return array("i", [self.words[normal_form(word)], *affixes, *letters, *padding]).tobytes()
