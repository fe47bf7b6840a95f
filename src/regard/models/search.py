"""Writing a sequence token by token: beam search, and the most probable next token."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from regard.models.options import SearchOptions
from regard.models.sampling import block_repetition


class Writing(ABC):
    """Sequences that are being written, one or more rows a sentence, and all that has to be remembered of them."""

    @abstractmethod
    def advance(self, tokens: Int[Tensor, "rows new"]) -> Float[Tensor, "rows vocabulary"]:
        """Write these behind each row; scores of the token that follows."""

    @abstractmethod
    def reorder(self, rows: Int[Tensor, " rows"]) -> None:
        """Put the rows in another order, with repeats or without some; those of a sentence stay side by side."""

    @abstractmethod
    def keep(self, sentences: Int[Tensor, " sentences"]) -> None:
        """Forget what is known of all other sentences; their rows are taken out by `reorder`."""


@dataclass(frozen=True)
class Start:
    """How each sentence begins, and how long it may become."""

    tokens: Int[Tensor, "sentences begun"]
    """What is written already, its sign of the start included."""
    max_lengths: Int[Tensor, " sentences"]
    """Of what is written behind that, its end included."""
    never: tuple[int, ...] = ()
    """Tokens that are not written: the others share all probability."""


class Hypothesis(NamedTuple):
    """What may be written, without its start and its end."""

    tokens: list[int]
    score: float
    """Its log-probability over ((5 + length) / 6)^penalty."""
    log_probability: float


def length_penalty(length: int, power: float) -> float:
    """Wu et al. 2016, arXiv:1609.08144, eq. 14."""
    return ((5 + length) / 6) ** power


BLOCK = 64
"""Columns that `largest` looks at together."""


def largest(x: Float[Tensor, "rows columns"], k: int) -> tuple[Float[Tensor, "rows k"], Int[Tensor, "rows k"]]:
    """`x.topk(k)`; on a CPU faster where k is small: the k largest lie in the k blocks whose largest are the largest."""
    whole = x.shape[1] // BLOCK * BLOCK
    if x.device.type != "cpu" or whole < 2 * k * BLOCK:
        return x.topk(k)
    blocks = x[:, :whole].unflatten(1, (-1, BLOCK)).amax(2).topk(k).indices
    columns = (blocks[:, :, None] * BLOCK + torch.arange(BLOCK)).flatten(1)
    columns = torch.cat([columns, torch.arange(whole, x.shape[1]).expand(len(x), -1)], 1)
    best, places = x.gather(1, columns).topk(k)
    return best, columns.gather(1, places)


def beam_search(writing: Writing, start: Start, end: int, options: SearchOptions) -> list[list[Hypothesis]]:
    """Of each sentence the best hypotheses found, as many as the beam is wide, best first.

    A sentence is done when so many hypotheses have ended while they were among the best; it then leaves the batch.
    """
    beams = _Beams(start, options)
    scores = writing.advance(start.tokens)
    writing.reorder(torch.arange(len(start.tokens), device=scores.device).repeat_interleave(options.beam))
    scores = scores.repeat_interleave(options.beam, 0)
    while True:
        parents, tokens = beams.step(scores, end)
        if not beams.numbers:
            return beams.sorted()
        if beams.kept is not None:
            writing.keep(beams.kept)
        writing.reorder(parents)
        scores = writing.advance(tokens)


class _Beams:
    """The hypotheses of all sentences that are not done."""

    def __init__(self, start: Start, options: SearchOptions) -> None:
        self.options, self.max_lengths, self.never = options, start.max_lengths.tolist(), list(start.never)
        self.numbers = list(range(len(start.tokens)))
        self.kept: Tensor | None = None
        """Which sentences of the last step go on, where any was done."""
        self.finished: list[list[Hypothesis]] = [[] for _ in self.numbers]
        self.begun = start.tokens.tolist()
        self.written: Tensor = start.tokens.new_zeros(len(self.numbers), options.beam, 0)
        # All beams of a sentence begin alike: but for the first they must not be counted.
        self.totals = torch.full((len(self.numbers), options.beam), -torch.inf, device=start.tokens.device)
        self.totals[:, 0] = 0

    def step(self, scores: Float[Tensor, "rows vocabulary"], end: int) -> tuple[Tensor, Tensor]:
        """The rows that live on and the token that each is continued with."""
        totals, parents, tokens = self._candidates(scores.float())
        is_end = tokens == end
        self._finish(totals, parents, is_end)
        # Twice as many candidates as beams: enough go on even where every beam could end.
        going = torch.argsort(is_end, dim=1, stable=True)[:, : self.options.beam]
        totals, parents, tokens = (one.gather(1, going) for one in (totals, parents, tokens))
        self.written = torch.cat([self._written_of(parents), tokens[:, :, None]], 2)
        self.totals = totals
        self._finish_the_longest()
        return self._without_done(parents, tokens)

    def _candidates(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Totals, beams and tokens of the best continuations of each sentence, twice as many as there are beams."""
        beam, width = self.options.beam, min(2 * self.options.beam, scores.shape[1])
        scores[:, self.never] = -torch.inf
        scores = scores.log_softmax(1)
        if self.options.repetition_block:  # what a blocked token takes away is not given to the others
            block_repetition(scores, self._rows(), self.options.repetition_block)
        best, tokens = largest(scores, width)
        totals = (self.totals.view(-1, 1) + best).view(-1, beam * width)
        totals, places = totals.topk(min(2 * beam, beam * width))
        return totals, places // width, tokens.view(-1, beam * width).gather(1, places)

    def _rows(self) -> list[list[int]]:
        beam = self.options.beam
        begun = [self.begun[number][1:] for number in self.numbers for _ in range(beam)]
        return [one + own for one, own in zip(begun, self.written.flatten(0, 1).tolist(), strict=True)]

    def _written_of(self, parents: Tensor) -> Tensor:
        return self.written.gather(1, parents[:, :, None].expand(-1, -1, self.written.shape[2]))

    def _finish(self, totals: Tensor, parents: Tensor, is_end: Tensor) -> None:
        is_hit = is_end[:, : self.options.beam] & totals[:, : self.options.beam].isfinite()
        for place, column in is_hit.nonzero().tolist():
            parent = int(parents[place, column])
            self._add(place, self.written[place, parent].tolist(), float(totals[place, column]), is_ended=True)

    def _finish_the_longest(self) -> None:
        """Those that may not go on are taken as they are."""
        length = self.written.shape[2]
        for place, number in enumerate(self.numbers):
            if length >= self.max_lengths[number]:
                for tokens, total in zip(self.written[place].tolist(), self.totals[place].tolist(), strict=True):
                    if total > -torch.inf:
                        self._add(place, tokens, total, is_ended=False)

    def _add(self, place: int, tokens: list[int], total: float, *, is_ended: bool) -> None:
        hypotheses = self.finished[self.numbers[place]]
        if len(hypotheses) < self.options.beam:
            score = total / length_penalty(len(tokens) + is_ended, self.options.length_penalty)
            hypotheses.append(Hypothesis(tokens, score, total))

    def _without_done(self, parents: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        beam, device = self.options.beam, parents.device
        going = [place for place, number in enumerate(self.numbers) if len(self.finished[number]) < beam]
        rows = parents + torch.arange(len(parents), device=device)[:, None] * beam
        self.kept = None
        if len(going) < len(self.numbers):
            self.kept = torch.tensor(going, dtype=torch.long, device=device)
            self.numbers = [self.numbers[place] for place in going]
            self.written, self.totals = self.written[self.kept], self.totals[self.kept]
            rows, tokens = rows[self.kept], tokens[self.kept]
        return rows.flatten(), tokens.reshape(-1, 1)

    def sorted(self) -> list[list[Hypothesis]]:
        """Of every sentence, best first."""
        return [sorted(one, key=lambda hypothesis: -hypothesis.score) for one in self.finished]


Choose = Callable[[Float[Tensor, "rows vocabulary"], list[list[int]], list[int]], Int[Tensor, " rows"]]
"""A next token for each row, from its scores, what was written of it, and which sentence it is."""


def greedy(writing: Writing, start: Start, end: int) -> list[list[int]]:
    """The most probable next token, step by step."""
    return step_by_step(writing, start, end, lambda scores, *_: scores.argmax(1))


def step_by_step(writing: Writing, start: Start, end: int, choose: Choose) -> list[list[int]]:
    """One answer to each sentence, token by token; a sentence that is done leaves the batch."""
    numbers, written = list(range(len(start.tokens))), [[] for _ in start.tokens]  # type: list[int], list[list[int]]
    limits, tokens = start.max_lengths.tolist(), start.tokens
    while numbers:
        scores = writing.advance(tokens)
        scores[:, list(start.never)] = -torch.inf
        chosen = choose(scores, [written[number] for number in numbers], numbers)
        going = []
        for place, token in enumerate(chosen.tolist()):
            own = written[numbers[place]]
            if token != end:
                own.append(token)
            if token != end and len(own) < limits[numbers[place]]:
                going.append(place)
        if len(going) < len(numbers):
            kept = torch.tensor(going, dtype=torch.long, device=chosen.device)
            writing.keep(kept)
            writing.reorder(kept)
            numbers, chosen = [numbers[place] for place in going], chosen[kept]
        tokens = chosen[:, None]
    return written
