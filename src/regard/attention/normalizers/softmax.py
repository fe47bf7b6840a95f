"""The softmax and its two forms that may attend to nothing."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from regard.attention.normalizers.normalizer import Normalizer


class Softmax(Normalizer):
    """exp(score) / Σ exp(score) over the permitted keys of a row."""

    def sinks(self, num_heads: int) -> Float[Tensor, " heads"] | None:
        """Logits that take part in the sum of each head but have no value; None if there is none."""
        return None

    def forward(
        self, scores: Float[Tensor, "batch heads rows keys"], allowed: Bool[Tensor, "#batch #heads rows keys"]
    ) -> Float[Tensor, "batch heads rows keys"]:
        if scores.shape[-1] == 0:  # a maximum over no keys does not exist
            return scores
        least, sinks = torch.finfo(scores.dtype).min, self.sinks(scores.shape[1])
        scores = scores.masked_fill(~allowed, least).clamp(min=least)
        if sinks is None:
            return scores.softmax(-1) * (scores > least).any(-1, keepdim=True)
        peak = scores.detach().amax(-1, keepdim=True)
        sinks = sinks.to(scores).view(-1, 1, 1)
        peak = peak.maximum(sinks.detach())
        mass = (scores - peak).exp() * (scores > least)
        return mass / (mass.sum(-1, keepdim=True) + (sinks - peak).exp())


class OffByOne(Softmax):
    """exp(score) / (1 + Σ exp(score)): a head may look at nothing; Miller 2023, "Attention is off by one"."""

    sums_to_one = False

    def sinks(self, num_heads: int) -> Float[Tensor, " heads"] | None:
        return torch.zeros(num_heads)


class Sink(Softmax):
    """exp(score) / (exp(sink) + Σ exp(score)), one sink learned a head; Agarwal et al. 2025, arXiv:2508.10925, section 2."""

    sums_to_one = False

    def __init__(self, num_heads: int = 1) -> None:
        super().__init__()
        self.sink = nn.Parameter(torch.zeros(num_heads))

    @classmethod
    def for_heads(cls, num_heads: int) -> Normalizer:
        return cls(num_heads)

    def sinks(self, num_heads: int) -> Float[Tensor, " heads"] | None:
        return self.sink.expand(num_heads)
