"""Statistics of softmax(scale · Q Kᵀ) over the tiles of a layout, once the log-sum-exp of each row is known."""

from __future__ import annotations

from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from regard.attention.kernels.pieces import LN2, LOG2E, lean, load_bits, load_rows, matrix, permitted, slope_of
from regard.lens.kernels.triton_pieces import (
    CLASSES,
    NOTHING,
    TINY,
    classes,
    columns,
    distances_any,
    distances_plain,
    joined,
    place_of,
    product_of,
    ranked,
)

OUT = tl.constexpr(1e30)
"""The log-sum-exp of rows that are not read: all their weights are 0."""


class Found(NamedTuple):
    """Where results go, all (batch, heads, queries, …) but the last. `sums` has the planes of PLANES."""

    sums: Tensor
    plane: int
    top_scores: Tensor
    top_keys: Tensor
    segment_shares: Tensor | None
    received: Tensor
    """(batch · heads of this launch, row_cells, keys)"""


PLANES = (
    *("entropy_bits", "total_weight", "mean_distance", "distance_spread"),
    *("sink_share", "window_share", "previous_share", "permitted_keys"),
)


class Places(NamedTuple):
    """What the statistics' definitions leave open."""

    first_query: int
    window: int
    sink_keys: int
    cell_height: int
    row_cells: int
    segments: Tensor | None
    segment_stride: int
    num_segments: int


@triton.jit
def _give(p, received, i, first, num_keys, low, high, places, CELLS: tl.constexpr, FOLD: tl.constexpr, CHECKED: tl.constexpr):
    """Add what keys receive from the rows of each row of cells, low .. high."""
    j = first + tl.arange(0, p.shape[1])
    inside = (j < num_keys) | (not CHECKED)
    to = received + tl.cast(low, tl.int64) * num_keys + j
    if CELLS == 1:
        tl.atomic_add(to, columns(p, FOLD), mask=inside, sem="relaxed")
    elif CELLS <= 4:
        if low == high:
            tl.atomic_add(to, columns(p, FOLD), mask=inside, sem="relaxed")
        else:
            for c in tl.static_range(CELLS):
                part = columns(tl.where(i // places.cell_height == low + c, p, 0.0), FOLD)
                tl.atomic_add(to + c * num_keys, part, mask=inside & (low + c <= high), sem="relaxed")
    else:
        for c in range(0, high - low + 1):
            part = columns(tl.where(i // places.cell_height == low + c, p, 0.0), FOLD)
            tl.atomic_add(to + c * num_keys, part, mask=inside, sem="relaxed")


@triton.jit
def _give_segments(p, found, places, batch, before, i, first, num_queries, num_keys):
    j = first + tl.arange(0, p.shape[1])[None, :]
    own = tl.load(places.segments + batch * places.segment_stride + j, mask=j < num_keys, other=-1)
    least = tl.min(tl.where(j < num_keys, own, places.num_segments))
    to = found.segment_shares + (before + i) * places.num_segments
    for segment in range(tl.maximum(least, 0), tl.max(own) + 1):
        part = tl.sum(tl.where(own == segment, p, 0.0), 1)[:, None]
        tl.atomic_add(to + segment, part, mask=i < num_queries, sem="relaxed")


@triton.jit
def _weigh_plain(product, base, i, first, slope, terms, state, TOP: tl.constexpr):
    """Weights of a full tile, and what rows know of their sizes."""
    top, top_at, bits, moments = state
    z, factor = lean(product, i, first + tl.arange(0, product.shape[1])[None, :], slope, terms)
    x = z * factor - base
    p = tl.exp2(x)
    if TOP == 1:
        most = tl.max(classes(z), 1)
        top_at = tl.where(most > top, first, top_at)
        top = tl.maximum(most, top)
    else:
        top, top_at = ranked(z, top, top_at, first)
    return p, (top, top_at, bits + tl.sum(classes(p * x), 1), moments)


@triton.jit
def _weigh_any(product, allowed, base, i, first, slope, terms, state, TOP: tl.constexpr):
    """The same of any tile."""
    top, top_at, bits, moments = state
    z, factor = lean(product, i, first + tl.arange(0, product.shape[1])[None, :], slope, terms)
    if allowed is not None:
        z = tl.where(allowed, z, NOTHING)
    x = z * factor - base
    p = tl.exp2(x)
    if TOP == 1:
        most, at = tl.max(classes(z), 1, return_indices=True)
        key = first + at * CLASSES + tl.arange(0, CLASSES)[None, :]
        top_at = tl.where(most > top, -1 - key, top_at)
        top = tl.maximum(most, top)
    else:
        top, top_at = ranked(z, top, top_at, first)
    return p, (top, top_at, bits + tl.sum(classes(tl.where(p > 0, p * x, 0.0)), 1), moments)


@triton.jit
def _place_plain(p, i, first, places, state):
    """Add distances of a tile that lies beyond the sinks and the window, on one side of its rows."""
    ahead = (first - i - places.first_query).to(tl.float32)
    return state[0], state[1], state[2], joined(state[3], distances_plain(p, ahead))


@triton.jit
def _place_any(p, i, first, places, found, to, inside, state):
    """The same of any tile, and what lies in its sinks and in the window."""
    j = first + tl.arange(0, p.shape[1])[None, :]
    ahead = j - i - places.first_query
    distance = tl.abs(ahead)
    plane = tl.cast(found.plane, tl.int64)
    if first < places.sink_keys:
        sink = tl.sum(tl.where(j < places.sink_keys, p, 0.0), 1)
        tl.atomic_add(to + 4 * plane, sink, mask=inside, sem="relaxed")
    near = tl.sum(tl.where(distance <= places.window, p, 0.0), 1)
    previous = tl.sum(tl.where(ahead == -1, p, 0.0), 1)
    tl.atomic_add(to + 5 * plane, near, mask=inside, sem="relaxed")
    tl.atomic_add(to + 6 * plane, previous, mask=inside, sem="relaxed")
    return state[0], state[1], state[2], joined(state[3], distances_any(p, distance.to(tl.float32)))


@triton.jit
def _zone(zone, start, stop, at, places, ROWS: tl.constexpr, KEYS: tl.constexpr):
    """A part of a run of full tiles: up to where plain ones begin, and up to where they end. The first row is at key `at`.

    Behind the rows or before them; tiles that hold sinks, or touch the window or the rows themselves, are not plain.
    """
    reach = tl.maximum(places.window, 1)
    sinks = tl.minimum(tl.maximum(tl.cdiv(places.sink_keys, KEYS) * KEYS, start), stop)
    near = tl.minimum(tl.maximum(tl.maximum(at - reach, 0) // KEYS * KEYS, sinks), stop)
    far = tl.minimum(tl.maximum(tl.cdiv(tl.maximum(at + ROWS + reach, 0), KEYS) * KEYS, near), stop)
    if zone == 0:
        return start, sinks, near
    else:
        return near, far, stop


@triton.jit
def _finish(state, scale, found, before, rows, inside, TOP: tl.constexpr):
    """Write what is known of rows, the classes of columns put together."""
    top, top_at, bits, moments = state
    to = found.sums + before + rows
    plane = tl.cast(found.plane, tl.int64)
    total = tl.sum(moments[0], 1)
    share = moments[0] / tl.maximum(total, TINY)[:, None]
    mean = tl.sum(share * moments[1], 1)
    apart = moments[1] - mean[:, None]
    spread = tl.sum(moments[2], 1) / tl.maximum(total, TINY) + tl.sum(share * apart * apart, 1)
    tl.store(to, -tl.sum(bits, 1), mask=inside)
    tl.store(to + plane, total, mask=inside)
    tl.store(to + 2 * plane, mean, mask=inside)
    tl.store(to + 3 * plane, spread, mask=inside)
    if TOP == 1:
        most, column = tl.max(top, 1, return_indices=True)
        chosen = tl.arange(0, CLASSES)[None, :] == column[:, None]
        at = tl.sum(tl.where(chosen, top_at, 0), 1)
        # Of full tiles only the tile and the class are known: see name_kernel.
        tl.store(found.top_keys + before + rows, tl.where(at < 0, -1 - at, -2 - at - column), mask=inside)
        tl.store(found.top_scores + before + rows, most * scale, mask=inside)
    else:
        to = (before + rows)[:, None] * TOP + tl.arange(0, TOP)[None, :]
        tl.store(found.top_keys + to, top_at, mask=inside[:, None])
        tl.store(found.top_scores + to, top * scale, mask=inside[:, None])


@triton.jit
def statistics_kernel(
    query,
    key,
    lse,
    is_kept,
    kept_lines,
    found,
    places,
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
    TOP: tl.constexpr,
    CELLS: tl.constexpr,
    FOLD: tl.constexpr,
    FAR: tl.constexpr,
    STEP: tl.constexpr,
):
    """Statistics of the plain tiles (FAR: see _zone), or of all others; they are put together afterwards.

    What the latter need in registers would slow the former down.
    """
    tile, batch, head, line = place_of(lines, line_strides, first_item, num_heads, kept_lines)
    first_row = tile * ROWS
    rows = first_row + tl.arange(0, ROWS)
    i = rows[:, None]
    before = (tl.cast(batch, tl.int64) * num_heads + head) * num_queries
    inside = rows < num_queries
    if is_kept is not None:
        inside &= tl.load(is_kept + rows, mask=inside, other=0) != 0
    base = tl.load(lse + before + rows, mask=inside, other=NOTHING) * LOG2E
    base = tl.where(base > NOTHING, base, OUT)[:, None]
    k_data = matrix(key, batch, head // GROUP)
    q = load_rows(matrix(query, batch, head), query.row, first_row, num_queries, DIM, WIDTH, ROWS, True)
    slope = slope_of(terms, head)
    received = found.received + tl.cast(tl.program_id(1), tl.int64) * places.row_cells * num_keys
    low = first_row // places.cell_height
    high = (tl.minimum(first_row + ROWS, num_queries) - 1) // places.cell_height

    top = tl.full([ROWS, CLASSES if TOP == 1 else TOP], NOTHING, tl.float32)
    top_at = tl.zeros([ROWS, CLASSES if TOP == 1 else TOP], tl.int32)
    nothing = tl.zeros([ROWS, CLASSES // 2], tl.float32)
    state = (top, top_at, tl.zeros([ROWS, CLASSES], tl.float32), (nothing, nothing, nothing))
    to = found.sums + before + rows
    plane = tl.cast(found.plane, tl.int64)
    num_full = 0

    for run in range(tl.load(lines.run_first + line), tl.load(lines.run_first + line + 1)):
        start, stop = tl.load(lines.runs + 2 * run) * KEYS, tl.load(lines.runs + 2 * run + 1) * KEYS
        num_full += stop - start
        for zone in range(2):
            one, two, three = _zone(zone, start, stop, first_row + places.first_query, places, ROWS, KEYS)
            for first in range(two if FAR else one, three if FAR else two, STEP):
                product = product_of(q, k_data, key.row, first, num_keys, terms, DIM, STEP, False)
                if FAR:
                    p, state = _weigh_plain(product, base, i, first, slope, terms, state, TOP)
                else:
                    p, state = _weigh_any(product, None, base, i, first, slope, terms, state, TOP)
                _give(p, received, i, first, num_keys, low, high, places, CELLS, FOLD, False)
                if places.segments is not None:
                    _give_segments(p, found, places, batch, before, i, first, num_queries, num_keys)
                if FAR:
                    state = _place_plain(p, i, first, places, state)
                else:
                    state = _place_any(p, i, first, places, found, to, inside, state)
    if not FAR:
        tl.atomic_add(to + 7 * plane, tl.zeros([ROWS], tl.float32) + num_full, mask=inside, sem="relaxed")
        SPLIT: tl.constexpr = KEYS // STEP
        for step in range(tl.load(lines.part_first + line) * SPLIT, tl.load(lines.part_first + line + 1) * SPLIT):
            part, inner = step // SPLIT, step % SPLIT * STEP
            k = tl.arange(0, STEP)[None, :]
            bits = load_bits(words, tl.load(lines.part_word + part), i % ROWS, k, inner, ROWS, KEYS, STEP)
            first = tl.load(lines.part_tile + part) * KEYS + inner
            product = product_of(q, k_data, key.row, first, num_keys, terms, DIM, STEP, True)
            allowed = permitted(bits, k)
            count = tl.sum(allowed.to(tl.int32), 1).to(tl.float32)
            tl.atomic_add(to + 7 * plane, count, mask=inside, sem="relaxed")
            p, state = _weigh_any(product, allowed, base, i, first, slope, terms, state, TOP)
            _give(p, received, i, first, num_keys, low, high, places, CELLS, FOLD, True)
            if places.segments is not None:
                _give_segments(p, found, places, batch, before, i, first, num_queries, num_keys)
            state = _place_any(p, i, first, places, found, to, inside, state)

    scale = (terms.factor if terms.slopes is None else 1.0) * LN2
    _finish(state, scale, found, before, rows, inside, TOP)
