"""Attention with linear biases."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.attention.positions.bias import Bias
from regard.attention.positions.position import Position
from regard.errors import InputError


class Alibi(Bias, Position):
    """−slope · |query − key|, one slope a head; Press et al. 2022, arXiv:2108.12409, section 3."""

    exponents: Tensor

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        if num_heads < 1:
            raise InputError(f"num_heads must be at least 1, got {num_heads}.")
        self.num_heads = num_heads
        # Exponents are short binary fractions, so a model cast to bfloat16 keeps its slopes to the last bit.
        self.register_buffer("exponents", torch.tensor(exponents(num_heads)), persistent=False)

    @classmethod
    def for_heads(cls, head_dim: int, num_heads: int) -> Position:
        return cls(num_heads)

    @property
    def bias(self) -> Bias:
        return self

    @property
    def slopes(self) -> Float[Tensor, " heads"]:
        """2^−exponent, in float32 or wider."""
        return torch.exp2(-self.exponents.to(torch.promote_types(self.exponents.dtype, torch.float32)))

    def at(self, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return -self.slopes.to(head.device)[head] * (query - key).abs()


def exponents(num_heads: int) -> list[float]:
    """8/n, 16/n, … 8 for n heads, a power of two; else those of the power below, then every other one of twice that power."""
    power = 2 ** (num_heads.bit_length() - 1)
    rest = [4 * (2 * i + 1) / power for i in range(num_heads - power)]
    return [8 * (i + 1) / power for i in range(power)] + rest
