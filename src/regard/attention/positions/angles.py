"""Angles that grow with the position, slower from one pair of channels to the next."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import InputError


def frequencies(base: float, dim: int, device: torch.device | str = "cpu") -> Float[Tensor, " half"]:
    """base^(−2i/dim) radians a position, for i = 0 … dim/2 − 1."""
    return base ** -(torch.arange(0, dim, 2, device=device, dtype=widest(device)) / dim)


def angles(
    positions: Float[Tensor, " length"], speeds: Float[Tensor, " half"], dtype: torch.dtype
) -> Float[Tensor, "length half"]:
    """positions × speeds in radians, within one turn, in float32 or in float64 where `dtype` is."""
    # Whole turns go before the cast: in float32 an angle near 100,000 is off by up to 0.004.
    return (positions[:, None] * speeds).remainder(2 * math.pi).to(torch.promote_types(dtype, torch.float32))


def places(start: int, length: int, device: torch.device | str) -> Float[Tensor, " length"]:
    """start, start + 1, … as floats."""
    return torch.arange(start, start + length, device=device, dtype=widest(device))


def widest(device: torch.device | str) -> torch.dtype:
    """float64, or float32 on the one device that has no more."""
    return torch.float32 if torch.device(device).type == "mps" else torch.float64


def check_base(base: float) -> None:
    """Raise unless the angles get slower from pair to pair."""
    if not base > 1:
        raise InputError(f"base must be above 1, got {base}.")
