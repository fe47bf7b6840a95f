"""Positions that are added to embeddings."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.attention.positions.angles import angles, frequencies, places
from regard.attention.positions.position import Position
from regard.errors import InputError


class Sinusoidal(Position):
    """x + sin(position / 10000^(2i/d_model)) at channel 2i, cos at 2i + 1; Vaswani et al. 2017, arXiv:1706.03762, sec. 3.5."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        if d_model < 2 or d_model % 2:
            raise InputError(f"d_model must be even, a sine to each cosine, got {d_model}.")
        self.d_model = d_model

    @classmethod
    def for_heads(cls, head_dim: int, num_heads: int) -> Position:
        return cls(head_dim * num_heads)

    def embed(self, x: Float[Tensor, "batch length d_model"], start: int = 0) -> Float[Tensor, "batch length d_model"]:
        check_width(x, self.d_model)
        by = angles(places(start, x.shape[1], x.device), frequencies(10000.0, self.d_model, x.device), x.dtype)
        return x + torch.stack((by.sin(), by.cos()), -1).flatten(-2).to(x.dtype)


LENGTH = 512
"""Of learned positions, where nobody says it."""


class Learned(Position):
    """x + table[position], learned for positions below `max_length`; Gehring et al. 2017, arXiv:1705.03122, section 3.1."""

    def __init__(self, d_model: int, max_length: int = LENGTH) -> None:
        super().__init__()
        if d_model < 1 or max_length < 1:
            raise InputError(f"d_model and max_length must be at least 1, got {d_model} and {max_length}.")
        self.table = nn.Parameter(torch.empty(max_length, d_model).normal_(std=0.02))

    @classmethod
    def for_heads(cls, head_dim: int, num_heads: int) -> Position:
        return cls(head_dim * num_heads)

    def embed(self, x: Float[Tensor, "batch length d_model"], start: int = 0) -> Float[Tensor, "batch length d_model"]:
        max_length, d_model = self.table.shape
        check_width(x, d_model)
        stop = start + x.shape[1]
        if start < 0 or stop > max_length:
            raise InputError(
                f"Learned positions go from 0 to {max_length - 1}, got {start} to {stop - 1}: "
                "shorten the input, make them with a larger max_length, or take sinusoidal ones, which have no end."
            )
        return x + self.table[start:stop].to(x.dtype)


def learned_for(name: str, d_model: int, max_length: int) -> Learned | None:
    """So many where `name` says that they are learned, and not fewer than by the name alone; None where it does not."""
    return Learned(d_model, max(max_length, LENGTH)) if name == "learned" else None


def check_width(x: Tensor, d_model: int) -> None:
    """Raise where embeddings are of another width than the positions."""
    if x.shape[-1] != d_model:
        raise InputError(f"These positions are for embeddings of {d_model} channels, got {x.shape[-1]}.")
