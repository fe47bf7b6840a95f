"""Numbers written as sines and cosines."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.attention.positions.angles import frequencies


def waves(numbers: Float[Tensor, "*shape sides"], width: int, base: float) -> Float[Tensor, "*shape width"]:
    """Sines and cosines of width / sides channels of each number, from 1 radian a unit down to about 1 / base."""
    speeds = frequencies(base, width // numbers.shape[-1], numbers.device).to(numbers.dtype)
    turns = numbers[..., None] * speeds
    return torch.cat([turns.sin(), turns.cos()], -1).flatten(-2)
