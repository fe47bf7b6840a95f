"""Normalisers that give most keys exactly nothing. The support is found by sorting; gradients pass through its threshold."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.attention.normalizers.normalizer import Normalizer


class Sparsemax(Normalizer):
    """max(score − τ, 0), the point of the simplex nearest to the scores; Martins & Astudillo 2016, arXiv:1602.02068, eq. 3-4.

    O(keys log keys) time a row.
    """

    def forward(
        self, scores: Float[Tensor, "batch heads rows keys"], allowed: Bool[Tensor, "#batch #heads rows keys"]
    ) -> Float[Tensor, "batch heads rows keys"]:
        if scores.shape[-1] == 0:
            return scores
        scores, allowed = _shifted(scores, allowed)
        ordered, size = _ordered(scores.detach(), allowed)
        in_support = (1 + size * ordered > ordered.cumsum(-1)) & ordered.isfinite()
        support = allowed & (scores >= _last(ordered, in_support))
        threshold = (_total(scores, support) - 1) / _size(support)
        return (scores - threshold).clamp(min=0) * support


class Entmax15(Normalizer):
    """max(score / 2 − τ, 0)², between softmax and sparsemax; Peters et al. 2019, arXiv:1905.05702, algorithm 2.

    O(keys log keys) time a row.
    """

    def forward(
        self, scores: Float[Tensor, "batch heads rows keys"], allowed: Bool[Tensor, "#batch #heads rows keys"]
    ) -> Float[Tensor, "batch heads rows keys"]:
        if scores.shape[-1] == 0:
            return scores
        scores, allowed = _shifted(scores / 2, allowed)
        ordered, size = _ordered(scores.detach(), allowed)
        mean = ordered.cumsum(-1) / size
        spread = size * (ordered.square().cumsum(-1) / size - mean.square())
        threshold = mean - ((1 - spread) / size).clamp(min=0).sqrt()
        support = allowed & (scores >= _last(ordered, (threshold <= ordered) & ordered.isfinite()))
        size = _size(support)
        mean = _total(scores, support) / size
        spread = _total((scores - mean).square(), support)
        threshold = mean - ((1 - spread) / size).clamp(min=torch.finfo(scores.dtype).tiny).sqrt()
        return (scores - threshold).clamp(min=0).square() * support


def _shifted(scores: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """Scores with the largest permitted one of each row at zero, and what is forbidden out of the way of any sum.

    A score of −inf is as good as forbidden.
    """
    allowed = allowed & (scores != float("-inf"))
    low = scores.masked_fill(~allowed, float("-inf"))
    peak = low.detach().amax(-1, keepdim=True)
    return scores.masked_fill(~allowed, 0) - peak.masked_fill(peak == float("-inf"), 0), allowed


def _ordered(scores: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """Scores from the largest down, forbidden ones last, and the ranks 1, 2, 3 …"""
    ordered = scores.masked_fill(~allowed, float("-inf")).sort(-1, descending=True).values
    return ordered, torch.arange(1, scores.shape[-1] + 1, device=scores.device, dtype=scores.dtype)


def _last(ordered: Tensor, in_support: Tensor) -> Tensor:
    """The smallest score of the support."""
    return ordered.masked_fill(~in_support, float("inf")).amin(-1, keepdim=True)


def _total(values: Tensor, support: Tensor) -> Tensor:
    return values.masked_fill(~support, 0).sum(-1, keepdim=True)


def _size(support: Tensor) -> Tensor:
    return support.sum(-1, keepdim=True).clamp(min=1)
