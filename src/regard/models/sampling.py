"""Drawing the next token: what may be drawn, and how likely."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from regard.models.options import SamplingOptions


def draw(
    scores: Float[Tensor, "rows vocabulary"],
    written: Sequence[Sequence[int]],
    options: SamplingOptions,
    generator: torch.Generator | None = None,
) -> Int[Tensor, " rows"]:
    """A next token for each row of `scores`, behind what was `written`; the most probable one at temperature 0."""
    scores = scores.float()
    if options.repetition_penalty != 1:
        scores = _penalised(scores, written, options.repetition_penalty)
    if options.temperature == 0:
        return scores.argmax(1)
    shares = narrowed(scores / options.temperature, options).softmax(1)
    return torch.multinomial(shares, 1, generator=generator).squeeze(1)


def narrowed(scores: Float[Tensor, "rows vocabulary"], options: SamplingOptions) -> Float[Tensor, "rows vocabulary"]:
    """The scores, −inf where top-k, top-p (Holtzman et al. 2020, arXiv:1904.09751) or min-p (arXiv:2407.01082) forbid a token.

    The most probable token is never forbidden.
    """
    if 0 < options.top_k < scores.shape[1]:
        least = scores.topk(options.top_k, 1).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if options.top_p < 1:
        ordered, places = scores.sort(1, descending=True)
        shares = ordered.softmax(1)
        is_out = shares.cumsum(1) - shares >= options.top_p
        scores = scores.masked_fill(torch.zeros_like(is_out).scatter(1, places, is_out), -torch.inf)
    if options.min_p > 0:
        shares = scores.softmax(1)
        scores = scores.masked_fill(shares < options.min_p * shares.amax(1, keepdim=True), -torch.inf)
    return scores


def _penalised(scores: Tensor, written: Sequence[Sequence[int]], penalty: float) -> Tensor:
    """Scores of tokens that were written divided by the penalty, or multiplied where below 0; Keskar et al. 2019, sec. 4.1."""
    scores = scores.clone()
    for row, tokens in enumerate(written):
        used = torch.tensor(sorted(set(tokens)), dtype=torch.long, device=scores.device)
        own = scores[row, used]
        scores[row, used] = torch.where(own > 0, own / penalty, own * penalty)
    return scores


def block_repetition(scores: Float[Tensor, "rows vocabulary"], written: Sequence[Sequence[int]], size: int) -> None:
    """Put −inf where a token would make a run of `size` tokens that is in its row already; Paulus et al. 2017, sec. 2.5."""
    for row, tokens in enumerate(written):
        last = tuple(tokens[len(tokens) - size + 1 :]) if size > 1 else ()
        if len(tokens) + 1 < size:
            continue
        starts = range(len(tokens) - size + 1)
        repeated = [tokens[at + size - 1] for at in starts if tuple(tokens[at : at + size - 1]) == last]
        scores[row, repeated] = -torch.inf
