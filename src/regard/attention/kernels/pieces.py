"""What the forward and the backward kernels share: arguments, loads, scores, permissions.

Index tensors are columns or rows, so that one function serves the scores and their transpose.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

LOG2E = tl.constexpr(math.log2(math.e))
LN2 = tl.constexpr(math.log(2))
FLOOR = tl.constexpr(-1e30)
"""Where the running maximum starts: finite, so that a row without keys gives exp2(-inf), never inf - inf."""
INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)


class Matrices(NamedTuple):
    """A tensor (batch, heads, length, dim) whose last side is dense, as a kernel takes it."""

    data: Tensor
    batch: int
    head: int
    row: int

    @classmethod
    def of(cls, data: Tensor) -> Matrices:
        return cls(data, *data.stride()[:3])


class Terms(NamedTuple):
    """What is done to a product of query and key besides scaling; None is not compiled in.

    Scores are kept in base 2: factor · product, or factor · tanh(inner · product) under a softcap.
    """

    factor: float
    inner: float | None
    slopes: Tensor | None
    sinks: Tensor | None
    drop_rows: Tensor | None
    drop_keys: Tensor | None
    key_threshold: int | None
    weight_threshold: int | None
    weight_scale: float | None


@triton.jit
def matrix(matrices, batch, head):
    return matrices.data + tl.cast(batch, tl.int64) * matrices.batch + tl.cast(head, tl.int64) * matrices.head


@triton.jit
def places(first, stride, STEP: tl.constexpr, WIDTH: tl.constexpr):
    """Where the numbers of a tile lie; only its start can be beyond 2^31."""
    return tl.cast(first, tl.int64) * stride + (tl.arange(0, STEP)[:, None] * stride + tl.arange(0, WIDTH)[None, :])


@triton.jit
def load_rows(data, stride, first, length, DIM: tl.constexpr, WIDTH: tl.constexpr, STEP: tl.constexpr, CHECKED: tl.constexpr):
    """Rows first .. first + STEP - 1; zeros where they are wider than DIM and, if checked, beyond the length."""
    place = data + places(first, stride, STEP, WIDTH)
    if CHECKED:
        inside = (first + tl.arange(0, STEP)[:, None] < length) & (tl.arange(0, WIDTH)[None, :] < DIM)
        return tl.load(place, mask=inside, other=0.0)
    elif DIM != WIDTH:
        return tl.load(place, mask=tl.arange(0, WIDTH)[None, :] < DIM, other=0.0)
    else:
        return tl.load(place)


@triton.jit
def store_rows(data, stride, first, length, rows, DIM: tl.constexpr):
    STEP: tl.constexpr = rows.shape[0]
    WIDTH: tl.constexpr = rows.shape[1]
    inside = (first + tl.arange(0, STEP)[:, None] < length) & (tl.arange(0, WIDTH)[None, :] < DIM)
    tl.store(data + places(first, stride, STEP, WIDTH), rows.to(data.dtype.element_ty), mask=inside)


@triton.jit
def pin(rows, PINNED: tl.constexpr):
    """The same numbers, but as registers that a product left, where later products need not fetch them from shared memory."""
    if PINNED:
        column = tl.arange(0, rows.shape[1])
        identity = (column[:, None] == column[None, :]).to(rows.dtype)
        return tl.dot(rows, identity, input_precision="ieee").to(rows.dtype)
    else:
        return rows


@triton.jit
def settle(sums, SETTLED: tl.constexpr):
    """The same numbers, but the compiler cannot know: it waits for the product behind them within this step of the loop.

    With products in flight from one step to the next, ptxas may wait after every instruction of all of them (its C7510).
    """
    if SETTLED and not INTERPRETED:
        return tl.inline_asm_elementwise("mov.b32 $0, $1;", "=r,r", [sums], dtype=tl.float32, is_pure=True, pack=1)
    else:
        return sums


@triton.jit
def tanh(x):
    """To float32's precision at every x: a series near 0, where 1 - exp(-2x) cancels."""
    square = x * x
    series = x * (1 + square * (-1 / 3 + square * (2 / 15 + square * (-17 / 315 + square * (62 / 2835)))))
    decay = tl.exp2(tl.abs(x) * (-2 * LOG2E))
    ratio = (1 - decay) / (1 + decay)
    return tl.where(tl.abs(x) < 0.25, series, tl.where(x < 0, -ratio, ratio))


@triton.jit
def soften(product, terms):
    """tanh(inner · product) under a softcap."""
    if terms.inner is not None:
        product = tanh(product * terms.inner)
    return product


@triton.jit
def slope_of(terms, head):
    if terms.slopes is not None:
        return tl.load(terms.slopes + head) * LOG2E
    else:
        return 0.0


@triton.jit
def lean(product, i, j, slope, terms):
    """Scores as (x, factor), meaning x · factor: without slopes the multiplication is left to be fused later."""
    if terms.slopes is None:
        return product, terms.factor
    else:
        return product * terms.factor - slope * tl.abs(i - j), 1.0


@triton.jit
def codes(source, before, index, count):
    """Codes of rows or of keys, if anything is dropped."""
    if source is not None:
        return tl.load(source + before + index, mask=index < count, other=0)
    else:
        return 0


@triton.jit
def load_bits(words, word, i, k, first, ROWS: tl.constexpr, KEYS: tl.constexpr, STEP: tl.constexpr):
    """Words of a partial tile: for row i and key first + k, k < STEP, bit k % 32 says whether i may look at it."""
    here = words + (tl.cast(word, tl.int64) * (KEYS // 32) + first // 32) * ROWS + i
    bits = tl.load(here)
    if STEP < 32:
        bits = bits >> first % 32
    for more in tl.static_range(1, STEP // 32):
        bits = tl.where(k < 32 * more, bits, tl.load(here + more * ROWS))
    return bits


@triton.jit
def permitted(bits, k):
    """To be asked after a product: what outlives one costs registers."""
    return (bits & (1 << (k % 32))) != 0
