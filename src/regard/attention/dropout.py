"""Dropout as a function of positions and a seed: the same in every backend, tile, forward and backward pass.

Each query and each key gets a random odd code; a pair is dropped where the product of its two codes, modulo 2³², is
below a threshold. Memory O(queries + keys), one multiplication a pair (multiplicative hashing, Dietzfelbinger et al. 1997).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int32
from torch import Tensor

from regard.attention.masks import Mask
from regard.errors import InputError

MINUS_INFINITY_BITS = -8388608  # 0xFF800000: −inf in float32


@dataclass(frozen=True, eq=False)
class Kept(Mask):
    """The pairs that are not dropped."""

    rows: Int32[Tensor, "batch heads queries"]
    keys: Int32[Tensor, " keys"]
    threshold: int

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return self.rows[batch, head, query] * self.keys[key] >= self.threshold

    def write(
        self, shape: tuple[int, int], rows: range, keys: range, device: torch.device | str = "cpu"
    ) -> Bool[Tensor, "#batch #heads rows keys"]:
        return self.part(rows, keys)._products() >= self.threshold

    def part(self, rows: range, keys: range | Tensor, batch: range = range(0)) -> Kept:
        chosen = self.keys[keys.start : keys.stop] if isinstance(keys, range) else self.keys[keys.to(self.keys.device)]
        of_rows = self.rows[batch.start : batch.stop or None, :, rows.start : rows.stop]
        return replace(self, rows=of_rows, keys=chosen)

    @property
    def size(self) -> tuple[int, int, int, int]:
        """(batch, heads, queries, keys)."""
        return (*self.rows.shape, len(self.keys))  # type: ignore[return-value]

    def penalty(self, scratch: Int32[Tensor, "batch heads queries keys"]) -> Float[Tensor, "batch heads queries keys"]:
        """0 where kept, −inf where dropped, in `scratch` read as float32: integer passes, 4 times as fast as by booleans."""
        return self._products(scratch).lt_(self.threshold).mul_(MINUS_INFINITY_BITS).view(torch.float32)

    def bits(self, scratch: Int32[Tensor, "batch heads queries keys"]) -> Int32[Tensor, "batch heads queries keys"]:
        """All bits set where kept, none where dropped, in `scratch`."""
        return self._products(scratch).ge_(self.threshold).neg_()

    def _products(
        self, scratch: Int32[Tensor, "batch heads queries keys"] | None = None
    ) -> Int32[Tensor, "batch heads queries keys"]:
        return torch.mul(self.rows[..., None], self.keys, out=scratch)

    def __str__(self) -> str:
        return f"kept({self.rows.shape[2]} × {self.keys.shape[0]})"


def thinned_(
    weights: Float[Tensor, "batch heads queries keys"], bits: Int32[Tensor, "batch heads queries keys"] | None
) -> Float[Tensor, "batch heads queries keys"]:
    """Set to 0, in place, what has no `bits`; by an integer pass where the weights are float32."""
    if bits is not None and weights.dtype == torch.float32:
        weights.view(torch.int32).bitwise_and_(bits)
    return weights if bits is None or weights.dtype == torch.float32 else weights.mul_(bits.ne(0))


@dataclass(frozen=True)
class Drawn:
    """A dropout with its dice thrown, for one call. One of the three is there."""

    rate: float
    keys: Kept | None = None
    weights: Kept | None = None
    heads: Float[Tensor, "batch heads 1 1"] | None = None

    def part(self, rows: range, keys: range | Tensor, batch: range) -> Drawn:
        return Drawn(
            self.rate,
            self.keys and self.keys.part(rows, keys, batch),
            self.weights and self.weights.part(rows, keys, batch),
            None if self.heads is None else self.heads[batch.start : batch.stop],
        )

    def thinned(self, weights: Float[Tensor, "batch heads rows keys"], rows: range) -> Float[Tensor, "batch heads rows keys"]:
        """The weights after the normaliser."""
        if self.heads is not None:
            return weights * self.heads.to(weights.dtype)
        if self.weights is None:
            return weights
        kept = self.weights.write((0, 0), rows, range(weights.shape[3]))
        return weights * kept * self.growth

    @property
    def growth(self) -> float:
        """What is left is multiplied by this, so that the mean stays."""
        return 1 / (1 - self.rate) if self.rate < 1 else 0.0


@dataclass(frozen=True)
class Dropout:
    """What is dropped at a `rate` in [0, 1]: the same for the same `seed`, or by PyTorch's generator if there is none."""

    rate: float
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise InputError(f"A dropout rate must be between 0 and 1, got {self.rate}.")

    def draw(self, shape: tuple[int, int, int, int], device: torch.device | str) -> Drawn:
        """Throw the dice for a call of (batch, heads, queries, keys)."""
        raise NotImplementedError

    def _kept(self, shape: tuple[int, int, int, int], device: torch.device | str) -> Kept:
        seed = int(torch.randint(2**31 - 1, ())) if self.seed is None else self.seed
        batch, heads, queries, keys = shape
        rows = _codes(seed, 1, batch * heads * queries, device).view(batch, heads, queries)
        return Kept(rows, _codes(seed, 2, keys, device), self._threshold)

    @property
    def _threshold(self) -> int:
        return min(2**31 - 1, round(-(2**31) + self.rate * 2**32))


class DropWeights(Dropout):
    """Weights after the normaliser become 0, the others grow by 1 / (1 − rate); Vaswani et al. 2017, as in PyTorch."""

    def draw(self, shape: tuple[int, int, int, int], device: torch.device | str) -> Drawn:
        return Drawn(self.rate, weights=self._kept(shape, device))


class DropKey(Dropout):
    """Pairs are masked before the normaliser, so that rows still sum to one; Li et al. 2022, arXiv:2208.02646, eq. 4."""

    def draw(self, shape: tuple[int, int, int, int], device: torch.device | str) -> Drawn:
        return Drawn(self.rate, keys=self._kept(shape, device))


class DropHead(Dropout):
    """Whole heads of a sequence give 0, the others grow by 1 / (1 − rate); Zhou et al. 2020, arXiv:2004.13342, section 3."""

    def draw(self, shape: tuple[int, int, int, int], device: torch.device | str) -> Drawn:
        kept = self._kept((shape[0], shape[1], 1, 1), device)._products() >= self._threshold
        return Drawn(self.rate, heads=kept.float() * Drawn(self.rate).growth)


def _codes(seed: int, stream: int, count: int, device: torch.device | str) -> Int32[Tensor, " count"]:
    """Random odd numbers by position: a 32-bit mixer with two rounds (Wellons 2018), alike on every device."""
    start = (seed * 0x9E3779B1 + stream * 0x85EBCA77) & 0xFFFFFFFF
    x = torch.arange(count, dtype=torch.int64, device=device) + start
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 0x9E3779B1), (15, 0x7FEB352D)):
        x = ((x ^ (x >> shift)) * factor) & 0xFFFFFFFF
    x = (x ^ (x >> 16)) | 1
    return torch.where(x >= 2**31, x - 2**32, x).to(torch.int32)


def check_dropout(dropout: object) -> None:
    """Raise InputError unless it is one of ours, drawn or not; a share alone does not say what is dropped."""
    if not isinstance(dropout, Dropout | Drawn | None):
        raise InputError(f"dropout must be a regard dropout such as DropKey(0.1), got {dropout!r}.")
