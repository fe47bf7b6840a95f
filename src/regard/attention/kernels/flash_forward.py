"""The forward kernel: FlashAttention-2 (Dao 2023, arXiv:2307.08691, algorithm 1) over the tiles of a layout."""

from __future__ import annotations

import triton
import triton.language as tl

from regard.attention.kernels.pieces import (
    FLOOR,
    LN2,
    LOG2E,
    codes,
    lean,
    load_bits,
    load_rows,
    matrix,
    permitted,
    pin,
    settle,
    slope_of,
    soften,
    store_rows,
)


@triton.jit
def _look(
    q,
    state,
    key,
    value,
    strides,
    i,
    first,
    num_keys,
    bits,
    slope,
    row_codes,
    terms,
    DIM: tl.constexpr,
    VALUE_DIM: tl.constexpr,
    STEP: tl.constexpr,
    SETTLED: tl.constexpr,
):
    """One step of the online softmax; `bits` is None where every pair is allowed."""
    acc, peak, mass = state
    j = first + tl.arange(0, STEP)[None, :]
    k = load_rows(key, strides[0], first, num_keys, DIM, q.shape[1], STEP, bits is not None)
    v = load_rows(value, strides[1], first, num_keys, VALUE_DIM, acc.shape[1], STEP, bits is not None)
    product = tl.dot(q, tl.trans(k), input_precision="ieee")
    x, factor = lean(soften(product, terms), i, j, slope, terms)
    if bits is not None:
        x = tl.where(permitted(bits, j - first), x, float("-inf"))
    code = row_codes * codes(terms.drop_keys, 0, j, num_keys)
    if terms.key_threshold is not None:
        x = tl.where(code < terms.key_threshold, float("-inf"), x)
    new_peak = tl.maximum(peak, tl.max(x, 1) * factor)
    p = tl.exp2(x * factor - new_peak[:, None])
    shrink = tl.exp2(peak - new_peak)
    mass = mass * shrink + tl.sum(p, 1)
    if terms.weight_threshold is not None:
        p = tl.where(code < terms.weight_threshold, 0.0, p)
    acc = tl.dot(p.to(v.dtype), v, acc * shrink[:, None], input_precision="ieee")
    return settle(acc, SETTLED), new_peak, mass


@triton.jit
def forward_kernel(
    query,
    key,
    value,
    out,
    lse,
    lines,
    line_strides,
    words,
    terms,
    num_queries,
    num_keys,
    GROUP: tl.constexpr,
    DIM: tl.constexpr,
    WIDTH: tl.constexpr,
    VALUE_DIM: tl.constexpr,
    VALUE_WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    KEYS: tl.constexpr,
    STEP_ROWS: tl.constexpr,
    STEP_KEYS: tl.constexpr,
    PINNED: tl.constexpr,
    SETTLED: tl.constexpr,
):
    # The last rows of a causal mask have the most to do: they start first.
    tile = tl.num_programs(0) - 1 - tl.program_id(0)
    head, batch = tl.program_id(1), tl.program_id(2)
    first_row = tile * STEP_ROWS
    rows = first_row + tl.arange(0, STEP_ROWS)
    i = rows[:, None]
    before = (tl.cast(batch, tl.int64) * tl.num_programs(1) + head) * num_queries
    line = batch * line_strides[0] + head * line_strides[1] + first_row // ROWS
    k_data, v_data = matrix(key, batch, head // GROUP), matrix(value, batch, head // GROUP)
    strides = (key.row, value.row)
    q = load_rows(matrix(query, batch, head), query.row, first_row, num_queries, DIM, WIDTH, STEP_ROWS, True)
    q = pin(q, PINNED)
    slope = slope_of(terms, head)
    row_codes = codes(terms.drop_rows, before, i, num_queries)

    acc = tl.zeros([STEP_ROWS, VALUE_WIDTH], tl.float32)
    if terms.sinks is not None:
        peak = tl.zeros([STEP_ROWS], tl.float32) + tl.load(terms.sinks + head) * LOG2E
        mass = tl.full([STEP_ROWS], 1, tl.float32)
    else:
        peak = tl.full([STEP_ROWS], FLOOR, tl.float32)
        mass = tl.zeros([STEP_ROWS], tl.float32)

    for run in range(tl.load(lines.run_first + line), tl.load(lines.run_first + line + 1)):
        start, stop = tl.load(lines.runs + 2 * run) * KEYS, tl.load(lines.runs + 2 * run + 1) * KEYS
        for first in range(start, stop, STEP_KEYS):
            acc, peak, mass = _look(
                q, (acc, peak, mass), k_data, v_data, strides, i, first, num_keys, None, slope, row_codes, terms,
                DIM, VALUE_DIM, STEP_KEYS, SETTLED,
            )  # fmt: skip
    SPLIT: tl.constexpr = KEYS // STEP_KEYS
    for step in range(tl.load(lines.part_first + line) * SPLIT, tl.load(lines.part_first + line + 1) * SPLIT):
        part, inner = step // SPLIT, step % SPLIT * STEP_KEYS
        k = tl.arange(0, STEP_KEYS)[None, :]
        bits = load_bits(words, tl.load(lines.part_word + part), i % ROWS, k, inner, ROWS, KEYS, STEP_KEYS)
        first = tl.load(lines.part_tile + part) * KEYS + inner
        acc, peak, mass = _look(
            q, (acc, peak, mass), k_data, v_data, strides, i, first, num_keys, bits, slope, row_codes, terms,
            DIM, VALUE_DIM, STEP_KEYS, SETTLED,
        )  # fmt: skip

    share = tl.where(mass > 0, 1 / mass, 0.0)
    if terms.weight_scale is not None:
        share *= terms.weight_scale
    store_rows(matrix(out, batch, head), out.row, first_row, num_queries, acc * share[:, None], VALUE_DIM)
    # log2(0) is -inf: a row without keys.
    tl.store(lse + before + rows, (peak + tl.log2(mass)) * LN2, mask=rows < num_queries)
