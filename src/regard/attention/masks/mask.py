"""What a mask is, and how masks are joined. True means: this query may look at this key."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import count

import torch
from jaxtyping import Bool, Int, Int8
from torch import Tensor

EMPTY, PARTIAL, FULL = 0, 1, 2
"""What is known of a tile: no pair may look, not known or some, every pair. `&` is the minimum, `|` the maximum."""


def edges(length: int, size: int, device: torch.device | str = "cpu") -> tuple[Int[Tensor, " tiles"], Int[Tensor, " tiles"]]:
    """First and last positions of the tiles of a length, the last of which may be smaller."""
    first = torch.arange(0, length, size, device=device)
    return first, (first + size - 1).clamp(max=length - 1)


class Mask:
    """Who may look at whom. A subclass writes `allows`, and `tiles` where it knows of tiles that can be skipped."""

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """Boolean, elementwise over index tensors that broadcast together."""
        raise NotImplementedError

    def tiles(
        self,
        query_first: Int[Tensor, " rows"],
        query_last: Int[Tensor, " rows"],
        key_first: Int[Tensor, " columns"],
        key_last: Int[Tensor, " columns"],
    ) -> Int8[Tensor, "#batch #heads rows columns"]:
        """EMPTY, PARTIAL or FULL for each tile, given the first and last position of its sides; PARTIAL when in doubt."""
        return torch.full((1, 1, len(query_first), len(key_first)), PARTIAL, dtype=torch.int8, device=query_first.device)

    @property
    def version(self) -> tuple[int, ...]:
        """Changes when a tensor that the mask is made of is written to."""
        parts = vars(self).values()
        inner = [part.version for part in parts if isinstance(part, Mask)]
        return tuple(_version(part) for part in parts if isinstance(part, Tensor)) + tuple(v for one in inner for v in one)

    def to(self, device: torch.device | str) -> Mask:
        """The same mask with the tensors it is made of on a device."""
        parts: dict[str, object] = (
            {field.name: getattr(self, field.name) for field in fields(self)} if is_dataclass(self) else {}
        )
        moved = {name: part.to(device) for name, part in parts.items() if isinstance(part, Mask | Tensor)}
        return replace(self, **moved) if moved else self  # type: ignore[type-var]

    def check(self, shape: tuple[int, int, int, int]) -> None:
        """Raise InputError where the mask cannot belong to a call of (batch, heads, queries, keys)."""

    def part(self, rows: range, keys: range | Tensor, batch: range = range(0)) -> Mask:
        """This mask over a run of rows and a run or a list of keys, counted from zero again."""
        if isinstance(keys, Tensor):
            return Part(self, batch.start, rows.start, 0, keys)
        return self if rows.start == keys.start == batch.start == 0 else Part(self, batch.start, rows.start, keys.start, None)

    def write(
        self, shape: tuple[int, int], rows: range, keys: range, device: torch.device | str = "cpu"
    ) -> Bool[Tensor, "#batch #heads rows keys"]:
        """Write a rectangle out for `shape` = (batch, heads); sides it does not depend on stay of size 1."""
        place = [(shape[0], 0), (shape[1], 0), (len(rows), rows.start), (len(keys), keys.start)]
        index = [
            torch.arange(first, first + size, device=device).view([-1 if i == axis else 1 for i in range(4)])
            for axis, (size, first) in enumerate(place)
        ]
        allowed = self.allows(*index)
        return allowed.expand(allowed.shape[0], allowed.shape[1], len(rows), len(keys))

    def __and__(self, other: Mask) -> Mask:
        if not isinstance(other, Mask):
            return NotImplemented
        return self if _is_everything(other) else other if _is_everything(self) else Both(self, other)

    def __or__(self, other: Mask) -> Mask:
        return Either(self, other)

    def __invert__(self) -> Mask:
        return Not(self)


_NEW = count(1)


def _version(x: Tensor) -> int:
    """A number that changes when it is written to; of a tensor of inference mode, which counts none, always another."""
    return -next(_NEW) if x.is_inference() else x._version


def _is_everything(mask: Mask) -> bool:
    from regard.attention.masks.band import everything  # a band is a mask

    return mask == everything


@dataclass(frozen=True)
class Both(Mask):
    """What both masks allow."""

    one: Mask
    other: Mask

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return self.one.allows(batch, head, query, key) & self.other.allows(batch, head, query, key)

    def tiles(self, *edges: Tensor) -> Tensor:
        return torch.minimum(self.one.tiles(*edges), self.other.tiles(*edges))

    def check(self, shape: tuple[int, int, int, int]) -> None:
        self.one.check(shape)
        self.other.check(shape)

    def part(self, rows: range, keys: range | Tensor, batch: range = range(0)) -> Mask:
        return self.one.part(rows, keys, batch) & self.other.part(rows, keys, batch)

    def __str__(self) -> str:
        return f"({self.one} & {self.other})"


@dataclass(frozen=True)
class Either(Mask):
    """What one of the masks allows."""

    one: Mask
    other: Mask

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return self.one.allows(batch, head, query, key) | self.other.allows(batch, head, query, key)

    def tiles(self, *edges: Tensor) -> Tensor:
        return torch.maximum(self.one.tiles(*edges), self.other.tiles(*edges))

    def check(self, shape: tuple[int, int, int, int]) -> None:
        self.one.check(shape)
        self.other.check(shape)

    def __str__(self) -> str:
        return f"({self.one} | {self.other})"


@dataclass(frozen=True)
class Not(Mask):
    """What the mask forbids."""

    mask: Mask

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return ~self.mask.allows(batch, head, query, key)

    def tiles(self, *edges: Tensor) -> Tensor:
        return FULL - self.mask.tiles(*edges)

    def check(self, shape: tuple[int, int, int, int]) -> None:
        self.mask.check(shape)

    def __str__(self) -> str:
        return f"~{self.mask}"


@dataclass(frozen=True, eq=False)
class Part(Mask):
    """A mask seen from (first_batch, first_query), and from first_key or through a list of keys."""

    mask: Mask
    first_batch: int
    first_query: int
    first_key: int
    keys: Tensor | None

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        key = key + self.first_key if self.keys is None else self.keys.to(key.device)[key]
        return self.mask.allows(batch + self.first_batch, head, query + self.first_query, key)

    def tiles(self, *edges: Tensor) -> Tensor:
        if self.keys is not None or self.first_batch:
            return super().tiles(*edges)
        query_first, query_last, key_first, key_last = edges
        q, k = self.first_query, self.first_key
        return self.mask.tiles(query_first + q, query_last + q, key_first + k, key_last + k)

    def __str__(self) -> str:
        return f"{self.mask}[{self.first_query}:, {self.first_key}:]"
