"""Deformable attention on a GPU: what is read of the maps is summed as it is read, and never held."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int32
from torch import Tensor
from torch.autograd.function import once_differentiable

Sides = tuple[tuple[int, int], ...]
"""Rows and columns of each map."""
ROWS = 16
"""Queries that a program takes at a time."""


@triton.jit
def begin_of(num_positions, num_queries, DIM: tl.constexpr, WIDTH: tl.constexpr, STEP: tl.constexpr):
    """Of a program: where the numbers of its head begin, its lines of queries, which of them there are, and its columns."""
    head, batch, num_heads = tl.program_id(1), tl.cast(tl.program_id(2), tl.int64), tl.num_programs(1)
    rows, dims = tl.program_id(0) * STEP + tl.arange(0, STEP), tl.arange(0, WIDTH)[None, :]
    begin = (batch * num_positions * num_heads + head) * DIM + dims
    return begin, (batch * num_queries + rows) * num_heads + head, rows < num_queries, dims


@triton.jit
def sides_of(levels, level):
    """Where a map begins among all positions, its rows and its columns."""
    return tl.load(levels + 3 * level), tl.load(levels + 3 * level + 1), tl.load(levels + 3 * level + 2)


@triton.jit
def place_of(places, sample, height, width, is_query):
    """The cell that a place is right of and below, and how far, in cells; what is far beyond the edges reads nothing anyway."""
    x = tl.load(places + 2 * sample, mask=is_query, other=0.0) * width - 0.5
    y = tl.load(places + 2 * sample + 1, mask=is_query, other=0.0) * height - 0.5
    x = tl.minimum(tl.maximum(x, -2.0), width + 1.0)
    y = tl.minimum(tl.maximum(y, -2.0), height + 1.0)
    column, row = tl.floor(x), tl.floor(y)
    return column.to(tl.int32), row.to(tl.int32), x - column, y - row


@triton.jit
def cell_of(row, column, first, height, width, is_query, stride):
    """Where the numbers of a cell begin, and whether there is such a cell."""
    is_there = is_query & (row >= 0) & (row < height) & (column >= 0) & (column < width)
    return tl.cast(first + row * width + column, tl.int64) * stride, is_there


@triton.jit
def forward_kernel(
    values,
    levels,
    places,
    weights,
    out,
    num_positions,
    num_queries,
    LEVELS: tl.constexpr,
    POINTS: tl.constexpr,
    DIM: tl.constexpr,
    WIDTH: tl.constexpr,
    STEP: tl.constexpr,
):
    begin, line, is_query, dims = begin_of(num_positions, num_queries, DIM, WIDTH, STEP)
    acc = tl.zeros([STEP, WIDTH], tl.float32)
    for level in range(LEVELS):
        first, height, width = sides_of(levels, level)
        for point in range(POINTS):
            sample = (line * LEVELS + level) * POINTS + point
            column, row, right, down = place_of(places, sample, height, width, is_query)
            weight = tl.load(weights + sample, mask=is_query, other=0.0)
            for corner in tl.static_range(4):
                across, along = corner % 2, corner // 2
                part = (right if across else 1 - right) * (down if along else 1 - down)
                cell, is_there = cell_of(row + along, column + across, first, height, width, is_query, tl.num_programs(1) * DIM)
                found = tl.load(values + begin + cell[:, None], mask=is_there[:, None] & (dims < DIM), other=0.0)
                acc += (weight * part)[:, None] * found.to(tl.float32)
    tl.store(out + line[:, None] * DIM + dims, acc, mask=is_query[:, None] & (dims < DIM))


@triton.jit
def backward_kernel(
    values,
    levels,
    places,
    weights,
    grad_out,
    grad_values,
    grad_places,
    grad_weights,
    num_positions,
    num_queries,
    LEVELS: tl.constexpr,
    POINTS: tl.constexpr,
    DIM: tl.constexpr,
    WIDTH: tl.constexpr,
    STEP: tl.constexpr,
):
    begin, line, is_query, dims = begin_of(num_positions, num_queries, DIM, WIDTH, STEP)
    grad = tl.load(grad_out + line[:, None] * DIM + dims, mask=is_query[:, None] & (dims < DIM), other=0.0)
    for level in range(LEVELS):
        first, height, width = sides_of(levels, level)
        for point in range(POINTS):
            sample = (line * LEVELS + level) * POINTS + point
            column, row, right, down = place_of(places, sample, height, width, is_query)
            weight = tl.load(weights + sample, mask=is_query, other=0.0)
            of_weight = tl.zeros([STEP], tl.float32)
            of_x, of_y = of_weight, of_weight
            for corner in tl.static_range(4):
                across, along = corner % 2, corner // 2
                share_x, share_y = right if across else 1 - right, down if along else 1 - down
                cell, is_there = cell_of(row + along, column + across, first, height, width, is_query, tl.num_programs(1) * DIM)
                is_number = is_there[:, None] & (dims < DIM)
                found = tl.load(values + begin + cell[:, None], mask=is_number, other=0.0)
                product = tl.sum(grad * found.to(tl.float32), 1)
                of_weight += share_x * share_y * product
                of_x += (2 * across - 1) * share_y * product
                of_y += (2 * along - 1) * share_x * product
                tl.atomic_add(grad_values + begin + cell[:, None], (weight * share_x * share_y)[:, None] * grad, mask=is_number)
            tl.store(grad_weights + sample, of_weight, mask=is_query)
            tl.store(grad_places + 2 * sample, weight * of_x * width, mask=is_query)
            tl.store(grad_places + 2 * sample + 1, weight * of_y * height, mask=is_query)


def sampled(
    maps: Sequence[Float[Tensor, "batch heads head_dim _ _"]],
    places: Float[Tensor, "batch queries heads levels points 2"],
    weights: Float[Tensor, "batch queries heads levels points"],
) -> Float[Tensor, "batch queries d_model"]:
    """As `deformable_attention` defines it, of maps in float32, bfloat16 or float16; sums are float32.

    Gradients of maps are added up in no fixed order. There are no second ones.
    """
    values = torch.cat([one.flatten(3).permute(0, 3, 1, 2) for one in maps], 1)
    sides = tuple((one.shape[3], one.shape[4]) for one in maps)
    return _Sampled.apply(values, places.contiguous(), weights.contiguous(), sides).flatten(2)  # type: ignore[no-untyped-call]


class _Sampled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, places: Tensor, weights: Tensor, sides: Sides) -> Tensor:
        out = places.new_empty(*weights.shape[:3], values.shape[3])
        levels = _levels(sides, values.device)
        _launch(forward_kernel, weights, values, levels, places, weights, out)
        ctx.save_for_backward(values, levels, places, weights)
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        values, levels, places, weights = ctx.saved_tensors
        grads = torch.zeros_like(values, dtype=torch.float32), torch.empty_like(places), torch.empty_like(weights)
        _launch(backward_kernel, weights, values, levels, places, weights, grad_out.contiguous(), *grads)
        return grads[0].to(values.dtype), grads[1], grads[2], None


@lru_cache(maxsize=64)
def _levels(sides: Sides, device: torch.device) -> Int32[Tensor, "levels 3"]:
    """Where each map begins among all positions, its rows and its columns."""
    firsts = [sum(rows * columns for rows, columns in sides[:level]) for level in range(len(sides))]
    table = [(first, *side) for first, side in zip(firsts, sides, strict=True)]
    return torch.tensor(table, dtype=torch.int32, device=device)


def _launch(kernel: Any, weights: Tensor, values: Tensor, *others: Tensor) -> None:
    batch, queries, heads, levels, points = weights.shape
    sizes = {"LEVELS": levels, "POINTS": points, "DIM": values.shape[3], "WIDTH": triton.next_power_of_2(values.shape[3])}
    grid = -(-queries // ROWS), heads, batch
    _run(kernel, grid, values, *others, values.shape[1], queries, **sizes, STEP=ROWS)


def _run(kernel: Any, grid: tuple[int, int, int], *arguments: Any, **sizes: Any) -> None:
    kernel[grid](*arguments, **sizes)
