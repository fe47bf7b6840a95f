"""What the Triton kernels of the lens share.

A tile of queries stays while keys stream past. On the tensor cores' layouts the eight columns that lie side by side belong to
different threads, and every eighth to the same one: what is known of a row is kept for each of these classes of columns, and
nothing passes between threads before the end, but for what a key receives.
"""

from __future__ import annotations

import triton
import triton.language as tl

from regard.attention.kernels.pieces import INTERPRETED, load_rows, soften

CLASSES = tl.constexpr(8)
NOTHING = tl.constexpr(float("-inf"))
TINY = tl.constexpr(1e-30)
"""What a mass is at least where it divides."""


@triton.jit
def classes(x):
    """The columns of a tile by class: (rows, K, CLASSES)."""
    return tl.reshape(x, [x.shape[0], x.shape[1] // CLASSES, CLASSES])


@triton.jit
def halves(x):
    """The even and the odd columns by class: (rows, K, CLASSES / 2) each."""
    return tl.split(tl.reshape(x, [x.shape[0], x.shape[1] // CLASSES, CLASSES // 2, 2]))


@triton.jit
def inverse(x):
    """1 / x for x ≥ TINY, to 1 unit in the last place: a mean that is a little off is corrected nowhere, and need not be."""
    x = tl.maximum(x, TINY)
    if INTERPRETED:
        return 1 / x
    else:
        return tl.inline_asm_elementwise("rcp.approx.ftz.f32 $0, $1;", "=f,f", [x], dtype=tl.float32, is_pure=True, pack=1)


@triton.jit
def columns(p, FOLD: tl.constexpr):
    """Sums over the rows of a tile.

    With FOLD warps along the rows, first of those that a thread has, in registers; of the rest, a product with ones puts
    them where one thread has a whole column, which passes through shared memory once.
    """
    R: tl.constexpr = p.shape[0]
    K: tl.constexpr = p.shape[1]
    if FOLD > 0 and R % (16 * FOLD) == 0:
        part = tl.sum(tl.reshape(p, [R // (16 * FOLD), FOLD, 2, 8, K]), 2)
        part = tl.reshape(tl.sum(part, 0), [8 * FOLD, K])
        return tl.reshape(tl.dot(tl.full([1, 8 * FOLD], 1, tl.float32), part, input_precision="ieee"), [K])
    else:
        return tl.sum(p, 0)


@triton.jit
def joined(one, other):
    """(mass, mean, second moment about it) of two sets of weights together; Chan, Golub, LeVeque 1979."""
    mass = one[0] + other[0]
    share = other[0] * inverse(mass)
    step = other[1] - one[1]
    return mass, one[1] + step * share, one[2] + other[2] + step * step * one[0] * share


@triton.jit
def distances_plain(p, ahead):
    """Mass, mean and second moment of the distances of a tile that lies on one side of all its rows.

    Two neighbours are taken together: of the second, only what it differs by is added.
    """
    K: tl.constexpr = p.shape[1] // CLASSES
    even, odd = halves(p)
    both = even + odd
    place = (tl.arange(0, K) * CLASSES).to(tl.float32)[None, :, None]
    mass, odds = tl.sum(both, 1), tl.sum(odd, 1)
    mean = (tl.sum(both * place, 1) + odds) * inverse(mass)
    step = place - mean[:, None, :]
    weighted = both * step
    apart = tl.sum(weighted * step, 1) + 2 * tl.sum(odd * step, 1) + odds
    first = ahead + (tl.arange(0, CLASSES // 2) * 2).to(tl.float32)[None, :]
    return mass, tl.abs(first + mean), tl.maximum(apart, 0.0)


@triton.jit
def distances_any(p, distance):
    """The same of any tile, whose distances are given."""
    even, odd = halves(p)
    near, far = halves(distance)
    mass = tl.sum(even + odd, 1)
    mean = tl.sum(even * near + odd * far, 1) * inverse(mass)
    near -= mean[:, None, :]
    far -= mean[:, None, :]
    return mass, mean, tl.sum(even * near * near + odd * far * far, 1)


@triton.jit
def ranked(z, top, top_at, first):
    """The largest scores of each row, in no order, after those of a tile were taken in."""
    slot, column = tl.arange(0, top.shape[1])[None, :], tl.arange(0, z.shape[1])[None, :]
    most, at = tl.max(z, 1, return_indices=True)
    while tl.max((most > tl.min(top, 1)).to(tl.int32), 0) > 0:
        least, where = tl.min(top, 1, return_indices=True)
        replaced = (most > least)[:, None] & (slot == where[:, None])
        top = tl.where(replaced, most[:, None], top)
        top_at = tl.where(replaced, first + at[:, None], top_at)
        z = tl.where(column == at[:, None], NOTHING, z)
        most, at = tl.max(z, 1, return_indices=True)
    return top, top_at


@triton.jit
def product_of(q, key, stride, first, num_keys, terms, DIM: tl.constexpr, STEP: tl.constexpr, CHECKED: tl.constexpr):
    k = load_rows(key, stride, first, num_keys, DIM, q.shape[1], STEP, CHECKED)
    return soften(tl.dot(q, tl.trans(k), input_precision="ieee"), terms)


@triton.jit
def place_of(lines, line_strides, first_item, num_heads, kept_lines):
    """(tile of queries, batch, head) of this program, and its line of the layout."""
    # The last rows of a causal mask have the most to do: they start first.
    tile = tl.num_programs(0) - 1 - tl.program_id(0)
    if kept_lines is not None:
        tile = tl.load(kept_lines + tile)
    item = first_item + tl.program_id(1)
    batch, head = item // num_heads, item % num_heads
    return tile, batch, head, batch * line_strides[0] + head * line_strides[1] + tile
