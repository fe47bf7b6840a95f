"""Masks that depend on what stands at a position: lengths, documents, global tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from regard.attention.masks.band import causal, window
from regard.attention.masks.mask import EMPTY, PARTIAL, Mask
from regard.errors import InputError


@dataclass(frozen=True, eq=False)
class Padding(Mask):
    """Keys before the end of their sequence, for queries before the end of theirs."""

    lengths: Tensor
    query_lengths: Tensor | None = None

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        allowed = key < _of(self.lengths, batch)
        return allowed if self.query_lengths is None else allowed & (query < _of(self.query_lengths, batch))

    def tiles(self, query_first: Tensor, query_last: Tensor, key_first: Tensor, key_last: Tensor) -> Tensor:
        known = _before(self.lengths, key_first, key_last)[:, None, None, :].expand(-1, 1, len(query_first), -1)
        if self.query_lengths is None:
            return known
        return torch.minimum(known, _before(self.query_lengths, query_first, query_last)[:, None, :, None])

    def check(self, shape: tuple[int, int, int, int]) -> None:
        for lengths in (self.lengths, self.query_lengths):
            if lengths is not None and len(lengths) not in (1, shape[0]):
                raise InputError(f"padding has {len(lengths)} lengths for a batch of {shape[0]}: give one for each sequence.")

    def __str__(self) -> str:
        return f"padding({len(self.lengths)} sequences)"


def _of(lengths: Tensor, batch: Tensor) -> Tensor:
    """The length of each sequence, one for all if there is only one."""
    lengths = lengths.to(batch.device)
    return lengths[batch] if len(lengths) > 1 else lengths[torch.zeros_like(batch)]


def _before(lengths: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """What is known of runs of positions of which those before a length count."""
    lengths = lengths.to(first.device)[:, None]
    return (last < lengths).to(torch.int8) + (first < lengths).to(torch.int8)


@dataclass(frozen=True, eq=False)
class Document(Mask):
    """Keys of the query's own document, in rows that hold several."""

    ids: Tensor

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        ids = self.ids.to(key.device)
        batch = batch if ids.shape[0] > 1 else torch.zeros_like(batch)
        return ids[batch, query] == ids[batch, key]

    def tiles(self, query_first: Tensor, query_last: Tensor, key_first: Tensor, key_last: Tensor) -> Tensor:
        ids = self.ids.to(query_first.device)
        low, high = (side[:, None, :, None] for side in _extent(ids, query_first, query_last))
        key_low, key_high = (side[:, None, None, :] for side in _extent(ids, key_first, key_last))
        one = (low == high) & (key_low == key_high) & (low == key_low)
        return torch.where((high < key_low) | (key_high < low), EMPTY, PARTIAL + one.to(torch.int8)).to(torch.int8)

    def check(self, shape: tuple[int, int, int, int]) -> None:
        if self.ids.shape[0] not in (1, shape[0]) or self.ids.shape[1] < max(shape[2:]):
            raise InputError(
                f"document needs an id for each of {shape[0]} × {max(shape[2:])} positions, got {tuple(self.ids.shape)}."
            )

    def __str__(self) -> str:
        return f"document({self.ids.shape[0]} × {self.ids.shape[1]})"


def _extent(ids: Tensor, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Least and greatest id in each run of positions."""
    longest = int((last - first).max()) + 1 if len(first) else 0
    inside = (first[:, None] + torch.arange(longest, device=first.device)).minimum(last[:, None])
    return ids[:, inside].aminmax(dim=-1) if longest else (ids[:, :0], ids[:, :0])


@dataclass(frozen=True)
class Global(Mask):
    """Positions that look at all, and that all look at."""

    positions: tuple[int, ...]

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        positions = torch.tensor(self.positions, device=key.device)
        return torch.isin(query, positions) | torch.isin(key, positions)

    def tiles(self, query_first: Tensor, query_last: Tensor, key_first: Tensor, key_last: Tensor) -> Tensor:
        return torch.maximum(self._share(query_first, query_last)[:, None], self._share(key_first, key_last))[None, None]

    def _share(self, first: Tensor, last: Tensor) -> Tensor:
        """What is known of runs of positions of which the global ones count."""
        positions = torch.tensor(sorted(set(self.positions)), device=first.device)
        inside = torch.searchsorted(positions, last, right=True) - torch.searchsorted(positions, first)
        return (inside > 0).to(torch.int8) + (inside == last - first + 1).to(torch.int8)

    def __str__(self) -> str:
        return f"global({len(self.positions)} positions)"


def padding(lengths: Int[Tensor, " batch"], query_lengths: Int[Tensor, " batch"] | None = None) -> Mask:
    """Keys before the end of their sequence; lengths in tokens, one for each sequence or one for all.

    With `query_lengths`, padded queries see nothing: they give zeros, and the lens leaves them out of its means.
    """
    for given in (lengths, query_lengths):
        if given is not None and (given.dim() != 1 or given.is_floating_point() or _is_below_zero(given)):
            raise InputError(
                f"padding needs one whole number >= 0 per sequence, got {given.dtype} of shape {tuple(given.shape)}."
            )
    return Padding(lengths, query_lengths)


def _is_below_zero(numbers: Tensor) -> bool:
    """Asked on a CPU only: a GPU would have to be waited for at each call."""
    return numbers.device.type == "cpu" and bool((numbers < 0).any())


def document(ids: Int[Tensor, "batch length"]) -> Mask:
    """Keys of the query's own document, for rows in which several stand one after the other."""
    if ids.dim() != 2 or ids.is_floating_point():
        raise InputError(f"document needs whole numbers of shape (batch, length), got {ids.dtype} of shape {tuple(ids.shape)}.")
    return Document(ids)


def prefix(lengths: Int[Tensor, " batch"]) -> Mask:
    """Causal, but the first `lengths` positions are seen by all; Raffel et al. 2020, arXiv:1910.10683, figure 4."""
    return causal | padding(lengths)


def global_local(positions: list[int] | tuple[int, ...], left: int, right: int) -> Mask:
    """A window, and `positions` that look at all and are seen by all; Beltagy et al. 2020, arXiv:2004.05150, figure 2d."""
    if any(position < 0 for position in positions):
        raise InputError(f"global_local needs positions >= 0, got {min(positions)}.")
    return window(left, right) | Global(tuple(positions))
