"""Words read from the training data alone: by themselves, by their affixes, by their letters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, pad

from regard.models.model import Batch
from regard.models.options import WordOptions

PADDING, UNKNOWN = 0, 1


@dataclass(frozen=True)
class Sizes:
    """How many of each thing the data has. Words from `first_rare` on were seen only once."""

    words: int
    characters: int
    affixes: tuple[int, ...]
    first_rare: int


class CharacterReader(nn.Module):
    """A word from its letters: convolutions and a maximum over positions; Ma and Hovy 2016, arXiv:1603.01354.

    A convolution over embedded letters is a sum of one row a tap, from tables of what each letter adds at that tap: no letter
    is multiplied twice, and padding not at all.
    """

    def __init__(self, num_characters: int, width: int, d_embedding: int = 32) -> None:
        super().__init__()
        self.embed = nn.Embedding(num_characters, d_embedding, padding_idx=PADDING)
        self.convolve = nn.ModuleList(nn.Conv1d(d_embedding, width // 2, size, padding=size // 2) for size in (3, 5))

    def forward(self, letters: Int[Tensor, "words letters"]) -> Float[Tensor, "words width"]:
        words, place = _distinct(letters)  # each distinct word is read once
        embedded = self.embed(torch.arange(self.embed.num_embeddings, device=letters.device))
        layers = cast(Iterable[nn.Conv1d], self.convolve)
        read = [_largest(_convolve(layer.weight, embedded, words), words) + cast(Tensor, layer.bias) for layer in layers]
        return torch.cat(read, -1).relu()[place]


def _distinct(rows: Int[Tensor, "rows width"]) -> tuple[Int[Tensor, "distinct width"], Int[Tensor, " rows"]]:
    """Each different row once, and where each row went. Rows are told apart by sums with odd 64-bit weights."""
    weights = torch.randint(-(2**62), 2**62, rows.shape[1:], generator=torch.Generator().manual_seed(0)) | 1
    codes, place = (rows * weights.to(rows.device)).sum(1).unique(return_inverse=True)
    source = place.new_empty(len(codes)).scatter_(0, place, torch.arange(len(rows), device=rows.device))
    return rows[source], place


def _convolve(
    weight: Float[Tensor, "width features size"],
    embedded: Float[Tensor, "alphabet features"],
    words: Int[Tensor, "words letters"],
) -> Float[Tensor, "all_letters width"]:
    """At every letter of every word, one after another."""
    size, num_letters = weight.shape[2], len(embedded)
    table = embedded @ weight.permute(2, 1, 0)
    windows = pad(words, (size // 2, size // 2), value=PADDING).unfold(1, size, 1)[words != PADDING]
    return embedding_bag(windows + num_letters * torch.arange(size, device=words.device), table.flatten(0, 1), mode="sum")


def _largest(read: Float[Tensor, "all_letters width"], words: Int[Tensor, "words letters"]) -> Float[Tensor, "words width"]:
    """Of each feature, over the letters of a word; -inf for a word without letters."""
    return torch.segment_reduce(read, "max", lengths=(words != PADDING).sum(1))


class WordReader(nn.Module):
    """Each word as the joined embeddings of itself, of its affixes and shape, and of its characters."""

    def __init__(self, sizes: Sizes, options: WordOptions) -> None:
        super().__init__()
        self.first_rare, self.word_dropout = sizes.first_rare, options.word_dropout
        self.words = nn.Embedding(sizes.words, options.d_word, padding_idx=PADDING)
        nn.init.normal_(self.words.weight, std=options.d_word**-0.5)
        self.affixes = nn.ModuleList(nn.Embedding(n, options.d_affix, padding_idx=PADDING) for n in sizes.affixes)
        self.characters = CharacterReader(sizes.characters, options.d_character)
        self.width = options.d_word + options.d_affix * len(sizes.affixes) + options.d_character // 2 * 2

    def forward(self, batch: Batch, is_token: Bool[Tensor, "batch length"]) -> Float[Tensor, "batch length features"]:
        words = self._hide_some(batch["words"], is_token) if self.training else batch["words"]
        letters = batch["characters"].flatten(0, 1)
        read = self.characters(letters[is_token.flatten()])
        characters = read.new_zeros(len(letters), read.shape[1])
        characters[is_token.flatten()] = read
        affixes = [embed(batch["affixes"][:, :, i]) for i, embed in enumerate(self.affixes)]
        return torch.cat([self.words(words), *affixes, characters.unflatten(0, words.shape)], -1)

    def _hide_some(self, words: Tensor, is_token: Tensor) -> Tensor:
        """Words seen once are hidden half of the time: what is unknown at test looks like them."""
        chance = torch.rand(words.shape, device=words.device)
        is_hidden = (chance < self.word_dropout) | ((words >= self.first_rare) & (chance < 0.5))
        return torch.where(is_hidden & is_token, UNKNOWN, words)
