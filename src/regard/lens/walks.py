"""Statistics of any mechanism that can be differentiated: blocks of rows of the weights, written again for each derivative.

O(queries + keys) memory in every order, at the cost of an explicit pass over the weights for each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regard.attention.blockwise import GRAPH_NUMBERS, Side, Walk, walked
from regard.attention.call import Block, Call, share
from regard.attention.mechanism import Scored
from regard.attention.positions.bias import Bias
from regard.errors import InputError
from regard.lens.explicit import in_segments, is_never
from regard.lens.statistics import Wanted, cell_width, num_cells

CELLS = "cell_sums"
"""Sums of P over the keys of each cell of the block map, a row a query."""

ALIGNED = "aligned"
"""|P| of one key for each query."""


@dataclass(frozen=True)
class Rows:
    """The weights of a block, and what its statistics need beside them."""

    weights: Tensor
    scores: Tensor | None
    """−inf where a pair may not look; None where the mechanism has none."""
    allowed: Tensor
    block: Block
    first_query: int
    wanted: Wanted
    num_keys: int

    @property
    def size(self) -> Tensor:
        """|P|."""
        return self.weights.abs()

    @property
    def shares(self) -> Tensor:
        """|P| / Σ |P|; 0 in a row that may look at nothing."""
        total = self.size.sum(-1, keepdim=True)
        return self.size / total.where(total > 0, 1)

    @property
    def key_at(self) -> Tensor:
        """Position of each key."""
        keys = self.block.keys
        return (torch.arange(keys.start, keys.stop) if isinstance(keys, range) else keys).to(self.weights.device)

    @property
    def ahead(self) -> Tensor:
        """How far each key lies behind (above 0) each query."""
        query_at = torch.arange(self.block.rows.start, self.block.rows.stop, device=self.weights.device)
        return self.key_at - (query_at + self.first_query)[:, None]


def _into(weights: Tensor, place: Tensor, count: int) -> Tensor:
    """Weights summed by the place of each key: (batch, heads, rows, count)."""
    return weights.new_zeros(*weights.shape[:3], count).scatter_add(3, place.expand(weights.shape), weights)


def statistics_by_blocks(call: Call, names: Sequence[str], wanted: Wanted, first_query: int = 0) -> dict[str, Tensor]:
    """Statistics by name (and CELLS) of a call without dropout; where a row may look at nothing, 0."""
    module = _StatisticsOf(call, names, wanted, first_query)
    learned = dict(module.named_parameters())
    bias = (call.bias,) if isinstance(call.bias, Tensor) else ()
    given = 2 + len(bias)

    def function(block: Block, *parts: Tensor) -> tuple[Tensor, ...]:
        parameters = dict(zip(learned, parts[given:], strict=True))
        return torch.func.functional_call(module, parameters, (block, *parts[:given]))

    ins = (Side.ROWS, Side.KEYS, *(Side.PAIRS for _ in bias), *(Side.WHOLE for _ in learned))
    outs = tuple((Side.KEYS if name == "mass_received" else Side.ROWS, _size(call, name, wanted)) for name in names)
    walk = Walk(function, ins, tuple((*out, call.query.dtype) for out in outs), tuple(call.blocks(GRAPH_NUMBERS)))
    return dict(zip(names, walked(walk, call.query, call.key, *bias, *learned.values()), strict=True))


def aligned_weights(call: Call, keys: Tensor) -> Tensor:
    """P of one key for each query (#batch, queries); 0 where it is −1."""
    return statistics_by_blocks(call, [ALIGNED], Wanted(alignments={ALIGNED: keys}))[ALIGNED]


class _StatisticsOf(nn.Module):
    """The statistics of one block, as a module that has the parameters of the call's mechanism and bias."""

    def __init__(self, call: Call, names: Sequence[str], wanted: Wanted, first_query: int) -> None:
        super().__init__()
        self.mechanism = call.mechanism
        self.bias = call.bias if isinstance(call.bias, Bias) else None
        self.call, self.names, self.wanted, self.first_query = call, names, wanted, first_query

    def forward(self, block: Block, query: Tensor, key: Tensor, bias: Tensor | None = None) -> tuple[Tensor, ...]:
        part = self.call.part(block, query, key, None, bias)
        rows = Rows(*_read(part), block, self.first_query, self.wanted, self.call.shape[3])
        return tuple(_DEFINITIONS[name](rows) for name in self.names)


def _read(part: Call) -> tuple[Tensor, Tensor | None, Tensor]:
    """Weights, scores and which pairs may look, of a block."""
    mechanism, bias = part.mechanism, part.bias_of(part.whole)
    sides = range(part.shape[2]), range(part.shape[3])
    allowed = part.mask.write((part.shape[0], part.shape[1]), *sides, part.query.device)
    if not isinstance(mechanism, Scored) or type(mechanism).weights is not Scored.weights:
        return part.weights(), None, allowed
    scores = mechanism.score(part.query, share(part.key, part.shape[1]))
    scores = scores if bias is None else scores + bias
    allowed = allowed & ~is_never(scores)
    return mechanism.normalize(scores, allowed), scores.masked_fill(~allowed, -math.inf), allowed


def _size(call: Call, name: str, wanted: Wanted) -> torch.Size:
    batch, heads, queries, keys = call.shape
    if name == "mass_received":
        return torch.Size((batch, heads, keys))
    more = {"top_weights": wanted.top_keys, "segment_shares": wanted.num_segments, CELLS: num_cells(keys)}
    return torch.Size((batch, heads, queries, *((more[name],) if name in more else ())))


def _entropy(rows: Rows) -> Tensor:
    """Its slope at a weight of 0, which is infinite, is left out: the softmax would multiply it by that 0."""
    size = rows.size
    return -(size * size.where(size > 0, 1).log2()).sum(-1)


def _evenness(rows: Rows) -> Tensor:
    permitted = rows.allowed.sum(-1).to(rows.weights.dtype)
    return (_entropy(rows) / permitted.clamp(min=2).log2()).masked_fill(permitted < 2, math.nan)


def _scores(rows: Rows) -> tuple[Tensor, Tensor]:
    """The scores, made finite in rows that may look at nothing, and which rows these are."""
    if rows.scores is None:
        raise InputError("logsumexp and largest_logit need scores, and this mechanism has none: leave them out.")
    is_dead = rows.scores.isneginf().all(-1)
    return rows.scores.masked_fill(is_dead[..., None], 0), is_dead


def _logsumexp(rows: Rows) -> Tensor:
    scores, is_dead = _scores(rows)
    return scores.logsumexp(-1).masked_fill(is_dead, 0)


def _largest_logit(rows: Rows) -> Tensor:
    scores, is_dead = _scores(rows)
    return scores.amax(-1).masked_fill(is_dead, 0)


def _top_weights(rows: Rows) -> Tensor:
    count = min(rows.wanted.top_keys, rows.size.shape[3])
    return nn.functional.pad(rows.size.topk(count).values, (0, rows.wanted.top_keys - count))


def _mean_distance(rows: Rows) -> Tensor:
    return (rows.shares * rows.ahead.abs()).sum(-1)


def _distance_spread(rows: Rows) -> Tensor:
    """Where all weight lies at one distance it is 0, and so is its slope, which does not exist."""
    shares, distance = rows.shares, rows.ahead.abs().to(rows.size.dtype)
    mean = (shares * distance).sum(-1, keepdim=True)
    square = (shares * (distance - mean).square()).sum(-1)
    return square.where(square > 0, 1).sqrt() * (square > 0)


def _segment_shares(rows: Rows) -> Tensor:
    if rows.wanted.segments is None:
        raise InputError("segment_shares needs Wanted(segments=…), the number of the segment of each key.")
    return in_segments(rows.size, rows.key_at, rows.wanted, rows.block.batch)


def _aligned(rows: Rows) -> Tensor:
    given, batch, at = rows.wanted.alignments[ALIGNED], rows.block.batch, rows.block.rows
    own = (given if given.shape[0] == 1 else given[batch.start : batch.stop])[:, at.start : at.stop].to(rows.weights.device)
    return (rows.size * (rows.key_at == own[:, None, :, None])).sum(-1)


def _cells(rows: Rows) -> Tensor:
    return _into(rows.weights, rows.key_at // cell_width(rows.num_keys), num_cells(rows.num_keys))


_DEFINITIONS: dict[str, Callable[[Rows], Tensor]] = {
    "entropy_bits": _entropy,
    "evenness": _evenness,
    "logsumexp": _logsumexp,
    "largest_logit": _largest_logit,
    "top_weights": _top_weights,
    "total_weight": lambda rows: rows.size.sum(-1),
    "mean_distance": _mean_distance,
    "distance_spread": _distance_spread,
    "sink_share": lambda rows: (rows.size * (rows.key_at < rows.wanted.sink_keys)).sum(-1),
    "window_share": lambda rows: (rows.size * (rows.ahead.abs() <= rows.wanted.window)).sum(-1),
    "previous_share": lambda rows: (rows.size * (rows.ahead == -1)).sum(-1),
    "segment_shares": _segment_shares,
    "mass_received": lambda rows: rows.weights.sum(2),
    CELLS: _cells,
    ALIGNED: _aligned,
}
"""By name, of the rows of a block and the keys that they may look at."""
