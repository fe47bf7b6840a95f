"""Which tiles of the matrix of queries and keys the kernels walk over, and what they may see in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int, Int8, Int32, Int64
from torch import Tensor

from regard.attention.masks import FULL, PARTIAL, Mask, edges

WORD = 32
"""Keys whose permission for one query fits into one int32."""
CHUNK = 2**23
"""Pairs of query and key that are written out at a time: 64 MB for each int64 a mask makes of them."""


class Lines(NamedTuple):
    """Tiles line by line (a line is a tile of queries, or of keys in the transposed view).

    Line i has the full tiles runs[r, 0] .. runs[r, 1] - 1 for r in run_first[i] .. run_first[i + 1] - 1, and the partial
    tiles part_tile[p] with the words at part_word[p] for p in part_first[i] .. part_first[i + 1] - 1.
    """

    run_first: Int32[Tensor, " lines_and_one"]
    runs: Int32[Tensor, "num_runs 2"]
    part_first: Int32[Tensor, " lines_and_one"]
    part_tile: Int32[Tensor, " partial"]
    part_word: Int32[Tensor, " partial"]


@dataclass(frozen=True, eq=False)
class Layout:
    """The tiles of rows × keys pairs that a mask leaves, O(tiles that are not empty) memory.

    Bit k of words[p, w, i] says whether query i of partial tile p may look at its key 32 w + k; 0 beyond the ends. A tile
    that reaches beyond an end is never full, so full tiles need no bounds checks.
    """

    shape: tuple[int, int]
    """Queries and keys."""
    rows: int
    keys: int
    size: tuple[int, int, int, int]
    """Batch and heads, 1 where the mask does not depend on them; tiles of queries; tiles of keys."""
    by_query: Lines
    by_key: Lines
    words: Int32[Tensor, "partial width rows"]

    @classmethod
    def build(
        cls, mask: Mask, queries: int, num_keys: int, device: torch.device | str, *, rows: int = 64, keys: int = 64
    ) -> Layout:
        """Tiles of `rows` queries and `keys` keys (a multiple of 32). Tiles that turn out full or empty count as such."""
        sides = *edges(queries, rows, device), *edges(num_keys, keys, device)
        states = mask.tiles(*sides)
        inside = (sides[1] - sides[0] == rows - 1)[:, None] & (sides[3] - sides[2] == keys - 1)
        states = torch.where(inside, states, states.clamp(max=PARTIAL))
        states, place, words = _settle(mask, states, (queries, num_keys), (rows, keys))
        order = torch.argsort(_rank(place[:, [0, 1, 3, 2]], states.mT.shape))
        return cls(
            (queries, num_keys),
            rows,
            keys,
            (states.shape[0], states.shape[1], states.shape[2], states.shape[3]),
            _lines(states, place[:, 3], torch.arange(len(place), device=place.device)),
            _lines(states.mT, place[order, 2], order),
            words,
        )

    @property
    def skipped_share(self) -> float:
        """Share of tiles that are empty, in 0..1; waits for the device."""
        runs = self.by_query.runs
        kept = int((runs[:, 1] - runs[:, 0]).sum()) + len(self.words)
        total = self.size[0] * self.size[1] * self.size[2] * self.size[3]
        return 1 - kept / total if total else 0.0

    @property
    def by_query_strides(self) -> tuple[int, int]:
        """Lines from one batch, and from one head, to the next."""
        return self._strides(self.size[2])

    @property
    def by_key_strides(self) -> tuple[int, int]:
        return self._strides(self.size[3])

    def _strides(self, lines: int) -> tuple[int, int]:
        batch, heads = self.size[:2]
        return (heads * lines if batch > 1 else 0, lines if heads > 1 else 0)


def pack(allowed: Bool[Tensor, "*shape keys"]) -> Int32[Tensor, "*shape words"]:
    """32 booleans to an int32, the first in the lowest bit.

    Eight bytes of 0 or 1, read as an int64 and multiplied by this number, leave their bits in the highest byte.
    """
    bits = (allowed.contiguous().view(torch.int64) * 0x0102040810204080 >> 56) & 0xFF
    return bits.to(torch.uint8).view(torch.int32)


def _settle(
    mask: Mask, states: Int8[Tensor, "batch heads query_tiles key_tiles"], shape: tuple[int, int], tile: tuple[int, int]
) -> tuple[Int8[Tensor, "batch heads query_tiles key_tiles"], Int64[Tensor, "partial 4"], Int32[Tensor, "partial width rows"]]:
    """Look into the tiles that may be partial: their true states, and the places and words of those that are."""
    states = states.clone()
    places, words = [], []
    for place in (states == PARTIAL).nonzero().split(max(1, CHUNK // (tile[0] * tile[1]))):
        bits = _words(mask, place, shape, tile)
        state = PARTIAL + (bits == -1).flatten(1).all(1).to(torch.int8) - (bits == 0).flatten(1).all(1).to(torch.int8)
        states[tuple(place.unbind(1))] = state
        kept = (state == PARTIAL).nonzero()[:, 0]
        places.append(place[kept])
        words.append(bits[kept])
    return states, torch.cat(places), torch.cat(words)


def _words(
    mask: Mask, place: Int64[Tensor, "some 4"], shape: tuple[int, int], tile: tuple[int, int]
) -> Int32[Tensor, "some width rows"]:
    batch, head, query, key = (index[:, None, None] for index in place.unbind(1))
    query = query * tile[0] + torch.arange(tile[0], device=place.device)[:, None]
    key = key * tile[1] + torch.arange(tile[1], device=place.device)
    inside = (query < shape[0]) & (key < shape[1])
    allowed = mask.allows(batch, head, query.clamp(max=shape[0] - 1), key.clamp(max=shape[1] - 1)) & inside
    return pack(allowed.expand(inside.shape)).transpose(1, 2).contiguous()


def _lines(states: Int8[Tensor, "batch heads lines tiles"], tile: Tensor, word: Tensor) -> Lines:
    full = torch.nn.functional.pad(states == FULL, (1, 1))
    # A run starts at an edge and stops before the next.
    edges = full[..., 1:] != full[..., :-1]
    runs = edges.nonzero()[:, 3].view(-1, 2)
    return Lines(_firsts(edges) // 2, runs.int(), _firsts(states == PARTIAL), tile.int(), word.int())


def _firsts(marks: Bool[Tensor, "batch heads lines tiles"]) -> Int32[Tensor, " lines_and_one"]:
    """Where each line's marks begin in the list of all marks, and the end of the list."""
    return torch.nn.functional.pad(marks.sum(-1).flatten().cumsum(0), (1, 0)).int()


def _rank(place: Int[Tensor, "some 4"], shape: torch.Size) -> Int[Tensor, " some"]:
    """The index of each place in a tensor of this shape, flattened."""
    a, b, c, d = place.unbind(1)
    return ((a * shape[1] + b) * shape[2] + c) * shape[3] + d
