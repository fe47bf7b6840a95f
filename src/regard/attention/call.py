"""One call of attention as a value: what backends compute, plans explain and the lens reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from regard.attention.dropout import Drawn, check_dropout
from regard.attention.masks import EMPTY, FULL, PARTIAL, Mask, edges, everything
from regard.attention.positions.bias import Bias
from regard.errors import InputError

if TYPE_CHECKING:
    from regard.attention.mechanism import Mechanism

TILE_ROWS, TILE_KEYS = 128, 64
BLOCK_NUMBERS = 2**21
"""Numbers that one block may hold for its pairs of query and key, heads and batch counted: 8 MB in float32."""


@dataclass(frozen=True)
class Block:
    """A run of rows of some sequences, with the runs of keys that these rows may look at."""

    batch: range
    rows: range
    runs: tuple[range, ...]
    is_full: bool = False
    """May every row look at every key?"""

    @property
    def keys(self) -> range | Tensor:
        """The keys as one run, or as a list of positions."""
        return self.runs[0] if len(self.runs) == 1 else torch.cat([torch.arange(run.start, run.stop) for run in self.runs])

    def of_keys(self, x: Tensor, axis: int = 2) -> Tensor:
        """These keys of a tensor, side by side; a view if they are one run."""
        parts = [x.narrow(axis, run.start, len(run)) for run in self.runs]
        return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


@dataclass(frozen=True)
class Call:
    """A mechanism and what it is applied to: (batch, heads, length, head_dim) each, key/value heads may be fewer.

    Raises InputError when they cannot belong together.
    """

    mechanism: Mechanism
    query: Tensor
    key: Tensor
    value: Tensor
    mask: Mask = everything
    bias: Tensor | Bias | None = None
    dropout: Drawn | None = None

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_kinds(self)
        check_mask(self.mask)
        self.mask.check(self.shape)
        check_bias(self.bias, self.shape)
        check_dropout(self.dropout)

    def detached(self) -> Call:
        """The same numbers, of which no gradient is kept."""
        bias = self.bias.detach() if isinstance(self.bias, Tensor) else self.bias
        return replace(self, query=self.query.detach(), key=self.key.detach(), value=self.value.detach(), bias=bias)

    @cached_property
    def shape(self) -> tuple[int, int, int, int]:
        """(batch, heads, queries, keys)."""
        return (*self.query.shape[:3], self.key.shape[2])

    @cached_property
    def seen(self) -> Mask:
        """The mask and DropKey in one, without limits that bind nowhere."""
        mask = self.mask.part(range(self.shape[2]), range(self.shape[3]))
        return mask if self.dropout is None or self.dropout.keys is None else mask & self.dropout.keys

    @property
    def whole(self) -> Block:
        """All of it as one block."""
        return Block(range(self.shape[0]), range(self.shape[2]), (range(self.shape[3]),))

    def bias_of(self, block: Block) -> Float[Tensor, "#batch #heads #rows #keys"] | None:
        """The numbers added to the scores of a block."""
        if isinstance(self.bias, Bias):
            heads = torch.arange(self.shape[1], device=self.query.device).view(-1, 1, 1)
            rows = torch.arange(block.rows.start, block.rows.stop, device=self.query.device).view(-1, 1)
            keys = block.of_keys(torch.arange(self.shape[3], device=self.query.device), 0)
            return self.bias.at(heads[None], rows[None, None], keys[None, None, None]).to(self.query.dtype)
        if self.bias is None:
            return None
        bias = self.bias[block.batch.start : block.batch.stop] if self.bias.shape[0] > 1 else self.bias
        bias = bias if bias.shape[2] == 1 else bias[:, :, block.rows.start : block.rows.stop]
        return bias if bias.shape[3] == 1 else block.of_keys(bias, 3)

    def weights(self, rows: range | None = None) -> Float[Tensor, "batch heads rows keys"]:
        """The exact weights of this call, all of them or some query rows; dropout included."""
        if rows is not None:  # cut first, or a bias would be written out for all
            return self.part(Block(range(self.shape[0]), rows, (range(self.shape[3]),))).weights()
        rows, mask, bias = range(self.shape[2]), self.mask, self.bias
        if isinstance(bias, Bias):
            bias = self.bias_of(self.whole)
        if self.dropout is None:
            return self.mechanism.weights(self.query, self.key, mask, bias=bias, rows=rows)
        mask = mask if self.dropout.keys is None else mask & self.dropout.keys
        whole = self.mechanism.weights(self.query, self.key, mask, bias=bias, rows=rows)
        return self.dropout.thinned(whole, rows)

    def part(self, block: Block, *cut: Tensor | None) -> Call:
        """This call over a block; `cut` are its query, key, value and bias where they are cut already."""
        batch, keys = slice(block.batch.start, block.batch.stop), block.keys
        query, key, value, bias = (*cut, None, None, None, None)[:4]
        return _Piece(
            self.mechanism,
            self.query[batch, :, block.rows.start : block.rows.stop] if query is None else query,
            block.of_keys(self.key[batch]) if key is None else key,
            block.of_keys(self.value[batch]) if value is None else value,
            everything if block.is_full else self.mask.part(block.rows, keys, block.batch),
            self.bias_of(block) if bias is None else bias,
            None if self.dropout is None else self.dropout.part(block.rows, keys, block.batch),
        )

    def blocks(self, numbers: int = 0) -> Iterator[Block]:
        """Blocks that cover every pair that may look; tiles without any are left out. O(keys) memory each."""
        batch, heads, queries, keys = self.shape
        numbers = numbers or BLOCK_NUMBERS
        for rows, known in zip(*tile_table(self.mask, queries, keys), strict=True):
            runs = runs_of(known, keys)
            visible = sum(len(run) for run in runs)
            is_full = all(state != PARTIAL for state in known)
            if visible:
                per_row = heads * visible * self.mechanism.pair_width
                yield from _fitted(Block(range(batch), rows, runs, is_full), numbers // per_row)

    def share_skipped(self) -> float:
        """Share of the matrix, in [0, 1], that lies in tiles in which no pair may look."""
        queries, keys = self.shape[2:]
        rows, table = tile_table(self.mask, queries, keys)
        seen = sum(len(row) * sum(len(run) for run in runs_of(known, keys)) for row, known in zip(rows, table, strict=True))
        return 1 - seen / max(1, queries * keys)


class _Piece(Call):
    """A part of a call, which was checked as a whole."""

    def __post_init__(self) -> None:
        pass


def tile_table(mask: Mask, queries: int, keys: int) -> tuple[list[range], list[list[int]]]:
    """Runs of rows, and what is known of each tile in them over all heads and sequences."""
    rows = [range(start, min(start + TILE_ROWS, queries)) for start in range(0, queries, TILE_ROWS)]
    if mask == everything or not queries or not keys:
        return rows, [[FULL] * -(-keys // TILE_KEYS)] * len(rows)
    table = mask.tiles(*edges(queries, TILE_ROWS), *edges(keys, TILE_KEYS)).flatten(0, 1)
    known = torch.where((table == FULL).all(0), FULL, (table != EMPTY).any(0).to(torch.int8))
    return rows, known.tolist()


def runs_of(known: list[int], keys: int) -> tuple[range, ...]:
    """Tiles beside one another that are not empty, as runs of keys."""
    seen = [tile for tile, state in enumerate(known) if state != EMPTY]
    joined = [[tile for _, tile in group] for _, group in groupby(enumerate(seen), key=lambda pair: pair[1] - pair[0])]
    return tuple(range(run[0] * TILE_KEYS, min((run[-1] + 1) * TILE_KEYS, keys)) for run in joined)


def _fitted(block: Block, rows_that_fit: int) -> Iterator[Block]:
    """The block, cut by sequences and then by rows until it holds at most `rows_that_fit` rows."""
    sequences = max(1, min(len(block.batch), rows_that_fit // len(block.rows)))
    rows = max(1, min(len(block.rows), rows_that_fit))
    for first in range(0, len(block.batch), sequences):
        batch = range(first, min(first + sequences, len(block.batch)))
        for start in range(block.rows.start, block.rows.stop, rows):
            yield Block(batch, range(start, min(start + rows, block.rows.stop)), block.runs, block.is_full)


def share(heads: Float[Tensor, "batch kv_heads length dim"], num_heads: int) -> Float[Tensor, "batch heads length dim"]:
    """Repeat key/value heads so that groups of query heads share one; Ainslie et al. 2023, arXiv:2305.13245."""
    return heads if heads.shape[1] == num_heads else heads.repeat_interleave(num_heads // heads.shape[1], dim=1)


def _broadcasts(given: torch.Size, shape: tuple[int, ...]) -> bool:
    return len(given) == 4 and all(size in (1, need) for size, need in zip(given, shape, strict=True))


def _check_shapes(call: Call) -> None:
    query, key, value = call.query.shape, call.key.shape, call.value.shape
    if not len(query) == len(key) == len(value) == 4:
        raise InputError(f"query, key, value must have 4 sides (batch, heads, length, head_dim), got {_shapes(call)}.")
    if query[0] != key[0] or key[:3] != value[:3]:
        raise InputError(f"query, key, value must agree in batch, key and value also in heads and length, got {_shapes(call)}.")
    if query[3] != key[3] or query[1] % max(1, key[1]):
        raise InputError(
            f"query and key must agree in head_dim, and query heads be a multiple of key heads, got {_shapes(call)}."
        )


def check_bias(bias: object, shape: tuple[int, int, int, int]) -> None:
    """Raise InputError unless it is one that can be added to scores of (batch, heads, queries, keys)."""
    if bias is None:
        return
    if isinstance(bias, Bias):
        bias.require(shape[1])
    elif not isinstance(bias, Tensor):
        raise InputError(f"bias must be a tensor or a regard Bias, got {bias!r}.")
    elif not _broadcasts(bias.shape, shape):
        raise InputError(f"bias must broadcast to {shape}, with 4 sides, got {tuple(bias.shape)}.")
    elif not bias.is_floating_point():
        raise InputError(f"bias must hold floating-point numbers, got {bias.dtype}: True = may look is masks.dense(...).")


def check_mask(mask: object) -> None:
    """Raise InputError unless it is a mask of ours."""
    if not isinstance(mask, Mask):
        hint = "pass masks.dense(mask)" if isinstance(mask, Tensor) else "see `regard list masks`"
        raise InputError(f"mask must be a regard mask (True = may look), got {type(mask).__name__}: {hint}.")


def _check_kinds(call: Call) -> None:
    query, key, value = given = call.query, call.key, call.value
    if query.dtype == key.dtype == value.dtype and query.is_floating_point() and query.device == key.device == value.device:
        return
    if len({x.dtype for x in given}) > 1 or not call.query.is_floating_point():
        kinds = ", ".join(str(x.dtype).removeprefix("torch.") for x in given)
        raise InputError(f"query, key, value must be of one floating-point type, got {kinds}: convert them with .to(dtype).")
    raise InputError(f"query, key, value must be on one device, got {', '.join(str(x.device) for x in given)}.")


def _shapes(call: Call) -> str:
    return ", ".join(f"{name} {tuple(getattr(call, name).shape)}" for name in ("query", "key", "value"))
