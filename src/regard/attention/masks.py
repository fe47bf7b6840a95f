"""Masks as functions of positions, joined by `& | ~`. True means: this query may look at this key."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from regard.errors import InputError


class Mask:
    """Who may look at whom. A subclass writes `allows`, and `span` where it can leave keys out of sight."""

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """Boolean, broadcast over the index tensors given, each shaped for (batch, heads, queries, keys)."""
        raise NotImplementedError

    def span(self, rows: range, keys: range) -> range:
        """The smallest run of `keys` known to hold all that these rows may look at."""
        return keys

    def part(self, rows: range, keys: range) -> Mask:
        """This mask over a rectangle, counted from its own upper left corner."""
        return self if rows.start == keys.start == 0 else Part(self, rows.start, keys.start)

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
        return Both(self, other)

    def __or__(self, other: Mask) -> Mask:
        return Either(self, other)

    def __invert__(self) -> Mask:
        return Not(self)


@dataclass(frozen=True)
class Band(Mask):
    """Keys from `left` positions before the query to `right` after it; None is no limit."""

    left: int | None = None
    right: int | None = None

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        behind = query - key
        allowed = torch.ones_like(behind, dtype=torch.bool)
        if self.left is not None:
            allowed = allowed & (behind <= self.left)
        if self.right is not None:
            allowed = allowed & (behind >= -self.right)
        return allowed

    def span(self, rows: range, keys: range) -> range:
        first = keys.start if self.left is None else max(keys.start, rows.start - self.left)
        stop = keys.stop if self.right is None else min(keys.stop, rows.stop + self.right)
        return range(first, max(first, stop))

    def __str__(self) -> str:
        if self == causal:
            return "causal"
        return "everything" if self == everything else f"window({self.left}, {self.right})"


@dataclass(frozen=True, eq=False)
class Padding(Mask):
    """Keys before the end of their sequence, for queries before the end of theirs."""

    lengths: Tensor
    query_lengths: Tensor | None = None

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        allowed = key < self.lengths.to(key.device)[batch]
        if self.query_lengths is not None:
            allowed = allowed & (query < self.query_lengths.to(key.device)[batch])
        return allowed

    def span(self, rows: range, keys: range) -> range:
        return range(keys.start, max(keys.start, min(keys.stop, int(self.lengths.max()))))

    def __str__(self) -> str:
        return f"padding({len(self.lengths)} sequences)"


@dataclass(frozen=True, eq=False)
class Document(Mask):
    """Keys of the query's own document, in rows that hold several."""

    ids: Tensor

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        ids = self.ids.to(key.device)
        return ids[batch, query] == ids[batch, key]

    def span(self, rows: range, keys: range) -> range:
        mine, all_ids = self.ids[:, rows.start : rows.stop], self.ids[:, keys.start : keys.stop]
        low, high = mine.amin(1, keepdim=True), mine.amax(1, keepdim=True)
        reach = ((all_ids >= low) & (all_ids <= high)).any(0).nonzero().flatten()
        if not len(reach):
            return range(keys.start, keys.start)
        return range(keys.start + int(reach[0]), keys.start + int(reach[-1]) + 1)

    def __str__(self) -> str:
        return f"document({self.ids.shape[0]} × {self.ids.shape[1]})"


@dataclass(frozen=True, eq=False)
class Dense(Mask):
    """A boolean matrix that is written out already."""

    allowed: Tensor

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        allowed = self.allowed.to(key.device)
        return allowed[
            batch if allowed.shape[0] > 1 else torch.zeros_like(batch),
            head if allowed.shape[1] > 1 else torch.zeros_like(head),
            query if allowed.shape[2] > 1 else torch.zeros_like(query),
            key if allowed.shape[3] > 1 else torch.zeros_like(key),
        ]

    def __str__(self) -> str:
        return f"dense({' × '.join(map(str, self.allowed.shape))})"


@dataclass(frozen=True)
class Both(Mask):
    """What both masks allow."""

    one: Mask
    other: Mask

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return self.one.allows(batch, head, query, key) & self.other.allows(batch, head, query, key)

    def span(self, rows: range, keys: range) -> range:
        return self.other.span(rows, self.one.span(rows, keys))

    def __str__(self) -> str:
        return f"({self.one} & {self.other})"


@dataclass(frozen=True)
class Either(Mask):
    """What one of the masks allows."""

    one: Mask
    other: Mask

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return self.one.allows(batch, head, query, key) | self.other.allows(batch, head, query, key)

    def span(self, rows: range, keys: range) -> range:
        spans = [s for s in (self.one.span(rows, keys), self.other.span(rows, keys)) if len(s)]
        return range(min(s.start for s in spans), max(s.stop for s in spans)) if spans else range(keys.start, keys.start)

    def __str__(self) -> str:
        return f"({self.one} | {self.other})"


@dataclass(frozen=True)
class Not(Mask):
    """What the mask forbids."""

    mask: Mask

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return ~self.mask.allows(batch, head, query, key)

    def __str__(self) -> str:
        return f"~{self.mask}"


@dataclass(frozen=True)
class Part(Mask):
    """A mask seen from (first_query, first_key)."""

    mask: Mask
    first_query: int
    first_key: int

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return self.mask.allows(batch, head, query + self.first_query, key + self.first_key)

    def span(self, rows: range, keys: range) -> range:
        q, k = self.first_query, self.first_key
        whole = self.mask.span(range(rows.start + q, rows.stop + q), range(keys.start + k, keys.stop + k))
        return range(whole.start - k, whole.stop - k)

    def __str__(self) -> str:
        return f"{self.mask}[{self.first_query}:, {self.first_key}:]"


everything = Band()
causal = Band(right=0)


def window(left: int, right: int = 0) -> Mask:
    """Keys at most `left` positions before and `right` after the query; right=0 also hides the future."""
    if left < 0 or right < 0:
        raise InputError(f"window needs left >= 0 and right >= 0, got left={left}, right={right}.")
    return Band(left, right)


def padding(lengths: Int[Tensor, " batch"], query_lengths: Int[Tensor, " batch"] | None = None) -> Mask:
    """Keys before the end of their sequence; lengths in tokens.

    With `query_lengths`, padded queries see nothing: they give zeros, and the lens leaves them out of its means.
    """
    for given in (lengths, query_lengths):
        if given is not None and (given.dim() != 1 or given.is_floating_point() or (given < 0).any()):
            raise InputError(
                f"padding needs one whole number >= 0 per sequence, got {given.dtype} of shape {tuple(given.shape)}."
            )
    return Padding(lengths, query_lengths)


def document(ids: Int[Tensor, "batch length"]) -> Mask:
    """Keys of the query's own document, for rows in which several stand one after the other."""
    if ids.dim() != 2 or ids.is_floating_point():
        raise InputError(f"document needs whole numbers of shape (batch, length), got {ids.dtype} of shape {tuple(ids.shape)}.")
    return Document(ids)


def dense(allowed: Bool[Tensor, ...]) -> Mask:
    """A boolean matrix (…, queries, keys) with at most batch and heads before; O(queries · keys) memory."""
    if allowed.dtype != torch.bool or not 2 <= allowed.dim() <= 4:
        raise InputError(f"dense needs a boolean tensor of 2 to 4 sides, got {allowed.dtype} of shape {tuple(allowed.shape)}.")
    while allowed.dim() < 4:
        allowed = allowed.unsqueeze(0)
    return Dense(allowed)


def picture(mask: Mask, queries: int, keys: int | None = None, *, batch: int = 0, head: int = 0) -> str:
    """Row by row, `x` where the query may look and `.` where not: picture(causal, 3) == "x.. xx. xxx"."""
    allowed = mask.write((batch + 1, head + 1), range(queries), range(queries if keys is None else keys))
    rows = allowed[min(batch, allowed.shape[0] - 1), min(head, allowed.shape[1] - 1)].tolist()
    return " ".join("".join("x" if may else "." for may in row) for row in rows)


EXAMPLES: dict[str, Mask] = {
    "everything": everything,
    "causal": causal,
    "window": window(1),
    "padding": padding(torch.tensor([3])),
    "document": document(torch.tensor([[0, 0, 1, 1, 1]])),
    "dense": dense(torch.eye(5, dtype=torch.bool)),
}
"""One of each mask of the catalog over five positions, for pictures and for the laws."""
