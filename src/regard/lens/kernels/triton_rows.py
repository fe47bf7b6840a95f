"""Log-sum-exps of rows before, and names of keys after, the kernel that finds the statistics."""

from __future__ import annotations

import triton
import triton.language as tl

from regard.attention.kernels.pieces import FLOOR, LN2, lean, load_bits, load_rows, matrix, permitted, slope_of, soften
from regard.lens.kernels.triton_pieces import CLASSES, NOTHING, classes, place_of, product_of


@triton.jit
def _sum_up(z, factor, peak, mass):
    """One step of the online softmax, for each class of columns."""
    z = classes(z)
    new_peak = tl.maximum(peak, tl.max(z, 1) * factor)
    mass = mass * tl.exp2(peak - new_peak) + tl.sum(tl.exp2(z * factor - new_peak[:, None, :]), 1)
    return new_peak, mass


@triton.jit
def lse_kernel(
    query,
    key,
    lse,
    kept_lines,
    lines,
    line_strides,
    words,
    terms,
    first_item,
    num_heads,
    num_queries,
    num_keys,
    GROUP: tl.constexpr,
    DIM: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    KEYS: tl.constexpr,
    STEP: tl.constexpr,
):
    tile, batch, head, line = place_of(lines, line_strides, first_item, num_heads, kept_lines)
    first_row = tile * ROWS
    rows = first_row + tl.arange(0, ROWS)
    i, k = rows[:, None], tl.arange(0, STEP)[None, :]
    before = (tl.cast(batch, tl.int64) * num_heads + head) * num_queries
    k_data = matrix(key, batch, head // GROUP)
    q = load_rows(matrix(query, batch, head), query.row, first_row, num_queries, DIM, WIDTH, ROWS, True)
    slope = slope_of(terms, head)
    peak = tl.full([ROWS, CLASSES], FLOOR, tl.float32)
    mass = tl.zeros([ROWS, CLASSES], tl.float32)
    for run in range(tl.load(lines.run_first + line), tl.load(lines.run_first + line + 1)):
        start, stop = tl.load(lines.runs + 2 * run) * KEYS, tl.load(lines.runs + 2 * run + 1) * KEYS
        for first in range(start, stop, STEP):
            product = product_of(q, k_data, key.row, first, num_keys, terms, DIM, STEP, False)
            z, factor = lean(product, i, first + k, slope, terms)
            peak, mass = _sum_up(z, factor, peak, mass)
    SPLIT: tl.constexpr = KEYS // STEP
    for step in range(tl.load(lines.part_first + line) * SPLIT, tl.load(lines.part_first + line + 1) * SPLIT):
        part, inner = step // SPLIT, step % SPLIT * STEP
        bits = load_bits(words, tl.load(lines.part_word + part), i % ROWS, k, inner, ROWS, KEYS, STEP)
        first = tl.load(lines.part_tile + part) * KEYS + inner
        product = product_of(q, k_data, key.row, first, num_keys, terms, DIM, STEP, True)
        z, factor = lean(product, i, first + k, slope, terms)
        peak, mass = _sum_up(tl.where(permitted(bits, k), z, NOTHING), factor, peak, mass)
    most = tl.max(peak, 1)
    total = tl.sum(mass * tl.exp2(peak - most[:, None]), 1)
    # log2(0) is -inf: a row without keys.
    tl.store(lse + before + rows, (most + tl.log2(total)) * LN2, mask=rows < num_queries)


@triton.jit
def name_kernel(
    query,
    key,
    top_keys,
    terms,
    num_heads,
    num_queries,
    GROUP: tl.constexpr,
    DIM: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    KEYS: tl.constexpr,
):
    """Find the key of a row's largest score among those of its tile and class, where only these are known."""
    item = tl.program_id(1)
    batch, head = item // num_heads, item % num_heads
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    before = tl.cast(item, tl.int64) * num_queries
    inside = rows < num_queries
    code = tl.load(top_keys + before + rows, mask=inside, other=-1)
    is_open = code < -1
    if tl.max(is_open.to(tl.int32), 0) > 0:
        q = load_rows(matrix(query, batch, head), query.row, tl.program_id(0) * ROWS, num_queries, DIM, WIDTH, ROWS, True)
        slope = slope_of(terms, head)
        column = tl.arange(0, WIDTH)[None, :]
        k_data = matrix(key, batch, head // GROUP) + column
        first = tl.where(is_open, -2 - code, 0)
        most, at = tl.full([ROWS], NOTHING, tl.float32), first
        for step in range(0, KEYS, CLASSES):
            j = first + step
            wanted = is_open[:, None] & (column < DIM)
            k = tl.load(k_data + tl.cast(j, tl.int64)[:, None] * key.row, mask=wanted, other=0.0)
            product = tl.sum(q.to(tl.float32) * k.to(tl.float32), 1)
            z, _ = lean(soften(product, terms), rows, j, slope, terms)
            at = tl.where(z > most, j, at)
            most = tl.maximum(z, most)
        tl.store(top_keys + before + rows, at, mask=inside & is_open)
