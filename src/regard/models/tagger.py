"""A tag for each word: embeddings → recurrent layer → attention → CRF."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from regard.attention.masks import padding
from regard.attention.multihead import MultiHeadAttention
from regard.models.blocks import BidirectionalLSTM, LockedDropout, positions_before
from regard.models.crf import LinearChainCRF
from regard.models.model import Batch, Model
from regard.models.options import TaggerOptions

PADDING, UNKNOWN = 0, 1


@dataclass(frozen=True)
class Sizes:
    """How many of each thing the data has. Words from `first_rare` on were seen only once."""

    words: int
    characters: int
    affixes: tuple[int, ...]
    first_rare: int


class CharacterReader(nn.Module):
    """A word from its letters: convolutions and a maximum over positions; Ma and Hovy 2016, arXiv:1603.01354."""

    def __init__(self, num_characters: int, width: int, d_embedding: int = 32) -> None:
        super().__init__()
        self.embed = nn.Embedding(num_characters, d_embedding, padding_idx=PADDING)
        self.convolve = nn.ModuleList(nn.Conv1d(d_embedding, width // 2, size, padding=size // 2) for size in (3, 5))

    def forward(self, letters: Int[Tensor, "words letters"]) -> Float[Tensor, "words width"]:
        words, place = letters.unique(dim=0, return_inverse=True)  # each distinct word is read once
        x = self.embed(words).transpose(1, 2)
        is_padding = (words == PADDING)[:, None]
        read = [layer(x).masked_fill(is_padding, float("-inf")).amax(-1) for layer in self.convolve]
        return torch.cat(read, -1).relu()[place]


class WordReader(nn.Module):
    """Each word as the joined embeddings of itself, of its affixes and shape, and of its characters."""

    def __init__(self, sizes: Sizes, options: TaggerOptions) -> None:
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


class Tagger(Model):
    """Lample et al. 2016, arXiv:1603.01360, with self-attention between the recurrent layer and the CRF."""

    def __init__(self, sizes: Sizes, options: TaggerOptions, crf: LinearChainCRF) -> None:
        super().__init__()
        d_model = 2 * options.d_recurrent
        self.read = WordReader(sizes, options)
        self.dropout = LockedDropout(options.dropout)
        self.recurrent = BidirectionalLSTM(self.read.width, options.d_recurrent, options.num_layers)
        self.attention = None
        if options.mechanism != "none":
            self.attention = MultiHeadAttention(d_model, options.num_heads, mechanism=options.mechanism)
            self.norm = nn.LayerNorm(d_model)
        self.emit = nn.Linear(d_model, len(crf.first))
        self.crf = crf

    def forward(self, batch: Batch) -> Float[Tensor, "batch length tags"]:
        """Scores of each tag at each word, before the CRF joins them."""
        lengths = batch["lengths"]
        x = self.dropout(self.read(batch, positions_before(lengths, batch["words"].shape[1])))
        x = self.dropout(self.recurrent(x, lengths))
        if self.attention is not None:
            x = self.norm(x + self.attention(x, mask=padding(lengths, lengths)))
        return self.emit(x)

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """−log p(tags | words), nats a sentence."""
        is_token = positions_before(batch["lengths"], batch["words"].shape[1])
        return self.crf.loss(self(batch), batch["tags"], is_token)

    def predict(self, batch: Batch) -> list[list[int]]:
        """The best permitted tags of each sentence."""
        is_token = positions_before(batch["lengths"], batch["words"].shape[1])
        best = self.crf.decode(self(batch), is_token).tolist()
        return [tags[:length] for tags, length in zip(best, batch["lengths"].tolist(), strict=True)]
