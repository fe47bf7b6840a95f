"""A tag for each word: reading → recurrent layer → attention → CRF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from regard.attention.masks import padding
from regard.attention.multihead import MultiHeadAttention
from regard.models.blocks import Bidirectional, LockedDropout, positions_before
from regard.models.crf import LinearChainCRF
from regard.models.model import Batch, Model, Reader
from regard.models.options import TaggerOptions

SpansOf = Callable[[Sequence[int]], list[tuple[int, int]]]


OUTSIDE = 0
"""The tag of a word in no span."""


class Ranked(NamedTuple):
    """The readings of one sentence."""

    tags: list[list[int]]
    """Of each reading, the most probable first."""
    probabilities: list[float]
    spans: list[float]
    """Of each span of the first reading, by `Tagger.spans_of`: how probable it is, whatever stands around it."""


class Tagger(Model):
    """Lample et al. 2016, arXiv:1603.01360, with self-attention between the recurrent layer and the CRF.

    `spans_of` finds (start, stop) of the spans that tags mark.
    """

    def __init__(self, read: Reader, options: TaggerOptions, crf: LinearChainCRF, spans_of: SpansOf) -> None:
        super().__init__()
        d_model = 2 * options.d_recurrent
        self.read, self.spans_of = read, spans_of
        self.dropout = LockedDropout(options.dropout)
        self.recurrent = Bidirectional(read.width, options.d_recurrent, options.num_layers)
        self.attention = None
        if options.mechanism != "none":
            self.attention = MultiHeadAttention(d_model, options.num_heads, mechanism=options.mechanism)
            self.norm = nn.LayerNorm(d_model)
        self.emit = nn.Linear(d_model, len(crf.first))
        self.crf = crf

    def forward(self, batch: Batch) -> Float[Tensor, "batch length tags"]:
        """Scores of each tag at each word, before the CRF joins them."""
        lengths = batch["lengths"]
        x = self.dropout(self.recurrent(self.dropout(self.read(batch)), lengths))
        if self.attention is not None:
            x = self.norm(x + self.attention(x, mask=padding(lengths, lengths)))
        return self.emit(x)

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """−log p(tags | words), nats a sentence."""
        return self.crf.loss(self(batch), batch["tags"], _is_token(batch))

    def predict(self, batch: Batch) -> list[list[int]]:
        """The best permitted tags of each sentence."""
        return self._decoded(self(batch), batch)

    def shifted(self, batch: Batch, shifts: Sequence[float]) -> list[tuple[list[int], ...]]:
        """The best tags of each sentence where so many nats are taken off every score of `OUTSIDE`, for each of `shifts`."""
        emissions = self(batch)
        is_outside = torch.arange(emissions.shape[2], device=emissions.device) == OUTSIDE
        return list(zip(*(self._decoded(emissions - shift * is_outside, batch) for shift in shifts), strict=True))

    @torch.no_grad()
    def take_off(self, nats: float) -> None:
        """Of every score of `OUTSIDE`, for good: more words are in spans then, and fewer where it is negative."""
        self.emit.bias[OUTSIDE] -= nats

    def rank(self, batch: Batch, num_best: int) -> list[Ranked]:
        """The most probable readings of each sentence, as many as are possible, and how sure the spans of the first are."""
        emissions, is_token = self(batch), _is_token(batch)
        tags, log_probabilities = self.crf.n_best(emissions, is_token, num_best)
        found = []
        for row, length in enumerate(batch["lengths"].tolist()):
            is_possible = log_probabilities[row].isfinite()
            readings = tags[row, is_possible, :length].tolist()
            spans = self._span_probabilities(emissions[row : row + 1], is_token[row : row + 1], readings[0])
            found.append(Ranked(readings, log_probabilities[row, is_possible].exp().tolist(), spans))
        return found

    def _decoded(self, emissions: Tensor, batch: Batch) -> list[list[int]]:
        best = self.crf.decode(emissions, _is_token(batch)).tolist()
        return [tags[:length] for tags, length in zip(best, batch["lengths"].tolist(), strict=True)]

    def _span_probabilities(self, emissions: Tensor, is_token: Tensor, tags: list[int]) -> list[float]:
        spans = self.spans_of(tags)
        if not spans:
            return []
        wanted = pad_sequence([torch.tensor(tags[start:stop]) for start, stop in spans], batch_first=True, padding_value=-1)
        start = torch.tensor([start for start, _ in spans])
        given = (one.to(emissions.device) for one in (torch.zeros_like(start), start, wanted))
        return self.crf.span_probability(emissions, is_token, *given).tolist()


def _is_token(batch: Batch) -> Bool[Tensor, "batch length"]:
    return positions_before(batch["lengths"], batch["words"].shape[1])
