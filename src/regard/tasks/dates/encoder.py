"""Written dates as numbers: letters on one side, the eleven signs of ISO 8601 on the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from regard.data.dates import WrittenDate
from regard.data.vocabulary import Vocabulary

SIGNS = "0123456789-"
START = len(SIGNS) + 1
ISO_LENGTH = 10
MAX_LETTERS = 200
"""Letters of a text that are read; the rest of a longer one is left out."""


class DateEncoder:
    """The letters that occur in written dates; signs are numbered from 1, START stands before the first."""

    num_targets = len(SIGNS) + 2

    def __init__(self, letters: list[str]) -> None:
        self.letters = Vocabulary(letters)

    @classmethod
    def fit(cls, dates: Sequence[WrittenDate]) -> DateEncoder:
        """Learn the letters."""
        return cls(Vocabulary.counted("".join(date.text for date in dates)).items)

    def to_json(self) -> dict[str, Any]:
        """All it knows."""
        return {"letters": self.letters.items}

    def length(self, date: WrittenDate) -> int:
        """In letters."""
        return min(len(date.text), MAX_LETTERS)

    def collate(self, dates: list[WrittenDate]) -> dict[str, Tensor]:
        """Padded letters, and for known dates what the decoder is given and should answer."""
        rows = [torch.tensor([self.letters[letter] for letter in date.text[:MAX_LETTERS]]) for date in dates]
        batch = {
            "source": pad_sequence(rows, batch_first=True),
            "lengths": torch.tensor([len(row) for row in rows]),
            "inputs": torch.full((len(dates), 1), START),
        }
        if all(date.iso is not None for date in dates):
            outputs = torch.tensor([[SIGNS.index(sign) + 1 for sign in date.iso or ""] for date in dates])
            batch["outputs"] = outputs
            batch["inputs"] = torch.cat([batch["inputs"], outputs[:, :-1]], 1)
        return batch

    def spell(self, numbers: list[int]) -> str:
        """The signs that the model wrote; ? where it wrote none."""
        return "".join(SIGNS[number - 1] if 1 <= number <= len(SIGNS) else "?" for number in numbers)
