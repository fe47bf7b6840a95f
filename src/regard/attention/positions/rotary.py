"""Rotary positions: a score depends on positions by their distance only."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regard.attention.positions.angles import angles, check_base, frequencies, places
from regard.attention.positions.position import Position
from regard.attention.positions.scaling import Scaling, Unscaled
from regard.errors import InputError

Turns = tuple[Tensor, Tensor]


class Rotary(Position):
    """Pair i of channels turned by position · base^(−2i/dim); Su et al. 2021, arXiv:2104.09864, eq. 34.

    A pair is (i, i + dim/2), as in GPT-NeoX and LLaMA, or with `interleaved` (2i, 2i + 1), as in the paper and GPT-J; weights
    trained with one do not work with the other. `fraction` of the head's channels turn, the first ones.
    """

    def __init__(
        self,
        head_dim: int,
        base: float = 10000.0,
        scaling: Scaling | None = None,
        interleaved: bool = False,
        fraction: float = 1.0,
    ) -> None:
        super().__init__()
        check_base(base)
        self.head_dim, self.base, self.interleaved = head_dim, base, interleaved
        self.scaling = Unscaled() if scaling is None else scaling
        self._last: tuple[Any, Turns] | None = None
        self.dim = round(head_dim * fraction)
        if abs(self.dim - head_dim * fraction) > 1e-6 or self.dim % 2 or not 2 <= self.dim <= head_dim:
            raise InputError(
                f"head_dim × fraction must be an even number of channels, from 2 to head_dim, got {head_dim} × {fraction}."
            )

    @classmethod
    def for_heads(cls, head_dim: int, num_heads: int) -> Position:
        return cls(head_dim)

    def turn(
        self, x: Float[Tensor, "batch heads length head_dim"], start: int = 0
    ) -> Float[Tensor, "batch heads length head_dim"]:
        check_width(x, self.head_dim)
        turned = rotate(x[..., : self.dim], *self._turns(x, start), interleaved=self.interleaved)
        return turned if self.dim == self.head_dim else torch.cat((turned, x[..., self.dim :]), -1)

    def _turns(self, x: Tensor, start: int) -> Turns:
        """Cosines and sines. Those of the last call stay while no gradient is asked for.

        So a token that is decoded turns once, and not once more for its keys and in each layer.
        """
        length, device = x.shape[2], x.device
        is_kept = type(x) is Tensor and not (torch.is_grad_enabled() or torch.compiler.is_compiling())
        key = start, length, device, x.dtype, torch.is_inference_mode_enabled()
        if is_kept and self._last is not None and self._last[0] == key:
            return self._last[1]
        speeds = self.scaling.frequencies(self.base, self.dim, start + length, device)
        turned = angles(places(start, length, device), speeds, x.dtype)
        turns = cos_sin(turned, self.scaling.temperature, interleaved=self.interleaved)
        if is_kept:
            self._last = key, turns
        return turns


class Rotary2d(Position):
    """Image patches in row-major order, `width` to a row: half of the channels turn by row, the others by column.

    Rotary along each axis, the axial form of Heo et al. 2024, arXiv:2403.13298, where the base is 100.
    """

    def __init__(self, head_dim: int, width: int, base: float = 10000.0) -> None:
        super().__init__()
        check_base(base)
        if head_dim < 4 or head_dim % 4:
            raise InputError(f"head_dim must be a multiple of 4, a pair for rows to each for columns, got {head_dim}.")
        if width < 1:
            raise InputError(f"width must be at least one patch, got {width}.")
        self.head_dim, self.width, self.base = head_dim, width, base

    @classmethod
    def for_heads(cls, head_dim: int, num_heads: int) -> Position:
        raise InputError(
            "rotary-2d must know the image: pass Rotary2d(head_dim, width), width in patches, instead of the name."
        )

    def turn(
        self, x: Float[Tensor, "batch heads length head_dim"], start: int = 0
    ) -> Float[Tensor, "batch heads length head_dim"]:
        check_width(x, self.head_dim)
        speeds = frequencies(self.base, self.head_dim // 2, x.device)
        patch = places(start, x.shape[2], x.device)
        row, column = patch.div(self.width, rounding_mode="floor"), patch.remainder(self.width)
        halves = zip(x.chunk(2, -1), (row, column), strict=True)
        return torch.cat([rotate(half, *cos_sin(angles(place, speeds, x.dtype))) for half, place in halves], -1)


def cos_sin(angles: Float[Tensor, "length half"], size: float = 1.0, *, interleaved: bool = False) -> Turns:
    """size · cos of each channel's angle, and size · sin with a minus for the first of a pair; (length, 2 · half) each."""
    cos, sin = size * angles.cos(), size * angles.sin()
    axis = 2 if interleaved else 1
    return torch.stack((cos, cos), axis).flatten(1), torch.stack((-sin, sin), axis).flatten(1)


def rotate(
    x: Float[Tensor, "batch heads length dim"],
    cos: Float[Tensor, "length dim"],
    sin: Float[Tensor, "length dim"],
    *,
    interleaved: bool = False,
) -> Float[Tensor, "batch heads length dim"]:
    """[[cos, −sin], [sin, cos]] on each pair of channels, in the precision of the angles; arXiv:2104.09864, eq. 34."""
    wide = x.to(cos.dtype)
    swapped = wide.unflatten(-1, (-1, 2)).flip(-1).flatten(-2) if interleaved else wide.roll(cos.shape[1] // 2, -1)
    return torch.addcmul(wide * cos, swapped, sin).to(x.dtype)


def check_width(x: Tensor, head_dim: int) -> None:
    """Raise where heads are of another width than those the angles were made for."""
    if x.shape[-1] != head_dim:
        raise InputError(f"This rotary is for heads of {head_dim} channels, got {x.shape[-1]}.")
