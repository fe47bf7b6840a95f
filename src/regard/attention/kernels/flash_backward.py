"""The backward kernels: one walks over keys for the queries' gradient, one over queries for the keys' and values'.

FlashAttention-2 (Dao 2023, arXiv:2307.08691, algorithm 2) in two passes, so that no sum needs atomics and every run gives
the same bits. With P the weights, dP = dO Vᵀ, delta_i = dO_i · O_i: dS = P ∘ (dP - delta), dQ = dS K, dK = dSᵀ Q, dV = Pᵀ dO.
"""

from __future__ import annotations

import triton
import triton.language as tl

from regard.attention.kernels.pieces import (
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
def _pull_back(product, pull, base, delta, i, j, k, bits, slope, code, terms):
    """(P as it met the values, gradient of scale · product), either way up; `base` is the log-sum-exp in base 2."""
    soft = soften(product, terms)
    x, factor = lean(soft, i, j, slope, terms)
    p = tl.exp2(x * factor - base)
    if bits is not None:
        p = tl.where(permitted(bits, k), p, 0.0)
    if terms.key_threshold is not None:
        p = tl.where(code < terms.key_threshold, 0.0, p)
    used = p
    if terms.weight_threshold is not None:
        kept = tl.where(code < terms.weight_threshold, 0.0, terms.weight_scale)
        used, pull = p * kept, pull * kept
    gradient = p * (pull - delta)
    if terms.inner is not None:
        gradient *= 1 - soft * soft
    return used, gradient


@triton.jit
def _to_query(
    q,
    grad,
    acc,
    base,
    delta,
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
    """Add what a tile of keys gives to the gradient of a tile of queries."""
    j = first + tl.arange(0, STEP)[None, :]
    k = load_rows(key, strides[0], first, num_keys, DIM, q.shape[1], STEP, bits is not None)
    v = load_rows(value, strides[1], first, num_keys, VALUE_DIM, grad.shape[1], STEP, bits is not None)
    code = row_codes * codes(terms.drop_keys, 0, j, num_keys)
    product = tl.dot(q, tl.trans(k), input_precision="ieee")
    pull = tl.dot(grad, tl.trans(v), input_precision="ieee")
    _, gradient = _pull_back(product, pull, base, delta, i, j, j - first, bits, slope, code, terms)
    return settle(tl.dot(gradient.to(k.dtype), k, acc, input_precision="ieee"), SETTLED)


@triton.jit
def query_kernel(
    query,
    key,
    value,
    out,
    grad_out,
    grad_query,
    lse,
    bases,
    deltas,
    lines,
    line_strides,
    words,
    terms,
    scale,
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
    """The gradient of a tile of queries. Leaves to the other kernel delta, and lse in base 2 (0 for -inf)."""
    tile = tl.num_programs(0) - 1 - tl.program_id(0)
    head, batch = tl.program_id(1), tl.program_id(2)
    first_row = tile * STEP_ROWS
    i = first_row + tl.arange(0, STEP_ROWS)[:, None]
    before = (tl.cast(batch, tl.int64) * tl.num_programs(1) + head) * num_queries
    line = batch * line_strides[0] + head * line_strides[1] + first_row // ROWS
    k_data, v_data = matrix(key, batch, head // GROUP), matrix(value, batch, head // GROUP)
    strides = (key.row, value.row)
    q = load_rows(matrix(query, batch, head), query.row, first_row, num_queries, DIM, WIDTH, STEP_ROWS, True)
    o = load_rows(matrix(out, batch, head), out.row, first_row, num_queries, VALUE_DIM, VALUE_WIDTH, STEP_ROWS, True)
    grad = load_rows(
        matrix(grad_out, batch, head), grad_out.row, first_row, num_queries, VALUE_DIM, VALUE_WIDTH, STEP_ROWS, True
    )
    delta = tl.sum(o.to(tl.float32) * grad.to(tl.float32), 1)[:, None]
    tl.store(deltas + before + i, delta, mask=i < num_queries)
    base = tl.load(lse + before + i, mask=i < num_queries, other=0.0)
    base = tl.where(base == float("-inf"), 0.0, base * LOG2E)
    tl.store(bases + before + i, base, mask=i < num_queries)
    q, grad = pin(q, PINNED), pin(grad, PINNED)
    slope = slope_of(terms, head)
    row_codes = codes(terms.drop_rows, before, i, num_queries)

    acc = tl.zeros([STEP_ROWS, WIDTH], tl.float32)
    for run in range(tl.load(lines.run_first + line), tl.load(lines.run_first + line + 1)):
        start, stop = tl.load(lines.runs + 2 * run) * KEYS, tl.load(lines.runs + 2 * run + 1) * KEYS
        for first in range(start, stop, STEP_KEYS):
            acc = _to_query(
                q, grad, acc, base, delta, k_data, v_data, strides, i, first, num_keys, None, slope, row_codes, terms,
                DIM, VALUE_DIM, STEP_KEYS, SETTLED,
            )  # fmt: skip
    SPLIT: tl.constexpr = KEYS // STEP_KEYS
    for step in range(tl.load(lines.part_first + line) * SPLIT, tl.load(lines.part_first + line + 1) * SPLIT):
        part, inner = step // SPLIT, step % SPLIT * STEP_KEYS
        k = tl.arange(0, STEP_KEYS)[None, :]
        bits = load_bits(words, tl.load(lines.part_word + part), i % ROWS, k, inner, ROWS, KEYS, STEP_KEYS)
        first = tl.load(lines.part_tile + part) * KEYS + inner
        acc = _to_query(
            q, grad, acc, base, delta, k_data, v_data, strides, i, first, num_keys, bits, slope, row_codes, terms,
            DIM, VALUE_DIM, STEP_KEYS, SETTLED,
        )  # fmt: skip
    store_rows(matrix(grad_query, batch, head), grad_query.row, first_row, num_queries, acc * scale, DIM)


@triton.jit
def _to_key(
    k,
    v,
    state,
    query,
    grad_out,
    strides,
    bases,
    deltas,
    before,
    j,
    below,
    first,
    num_queries,
    bits,
    slope,
    key_codes,
    terms,
    DIM: tl.constexpr,
    VALUE_DIM: tl.constexpr,
    STEP: tl.constexpr,
    SETTLED: tl.constexpr,
):
    """Add what a tile of queries gives to the gradients of a tile of keys; scores stand keys by queries."""
    grad_key, grad_value = state
    i = first + tl.arange(0, STEP)[None, :]
    q = load_rows(query, strides[0], first, num_queries, DIM, k.shape[1], STEP, bits is not None)
    grad = load_rows(grad_out, strides[1], first, num_queries, VALUE_DIM, v.shape[1], STEP, bits is not None)
    if bits is not None:
        base = tl.load(bases + before + i, mask=i < num_queries, other=0.0)
        delta = tl.load(deltas + before + i, mask=i < num_queries, other=0.0)
    else:
        base = tl.load(bases + before + i)
        delta = tl.load(deltas + before + i)
    code = key_codes * codes(terms.drop_rows, before, i, num_queries)
    product = tl.dot(k, tl.trans(q), input_precision="ieee")
    pull = tl.dot(v, tl.trans(grad), input_precision="ieee")
    p, gradient = _pull_back(product, pull, base, delta, i, j, below, bits, slope, code, terms)
    grad_value = tl.dot(p.to(v.dtype), grad, grad_value, input_precision="ieee")
    grad_key = tl.dot(gradient.to(k.dtype), q, grad_key, input_precision="ieee")
    return settle(grad_key, SETTLED), settle(grad_value, SETTLED)


@triton.jit
def key_kernel(
    query,
    key,
    value,
    grad_out,
    grad_key,
    grad_value,
    bases,
    deltas,
    lines,
    line_strides,
    words,
    terms,
    scale,
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
    """The gradients of a tile of keys and values, summed over the query heads that share them."""
    tile, kv_head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    first_key = tile * STEP_KEYS
    below = tl.arange(0, STEP_KEYS)[:, None]
    j = first_key + below
    k = load_rows(matrix(key, batch, kv_head), key.row, first_key, num_keys, DIM, WIDTH, STEP_KEYS, True)
    v = load_rows(matrix(value, batch, kv_head), value.row, first_key, num_keys, VALUE_DIM, VALUE_WIDTH, STEP_KEYS, True)
    k, v = pin(k, PINNED), pin(v, PINNED)
    strides = (query.row, grad_out.row)
    key_codes = codes(terms.drop_keys, 0, j, num_keys)

    to_key = tl.zeros([STEP_KEYS, WIDTH], tl.float32)
    to_value = tl.zeros([STEP_KEYS, VALUE_WIDTH], tl.float32)
    for head in range(kv_head * GROUP, (kv_head + 1) * GROUP):
        line = batch * line_strides[0] + head * line_strides[1] + first_key // KEYS
        before = (tl.cast(batch, tl.int64) * (tl.num_programs(1) * GROUP) + head) * num_queries
        q_data, grad_data = matrix(query, batch, head), matrix(grad_out, batch, head)
        slope = slope_of(terms, head)
        for run in range(tl.load(lines.run_first + line), tl.load(lines.run_first + line + 1)):
            start, stop = tl.load(lines.runs + 2 * run) * ROWS, tl.load(lines.runs + 2 * run + 1) * ROWS
            for first in range(start, stop, STEP_ROWS):
                to_key, to_value = _to_key(
                    k, v, (to_key, to_value), q_data, grad_data, strides, bases, deltas, before, j, below, first,
                    num_queries, None, slope, key_codes, terms, DIM, VALUE_DIM, STEP_ROWS, SETTLED,
                )  # fmt: skip
        SPLIT: tl.constexpr = ROWS // STEP_ROWS
        for step in range(tl.load(lines.part_first + line) * SPLIT, tl.load(lines.part_first + line + 1) * SPLIT):
            part, inner = step // SPLIT, step % SPLIT * STEP_ROWS
            word, i = tl.load(lines.part_word + part), inner + tl.arange(0, STEP_ROWS)[None, :]
            bits = load_bits(words, word, i, below, first_key % KEYS, ROWS, KEYS, STEP_KEYS)
            first = tl.load(lines.part_tile + part) * ROWS + inner
            to_key, to_value = _to_key(
                k, v, (to_key, to_value), q_data, grad_data, strides, bases, deltas, before, j, below, first,
                num_queries, bits, slope, key_codes, terms, DIM, VALUE_DIM, STEP_ROWS, SETTLED,
            )  # fmt: skip
    store_rows(matrix(grad_key, batch, kv_head), grad_key.row, first_key, num_keys, to_key * scale, DIM)
    store_rows(matrix(grad_value, batch, kv_head), grad_value.row, first_key, num_keys, to_value, VALUE_DIM)
