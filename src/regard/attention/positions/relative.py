"""Learned biases on distances."""

from __future__ import annotations

import math

import torch
from jaxtyping import Int
from torch import Tensor, nn

from regard.attention.positions.bias import Bias
from regard.attention.positions.position import Position
from regard.errors import InputError


class T5Relative(Bias, Position):
    """table[bucket(key − query), head], learned; Raffel et al. 2020, arXiv:1910.10683, section 2.1.

    Near distances have a bucket each, farther ones share buckets that grow like their logarithm, and all from `max_distance` on
    share one. With `bidirectional` half of the buckets are for keys after the query; else all of those count as distance 0.
    `table` has the layout of transformers' `relative_attention_bias.weight`.
    """

    def __init__(self, num_heads: int, num_buckets: int = 32, max_distance: int = 128, bidirectional: bool = True) -> None:
        super().__init__()
        near = num_buckets // (4 if bidirectional else 2)
        if num_heads < 1:
            raise InputError(f"num_heads must be at least 1, got {num_heads}.")
        if near < 1:
            raise InputError(f"num_buckets must be at least {4 if bidirectional else 2}, got {num_buckets}.")
        if max_distance <= near:
            raise InputError(f"max_distance must be above {near}, the distances with a bucket each, got {max_distance}.")
        self.num_heads, self.num_buckets = num_heads, num_buckets
        self.max_distance, self.bidirectional = max_distance, bidirectional
        self.table = nn.Parameter(torch.empty(num_buckets, num_heads).normal_(std=0.02))

    @classmethod
    def for_heads(cls, head_dim: int, num_heads: int) -> Position:
        return cls(num_heads)

    @property
    def bias(self) -> Bias:
        return self

    def at(self, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return self.table[self.buckets(key - query), head]

    def buckets(self, offset: Int[Tensor, ...]) -> Int[Tensor, ...]:
        """The bucket of key − query."""
        if not self.bidirectional:
            return bucket((-offset).clamp(min=0), self.num_buckets, self.max_distance)
        half = self.num_buckets // 2
        return bucket(offset.abs(), half, self.max_distance) + half * (offset > 0)


def bucket(distance: Int[Tensor, ...], num_buckets: int, max_distance: int) -> Int[Tensor, ...]:
    """distance below n = num_buckets / 2, else n + ⌊n · ln(distance / n) / ln(max_distance / n)⌋, at most num_buckets − 1."""
    near = num_buckets // 2
    # In float32 and in this order, as published models were trained: other roundings move distances to another bucket.
    share = torch.log(distance.clamp(min=near).float() / near) / math.log(max_distance / near)
    far = near + (share * (num_buckets - near)).long()
    return torch.where(distance < near, distance, far.clamp(max=num_buckets - 1))
