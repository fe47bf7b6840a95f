"""One sequence into another: what all translators share."""

from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from regard.models.cross_entropy import cross_entropy_of
from regard.models.model import Batch, Model
from regard.models.options import SamplingOptions, SearchOptions
from regard.models.sampling import block_repetition, draw
from regard.models.search import Hypothesis, Start, Writing, beam_search, greedy, step_by_step
from regard.models.transformer import embedding

ROOM = 10
"""Tokens that an answer may have beyond `SearchOptions.max_ratio` times its source."""

Write = Callable[[Batch, Start], list[list[Hypothesis]]]


class Signs(NamedTuple):
    """Tokens that are no text."""

    padding: int = 0
    unknown: int = 1
    start: int = 2
    end: int = 3


@dataclass(frozen=True)
class Sizes:
    """How many tokens each side knows; whether they are the same and share one table of embeddings."""

    source: int
    target: int
    is_shared: bool
    max_tokens: int = 0
    """Of a text that is read or learnt from."""


class Translator(Model):
    """A batch has `source` with `lengths`, `begun`, what each answer begins with, and where answers are known, `inputs` and
    `outputs`: the same, one step apart.
    """

    signs = Signs()
    looks = ""
    """Which of its layers look at its source, as `watch` takes names; none where it has no attention."""
    is_stepwise = False
    """Does it look once for each token, and not once for all of a known answer?"""

    def __init__(self, sizes: Sizes, d_embedding: int, label_smoothing: float, search: SearchOptions) -> None:
        super().__init__()
        self.label_smoothing, self.search = label_smoothing, search
        self.sampling = SamplingOptions(temperature=0.0)
        """Above temperature 0, tokens are drawn instead of searched for."""
        self.target = embedding(sizes.target, d_embedding, self.signs.padding)
        self.own_source = None if sizes.is_shared else embedding(sizes.source, d_embedding, self.signs.padding)
        self.bias = nn.Parameter(torch.zeros(sizes.target))

    @property
    def source(self) -> nn.Embedding:
        """Of the tokens that are read."""
        return self.target if self.own_source is None else self.own_source

    @property
    def max_length(self) -> int | None:
        """Tokens that can stand before another, of what is written; None where there is no end."""
        return None

    @abstractmethod
    def states(self, batch: Batch) -> Float[Tensor, "batch length d_embedding"]:
        """Of what was written up to each of `batch["inputs"]`."""

    def scores(self, states: Float[Tensor, "*places d_embedding"]) -> Float[Tensor, "*places vocabulary"]:
        """Of the token that follows: how near a state is to each embedding; Press and Wolf 2017, arXiv:1608.05859."""
        return linear(states, self.target.weight, self.bias)

    @abstractmethod
    def begin(self, batch: Batch) -> Writing:
        """Read the sources; nothing is written yet."""

    def forward(self, batch: Batch) -> Float[Tensor, "batch length vocabulary"]:
        """Scores of each next token of a known answer."""
        return self.scores(self.states(batch))

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Cross-entropy in nats a token, against smoothed labels; Szegedy et al. 2016, arXiv:1512.00567, section 7."""
        outputs = batch["outputs"].flatten()
        tokens = (outputs != self.signs.padding).nonzero().squeeze(1)
        states, targets = self.states(batch).flatten(0, 1).index_select(0, tokens), outputs.index_select(0, tokens)
        return cross_entropy_of(states, self.target.weight, self.bias, targets, self.label_smoothing)

    @torch.no_grad()
    def estimate(self, batch: Batch) -> list[list[Hypothesis]]:
        """The most probable token at each step."""
        return self._written(batch, lambda part, start: _alone(greedy(self.begin(part), start, self.signs.end)))

    @torch.no_grad()
    def predict(self, batch: Batch) -> list[list[Hypothesis]]:
        """The best of a beam search, best first; or one that is drawn."""
        return self._drawn(batch, 1) if self.sampling.temperature else self._searched(batch, self.search)

    @torch.no_grad()
    def rank(self, batch: Batch, num_best: int) -> list[list[Hypothesis]]:
        """So many, best first; the beam is as wide at least. Or as many that are drawn, in the order they came."""
        if self.sampling.temperature:
            return self._drawn(batch, num_best)
        wide = replace(self.search, beam=max(num_best, self.search.beam))
        return [found[:num_best] for found in self._searched(batch, wide)]

    def _drawn(self, batch: Batch, number: int) -> list[list[Hypothesis]]:
        """Answers whose tokens are drawn. Another seed, other answers; another batch, the same."""

        def write(part: Batch, start: Start, time: int) -> list[list[Hypothesis]]:
            rows = zip(part["source"].tolist(), part["lengths"].tolist(), strict=True)
            seeds = [zlib.crc32(repr((row[:length], time, self.sampling.seed)).encode()) for row, length in rows]
            drawing = _Drawing(self.sampling, self.search.repetition_block, start, seeds)
            return _alone(step_by_step(self.begin(part), start, self.signs.end, drawing))

        times = [self._written(batch, partial(write, time=time)) for time in range(number)]
        return [[one for drawn in own for one in drawn] for own in zip(*times, strict=True)]

    def _searched(self, batch: Batch, options: SearchOptions) -> list[list[Hypothesis]]:
        return self._written(batch, lambda part, start: beam_search(self.begin(part), start, self.signs.end, options))

    def _written(self, batch: Batch, write: Write) -> list[list[Hypothesis]]:
        """Those that begin with as many tokens are written together."""
        begun = (batch["begun"] != self.signs.padding).sum(1)
        found: list[list[Hypothesis]] = [[] for _ in begun]
        for length in begun.unique().tolist():
            rows = (begun == length).nonzero().squeeze(1)
            part = {"source": batch["source"][rows], "lengths": batch["lengths"][rows]}
            limits = (part["lengths"] * self.search.max_ratio).long() + ROOM
            if self.max_length is not None:
                limits = limits.clamp(max=self.max_length + 1 - length)
            signs = self.signs.padding, self.signs.unknown, self.signs.start  # no text
            start = Start(batch["begun"][rows, :length], limits, signs)
            for row, one in zip(rows.tolist(), write(part, start), strict=True):
                found[row] = one
        return found


class _Drawing:
    """Draws each row's tokens by a generator of its own."""

    def __init__(self, options: SamplingOptions, block: int, start: Start, seeds: list[int]) -> None:
        self.options, self.block, self.begun = options, block, start.tokens[:, 1:].tolist()
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, scores: Tensor, written: list[list[int]], numbers: list[int]) -> Tensor:
        scores = scores.float().cpu()
        texts = [self.begun[number] + own for number, own in zip(numbers, written, strict=True)]
        if self.block:
            block_repetition(scores, texts, self.block)
        each = zip(scores.split(1), texts, numbers, strict=True)
        return torch.cat([draw(row, [own], self.options, self.generators[number]) for row, own, number in each])


def _alone(written: list[list[int]]) -> list[list[Hypothesis]]:
    """Answers that nothing is known of but their tokens."""
    return [[Hypothesis(tokens, 0.0, 0.0)] for tokens in written]
