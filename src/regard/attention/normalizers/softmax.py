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
        scores, sinks = scores.masked_fill(~allowed, float("-inf")), self.sinks(scores.shape[1])
        peak = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
        sinks = None if sinks is None else sinks.to(scores).view(-1, 1, 1)
        peak = peak if sinks is None else peak.maximum(sinks.detach())
        mass = (scores - peak).exp()
        total = mass.sum(-1, keepdim=True)
        total = total if sinks is None else total + (sinks - peak).exp()
        return mass / total.clamp(min=torch.finfo(scores.dtype).tiny)


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
