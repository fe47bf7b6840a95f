"""Statistics by an explicit pass: blocks of rows are written out, read, and forgotten. Any mechanism, any device.

O(queries + keys) memory. What the faster passes are held to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.linalg import vecdot

from regard.attention.blockwise import Side
from regard.attention.call import Block, Call, share
from regard.attention.mechanism import Dot, Scored
from regard.attention.normalizers.softmax import Softmax
from regard.lens.statistics import Wanted, cell_width, num_cells

Piece = tuple[Tensor, Tensor | None, Tensor]
"""Weights of a block; its scores, −∞ where a pair may not look, or None; how many keys each row may look at."""


Found = tuple[dict[str, Tensor], dict[str, Tensor]]
"""Statistics by name, block maps still as sums, and shares of alignments by name."""


LEAST_NUMBERS, MOST_NUMBERS, BLOCK_ROWS = 2**20, 2**22, 32
"""Numbers that a block may hold for its pairs, 4 to 16 MB in float32: so many that it has some thirty rows."""


def is_never(x: Tensor) -> Tensor:
    """Which scores, or numbers added to scores, are as good as −∞: half of the least number that there is, and below."""
    return x <= torch.finfo(x.dtype).min / 2


@dataclass(frozen=True)
class Source:
    """Blocks, and the weights of each: of a call, or of a matrix that a model wrote out itself."""

    shape: tuple[int, int, int, int]
    blocks: Callable[[], Iterator[Block]]
    read: Callable[[Block], Piece]
    like: Tensor
    """Of the kind that sums are kept in."""
    is_softmax: bool = False
    """Are weights exp(score − one number a row)?"""


def of_call(call: Call) -> Source:
    """The blocks of a call."""
    is_softmax = isinstance(call.mechanism, Scored) and isinstance(call.mechanism.normalize, Softmax)
    return Source(
        call.shape,
        lambda: call.blocks(_fitting(call.shape)),
        lambda block: _of_block(call.part(block), block.is_full),
        call.query,
        is_softmax,
    )


def of_matrix(weights: Tensor, scores: Tensor | None) -> Source:
    """The rows of a matrix (batch, heads, queries, keys) that is there."""
    batch, heads, queries, keys = shape = tuple(weights.shape)

    def blocks() -> Iterator[Block]:
        high = max(1, _fitting(shape) // max(1, batch * heads * keys))
        for start in range(0, queries if keys else 0, high):
            yield Block(range(batch), range(start, min(start + high, queries)), (range(keys),))

    def read(block: Block) -> Piece:
        rows = slice(block.rows.start, block.rows.stop)
        cut, given = _in_single(weights[:, :, rows]), None if scores is None else _in_single(scores[:, :, rows])
        return cut, given, (cut != 0 if given is None else ~given.isneginf()).sum(-1)

    return Source(shape, blocks, read, _in_single(weights[:0]))  # type: ignore[arg-type]


def _fitting(shape: tuple[int, ...]) -> int:
    return min(MOST_NUMBERS, max(LEAST_NUMBERS, BLOCK_ROWS * shape[1] * shape[3]))


def measure(source: Source, wanted: Wanted, first_query: int = 0, rows: tuple[range, ...] | None = None) -> Found:
    """Every statistic of a source, and the shares of alignments; only of queries in `rows`, where these are given.

    `first_query` is the position of the first query among the keys, from which distances count.
    """
    batch, heads, queries, keys = source.shape
    blank = source.like.new_zeros
    found = {name: blank(batch, heads, queries) for name in (*_ROWS, "permitted_keys")}
    found["logsumexp"], found["largest_logit"] = (blank(batch, heads, queries).fill_(-math.inf) for _ in range(2))
    found["top_weights"] = blank(batch, heads, queries, wanted.top_keys)
    top_keys = torch.full((batch, heads, queries, wanted.top_keys), -1, device=source.like.device)
    received = blank(batch, heads, keys)
    shares = {name: blank(batch, heads, queries).fill_(math.nan) for name in wanted.alignments}
    if wanted.num_segments:
        found["segment_shares"] = blank(batch, heads, queries, wanted.num_segments)
    cells = blank(batch, heads, num_cells(queries), num_cells(keys))
    has_scores = True
    for block in source.blocks():
        for part in _inside(block, rows):
            piece = weights, scores, _ = source.read(part)
            query_at, key_at = _positions(part, weights.device)
            for name, value in _of_rows(piece, source.is_softmax, query_at + first_query, key_at, wanted, part.batch).items():
                Side.ROWS.take(found[name], part).copy_(value)
            Side.ROWS.take(top_keys, part).copy_(_top(weights, key_at, wanted.top_keys, found["top_weights"], part))
            for name, share_of in shares.items():
                Side.ROWS.take(share_of, part).copy_(_aligned(weights, key_at, wanted.alignments[name], part))
            has_scores = has_scores and scores is not None
            _give(weights, part, key_at // cell_width(keys), cell_width(queries), received, cells)
    if not has_scores:
        del found["logsumexp"], found["largest_logit"]
    return {**found, "top_keys": top_keys, "mass_received": received, "block_map": cells}, shares


_ROWS = ["entropy_bits", "total_weight", "mean_distance", "distance_spread", "sink_share", "window_share", "previous_share"]


def _of_block(part: Call, is_full: bool) -> Piece:
    mechanism, rows, keys = part.mechanism, range(part.shape[2]), range(part.shape[3])
    shape, device = part.shape[:2], part.query.device
    if not isinstance(mechanism, Scored) or type(mechanism).weights is not Scored.weights:
        return part.weights(), None, part.mask.write(shape, rows, keys, device).sum(-1)
    scores = mechanism.score(part.query, share(part.key, part.shape[1]))
    bias = part.bias_of(part.whole)
    may_forbid = bias is not None or type(mechanism).score is not Dot.score  # a score of −∞ is as good as a mask
    if is_full and not may_forbid:
        every = scores.new_ones((), dtype=torch.bool).expand(1, 1, *scores.shape[2:])
        weights = scores.softmax(-1) if type(mechanism.normalize) is Softmax else mechanism.normalize(scores, every)
        return weights, scores, torch.tensor(len(keys), device=device)
    scores = scores if bias is None else scores + bias
    forbidden = ~part.mask.write(shape, rows, keys, device)
    if may_forbid:
        forbidden = forbidden | is_never(scores)
    scores = scores + torch.where(forbidden, -math.inf, 0.0).to(scores.dtype)  # sooner than to fill
    if type(mechanism.normalize) is Softmax:
        weights = scores.softmax(-1)
        is_dead = forbidden.all(-1, keepdim=True)
        weights = weights.masked_fill(is_dead, 0) if is_dead.any() else weights
    else:
        weights = mechanism.normalize(scores, ~forbidden)
    return weights, scores, (~forbidden).sum(-1)


def _inside(block: Block, rows: tuple[range, ...] | None) -> Iterator[Block]:
    """The parts of a block that lie in these runs of rows."""
    if rows is None:
        yield block
        return
    for run in rows:
        start, stop = max(run.start, block.rows.start), min(run.stop, block.rows.stop)
        if start < stop:
            yield Block(block.batch, range(start, stop), block.runs, block.is_full)


def _in_single(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _positions(block: Block, device: torch.device) -> tuple[Tensor, Tensor]:
    keys = block.keys
    keys = torch.arange(keys.start, keys.stop) if isinstance(keys, range) else keys
    return torch.arange(block.rows.start, block.rows.stop, device=device), keys.to(device)


def _of_rows(
    piece: Piece, is_softmax: bool, query_at: Tensor, key_at: Tensor, wanted: Wanted, batch: range
) -> dict[str, Tensor]:
    """By operations that go through memory fast: no logarithm, index or comparison of each pair where it can be spared."""
    weights, scores, permitted = piece
    size = weights.abs() if bool((weights.amin() if weights.numel() else weights.new_zeros(())) < 0) else weights
    total = size.sum(-1)
    ahead = (key_at - query_at[:, None]).to(size.dtype)
    distance = ahead.abs()
    whole = total.where(total > 0, 1)
    mean = vecdot(size, distance) / whole
    spread = ((distance - mean[..., None]).square_().mul_(size).sum(-1) / whole).sqrt()
    found = {
        "permitted_keys": permitted.to(size.dtype),
        "total_weight": total,
        "mean_distance": mean,
        "distance_spread": spread,
        "sink_share": size[..., : int((key_at < wanted.sink_keys).sum())].sum(-1),
        "window_share": _near(size, query_at, key_at, -wanted.window, wanted.window),
        "previous_share": _near(size, query_at, key_at, -1, -1),
    }
    if scores is not None and scores.shape[3]:
        if is_softmax:
            found["entropy_bits"], found["logsumexp"], found["largest_logit"] = _with_logs(size, scores)
        else:
            found["logsumexp"], found["largest_logit"] = scores.logsumexp(-1), scores.amax(-1)
    if "entropy_bits" not in found:
        found["entropy_bits"] = torch.special.entr(size).sum(-1) / math.log(2)
    if wanted.num_segments:
        found["segment_shares"] = in_segments(size, key_at, wanted, batch)
    return found


def in_segments(weights: Tensor, key_at: Tensor, wanted: Wanted, batch: range) -> Tensor:
    """Weights summed by the segment of each key: (batch, heads, rows, segments)."""
    segments, count = wanted.segments, wanted.num_segments
    assert segments is not None
    own = segments if segments.shape[0] == 1 else segments[batch.start : batch.stop]
    place = own.to(weights.device, torch.long)[:, None, None, key_at] % (count + 1)  # −1 is the last, which is left out
    return weights.new_zeros(*weights.shape[:3], count + 1).scatter_add(3, place.expand(weights.shape), weights)[..., :count]


def _with_logs(size: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Entropy in bits, log-sum-exp and largest score of rows that are a softmax, with or without a sink in its sum.

    log P is the score less one number a row, so that no logarithm of a pair is taken.
    """
    peak = scores.amax(-1, keepdim=True)
    whole = (peak - size.amax(-1, keepdim=True).log()).nan_to_num(0)  # of a row that may look at nothing: −∞ + ∞
    entropy = -(scores - whole).clamp_(min=LEAST_LOG).mul_(size).sum(-1) / math.log(2)
    return entropy, whole[..., 0] + size.sum(-1).log(), peak[..., 0]


def _near(size: Tensor, query_at: Tensor, key_at: Tensor, first: int, last: int) -> Tensor:
    """Sum over the keys from `first` to `last` positions after the query; `key_at` ascends."""
    if not len(key_at):
        return size.sum(-1)
    if 4 * (last - first + 1) > len(key_at):
        ahead = key_at - query_at[:, None]
        return vecdot(size, ((ahead >= first) & (ahead <= last)).to(size.dtype))
    named = query_at[:, None] + torch.arange(first, last + 1, device=size.device)
    place = torch.searchsorted(key_at, named).clamp(max=len(key_at) - 1)
    found = size.gather(3, place.expand(*size.shape[:2], -1, -1))
    return (found * (key_at[place] == named)).sum(-1)


LEAST_LOG = -200.0
"""A weight below exp(−200) adds nothing, and 0 · −∞ would make no number."""


def _top(weights: Tensor, key_at: Tensor, count: int, into: Tensor, block: Block) -> Tensor:
    """The keys of the largest weights, which are written where they belong."""
    count = min(count, weights.shape[3])
    largest, place = weights.abs().topk(count) if count > 1 else weights.abs().max(-1, keepdim=True)
    Side.ROWS.take(into, block)[..., :count] = largest
    keys = torch.full((*weights.shape[:3], into.shape[3]), -1, device=weights.device)
    keys[..., :count] = torch.where(largest > 0, key_at[place], -1)
    return keys


def _give(weights: Tensor, block: Block, columns: Tensor, high: int, received: Tensor, cells: Tensor) -> None:
    """What keys receive from each row of cells, and the cells that this falls into."""
    for row in range(block.rows.start // high, (block.rows.stop - 1) // high + 1):
        start, stop = max(row * high, block.rows.start), min((row + 1) * high, block.rows.stop)
        mass = weights[:, :, start - block.rows.start : stop - block.rows.start].sum(2)
        Side.KEYS.add(received, block, mass)
        cells[block.batch.start : block.batch.stop, :, row].index_add_(2, columns, mass)


def _aligned(weights: Tensor, key_at: Tensor, wanted: Tensor, block: Block) -> Tensor:
    """The weight of one key for each query, NaN where none is named."""
    own = wanted if wanted.shape[0] == 1 else wanted[block.batch.start : block.batch.stop]
    own = own[:, block.rows.start : block.rows.stop].to(weights.device)[:, None, :, None]
    found = (weights.abs() * (key_at == own)).sum(-1)
    return found.masked_fill(own[..., 0] < 0, math.nan)
