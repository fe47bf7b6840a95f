"""One call of attention as a value: what backends compute, plans explain and the lens reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from regard.attention.masks import Mask, everything
from regard.errors import InputError

if TYPE_CHECKING:
    from regard.attention.mechanism import Mechanism

BLOCK_ROWS = 128
BLOCK_NUMBERS = 8 * 2**20
"""Numbers that one block of rows may hold for its pairs of query and key: 32 MB in float32."""


@dataclass(frozen=True)
class Call:
    """A mechanism and what it is applied to: (batch, heads, length, head_dim) each, key/value heads may be fewer.

    Raises InputError when the shapes cannot belong together.
    """

    mechanism: Mechanism
    query: Tensor
    key: Tensor
    value: Tensor
    mask: Mask = everything
    bias: Tensor | None = None

    def __post_init__(self) -> None:
        query, key, value = self.query.shape, self.key.shape, self.value.shape
        if not len(query) == len(key) == len(value) == 4:
            raise InputError(f"query, key, value must have 4 sides (batch, heads, length, head_dim), got {_shapes(self)}.")
        if query[0] != key[0] or key[:3] != value[:3]:
            raise InputError(
                f"query, key, value must agree in batch, key and value also in heads and length, got {_shapes(self)}."
            )
        if query[3] != key[3] or query[1] % max(1, key[1]):
            raise InputError(
                f"query and key must agree in head_dim, and query heads be a multiple of key heads, got {_shapes(self)}."
            )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(batch, heads, queries, keys)."""
        return (*self.query.shape[:3], self.key.shape[2])

    def weights(self, rows: range | None = None) -> Float[Tensor, "batch heads rows keys"]:
        """The exact weights of this call, all of them or some query rows."""
        return self.mechanism.weights(self.query, self.key, self.mask, bias=self.bias, rows=rows)

    def blocks(self) -> Iterator[tuple[range, range]]:
        """Runs of query rows that cover all, each with the run of keys they may look at; O(keys) memory a block."""
        batch, heads, queries, keys = self.shape
        start = 0
        while start < queries:
            rows = range(start, min(start + BLOCK_ROWS, queries))
            seen = self.mask.span(rows, range(keys))
            fit = BLOCK_NUMBERS // max(1, batch * heads * len(seen) * self.mechanism.pair_width)
            if fit < len(rows):
                rows = range(start, start + max(1, fit))
                seen = self.mask.span(rows, range(keys))
            yield rows, seen
            start = rows.stop

    def part(self, rows: range, keys: range) -> Call:
        """This call for some query rows, with only the keys they can see."""
        return Call(
            self.mechanism,
            self.query[:, :, rows.start : rows.stop],
            self.key[:, :, keys.start : keys.stop],
            self.value[:, :, keys.start : keys.stop],
            self.mask.part(rows, keys),
            None if self.bias is None else _cut(_cut(self.bias, 2, rows), 3, keys),
        )


def share(heads: Float[Tensor, "batch kv_heads length dim"], num_heads: int) -> Float[Tensor, "batch heads length dim"]:
    """Repeat key/value heads so that groups of query heads share one; Ainslie et al. 2023, arXiv:2305.13245."""
    return heads if heads.shape[1] == num_heads else heads.repeat_interleave(num_heads // heads.shape[1], dim=1)


def _cut(bias: Tensor, axis: int, kept: range) -> Tensor:
    return bias if bias.shape[axis] == 1 else bias.narrow(axis, kept.start, len(kept))


def _shapes(call: Call) -> str:
    return ", ".join(f"{name} {tuple(getattr(call, name).shape)}" for name in ("query", "key", "value"))
