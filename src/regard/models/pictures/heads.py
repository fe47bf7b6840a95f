"""From a map of features to scores of classes."""

from __future__ import annotations

from math import gcd

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.attention.gates import AttentionPool
from regard.attention.gates.nonlocal_block import to_features, to_tokens
from regard.attention.multihead import MultiHeadAttention
from regard.models.blocks import hide
from regard.models.transformer import FeedForward

MAX_HEADS = 4


class Head(nn.Module):
    """One vector for all places, and a score of each class."""

    def __init__(self, pool: nn.Module, width: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.pool, self.score, self.dropout = pool, nn.Linear(width, num_classes), dropout

    def forward(self, features: Float[Tensor, "batch features rows columns"]) -> Float[Tensor, "batch classes"]:
        return self.score(hide(self.pool(places_of(features)), self.dropout, self.training))


class MeanPool(nn.Module):
    """The mean over all places."""

    def forward(self, x: Float[Tensor, "batch places features"]) -> Float[Tensor, "batch features"]:
        return x.mean(1)


class ClassPool(nn.Module):
    """A class token that looks at all places in a layer of its own; Touvron et al. 2021 (CaiT), arXiv:2103.17239, eq. 5-7.

    The places do not look at it: that way the scores depend on their states alone.
    """

    def __init__(self, d_model: int, num_heads: int, d_feedforward: int, dropout: float) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(d_model) * d_model**-0.5)
        self.attention = MultiHeadAttention(d_model, num_heads)
        self.attention_norm, self.feedforward_norm, self.norm = (nn.LayerNorm(d_model) for _ in range(3))
        self.feedforward = FeedForward(d_model, d_feedforward, dropout)

    def forward(self, x: Float[Tensor, "batch places d_model"]) -> Float[Tensor, "batch d_model"]:
        token = self.token.to(x.dtype).expand(x.shape[0], 1, -1)
        seen = self.attention_norm(torch.cat([token, x], 1))
        token = token + self.attention(seen[:, :1], seen)
        return self.norm(token + self.feedforward(self.feedforward_norm(token))).squeeze(1)


def pool_named(name: str, width: int) -> nn.Module:
    """Mean or attention, over places of this many features."""
    return MeanPool() if name == "mean" else AttentionPool(width, gcd(width, MAX_HEADS))


def places_of(features: Float[Tensor, "batch features rows columns"]) -> Float[Tensor, "batch places features"]:
    """Places row by row."""
    return to_tokens(features).squeeze(1)


def map_of(places: Float[Tensor, "batch places features"], columns: int) -> Float[Tensor, "batch features rows columns"]:
    """Places back in rows of so many columns."""
    return to_features(places.unsqueeze(1), columns)
