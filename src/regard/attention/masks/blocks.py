"""Masks that are written out: cell by cell, or block by block."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from regard.attention.masks.mask import Mask
from regard.errors import InputError


@dataclass(frozen=True, eq=False)
class Blocks(Mask):
    """A boolean table of which each cell stands for a square of block × block pairs."""

    table: Tensor
    block: int = 1

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        table = self.table.to(key.device)
        if self.block > 1:
            query, key = query // self.block, key // self.block
        index = zip((batch, head, query, key), table.shape, strict=True)
        return table[tuple(i if size > 1 else torch.zeros_like(i) for i, size in index)]

    def tiles(self, query_first: Tensor, query_last: Tensor, key_first: Tensor, key_last: Tensor) -> Tensor:
        (top, bottom), (left, right) = (
            (first // self.block, last // self.block + 1) if size > 1 else (torch.zeros_like(first), torch.ones_like(last))
            for first, last, size in zip((query_first, key_first), (query_last, key_last), self.table.shape[2:], strict=True)
        )
        sums = torch.nn.functional.pad(self.table.to(top.device, torch.int32), (1, 0, 1, 0)).cumsum(2).cumsum(3)
        rows = sums[:, :, bottom] - sums[:, :, top]
        allowed = rows[..., right] - rows[..., left]
        area = (bottom - top)[:, None] * (right - left)
        return (allowed > 0).to(torch.int8) + (allowed == area).to(torch.int8)

    def check(self, shape: tuple[int, int, int, int]) -> None:
        needed = (shape[0], shape[1], *(-(-length // self.block) for length in shape[2:]))
        if any(size not in (1, need) for size, need in zip(self.table.shape, needed, strict=True)):
            raise InputError(
                f"{self} does not fit (batch, heads, queries, keys) = {shape}: it must be {needed}, or 1 where alike."
            )

    def __str__(self) -> str:
        sides = " × ".join(map(str, self.table.shape))
        return f"dense({sides})" if self.block == 1 else f"block_sparse({sides}, block={self.block})"


def dense(allowed: Bool[Tensor, ...]) -> Mask:
    """A boolean matrix (…, queries, keys) with at most batch and heads before; O(queries · keys) memory."""
    return block_sparse(allowed, 1)


def block_sparse(table: Bool[Tensor, ...], block: int) -> Mask:
    """A boolean table (…, queries / block, keys / block), at most batch and heads before; what is False costs nothing.

    Cells at the end may stand for less than a whole block.
    """
    if table.dtype != torch.bool or not 2 <= table.dim() <= 4:
        raise InputError(f"A mask needs a boolean tensor of 2 to 4 sides, got {table.dtype} of shape {tuple(table.shape)}.")
    if block < 1:
        raise InputError(f"block_sparse needs block >= 1, got {block}.")
    while table.dim() < 4:
        table = table.unsqueeze(0)
    return Blocks(table, block)
