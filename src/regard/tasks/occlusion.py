"""What a decision rests on: how far its probability falls when a word is hidden. Of any model that reads through `Reading`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.data.vocabulary import PADDING, UNKNOWN
from regard.models.model import Batch
from regard.tasks.folder import Run
from regard.tasks.reading import Reading

MOST_WORDS = 400
"""Of a sentence whose words are hidden one by one: the work grows with their square."""
LEAST_FALL = 0.005
"""Of a probability that is told; less is the same to a person."""
MOST_NAMED = 3

Score = Callable[[Batch], Float[Tensor, "copies decisions"]]
"""Of copies of a sentence: how probable each decision is in each of them."""


class Decision(NamedTuple):
    """Something that a model decided about a sentence."""

    name: str
    probability: float
    falls: Float[Tensor, " words"]
    """By how much it falls when each word is hidden; below 0 where it rises."""

    @property
    def shares(self) -> Float[Tensor, " words"]:
        """Of all falls that of each word, rises left out; 0 for all where no word matters."""
        falls = self.falls.clamp(min=0)
        return falls / falls.sum() if float(falls.max()) >= LEAST_FALL else torch.zeros_like(falls)

    def in_words(self, tokens: Sequence[str]) -> str:
        """Its probability, and the words without which it falls most, in points of per cent."""
        first = self.falls.argsort(descending=True, stable=True)[:MOST_NAMED].tolist()
        named = [f"{tokens[word]} −{100 * float(self.falls[word]):.0f}" for word in first if self.falls[word] >= LEAST_FALL]
        rests = f"without {', '.join(named)} points" if named else "no word lowers it by half a point"
        share = f"{100 * self.probability:.0f}" if self.probability >= LEAST_FALL else "<1"
        return f"{share} %; {rests}"


@torch.no_grad()
def decisions_of(run: Run, sentence: Any, names: Sequence[str], score: Score) -> list[Decision]:
    """Each with what it rests on: the sentence is read once for each word without it, and once whole."""
    run.model.eval()
    number = len(sentence.tokens)
    if not names or number > MOST_WORDS:
        return []
    kept = torch.cat([torch.ones(1, number, dtype=torch.bool), ~torch.eye(number, dtype=torch.bool)])
    parts = kept.split(max(1, run.task.at_once // number))
    found = torch.cat([score(without(run, sentence, part)).double().cpu() for part in parts])
    return [Decision(name, float(p[0]), p[0] - p[1:]) for name, p in zip(names, found.T, strict=True)]


def without(run: Run, sentence: Any, kept: Bool[Tensor, "masks words"]) -> Batch:
    """The sentence, once for each mask. A word that is not kept becomes the unknown word without letters.

    Its vector is 0, and for a pretrained encoder its pieces are one mask token, or the unknown one where there is no mask.
    """
    encoder: Any = run.encoder
    hidden, device = _hidden_word(encoder.reading), next(run.model.parameters()).device
    copies = [
        tuple(word if stays else hidden for word, stays in zip(sentence.tokens, row, strict=True)) for row in kept.tolist()
    ]
    batch = encoder.collate([replace(sentence, tokens=tokens) for tokens in copies])
    batch["words"] = batch["words"].where(kept, UNKNOWN)
    batch["affixes"] = batch["affixes"].where(kept[..., None], UNKNOWN)
    batch["characters"] = batch["characters"].where(kept[..., None], PADDING)
    if "vectors" in batch:
        batch["vectors"] = batch["vectors"].where(kept, UNKNOWN)
    return {name: x.to(device) for name, x in batch.items()}


def _hidden_word(reading: Reading) -> str:
    """How a word that is hidden is spelled for a tokenizer, which tells its special tokens by their spelling."""
    known = [] if reading.pieces is None else reading.pieces.tokenizer.get_added_tokens_decoder().values()
    special = [token.content for token in known if token.special]
    named = (token for kind in ("mask", "unk") for token in special if kind in token.lower())
    return next(named, "\N{REPLACEMENT CHARACTER}")
