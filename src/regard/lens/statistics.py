"""Statistics of the weights of one call, block of rows by block of rows: O(queries + keys) memory.

Each is defined on the whole matrix P = weights (batch, heads, queries, keys); rows that may look at nothing are zero in P.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from regard.attention.call import Call

MAP_CELLS = 128
"""Most cells along a side of a block map."""


@dataclass(frozen=True)
class Statistics:
    """What one call looked at. All tensors are on the CPU."""

    entropy_bits: Float[Tensor, "batch heads queries"]
    """−Σₖ P log₂ P: 0 looks at one key, log₂(keys) at all alike."""
    largest_weight: Float[Tensor, "batch heads queries"]
    """maxₖ P, in [0, 1] where rows sum to one."""
    largest_key: Int[Tensor, "batch heads queries"]
    """The key that has the largest weight; −1 for a row that may look at nothing."""
    mean_distance: Float[Tensor, "batch heads queries"]
    """Σₖ P |query − key|, in positions."""
    mass_received: Float[Tensor, "batch heads keys"]
    """Σ over queries of P: how much a key is looked at."""
    block_map: Float[Tensor, "batch heads row_cells key_cells"]
    """Weight from a run of queries to a run of keys, a mean over the queries; P itself for at most 128 positions."""
    is_live: Bool[Tensor, "batch heads queries"]
    """False for rows that may look at nothing (padding): they stay out of every mean."""

    def head_means(self) -> dict[str, Float[Tensor, " heads"]]:
        """Entropy, largest weight and distance of each head, over all live rows of the batch."""
        count = self.is_live.sum((0, 2)).clamp(min=1)
        names = ("entropy_bits", "largest_weight", "mean_distance")
        return {name: (getattr(self, name) * self.is_live).sum((0, 2)) / count for name in names}


def cell_width(length: int) -> int:
    """Positions in one cell of a block map over `length` positions."""
    return max(1, math.ceil(length / MAP_CELLS))


@torch.no_grad()
def measure(call: Call) -> Statistics:
    """Exact statistics of a call, in float32 or wider; time of one explicit pass, O(queries + keys) memory."""
    call = _widened(call)
    batch, heads, queries, keys = call.shape
    blank = call.query.new_zeros
    per_row: dict[str, list[Tensor]] = {name: [] for name in ("entropy", "largest", "largest_key", "distance", "live")}
    received = blank(batch, heads, keys)
    wide, high = cell_width(keys), cell_width(queries)
    cells = blank(batch, heads, math.ceil(queries / high), math.ceil(keys / wide))
    for rows, span in call.blocks():
        weights = call.part(rows, span).weights()
        for name, value in _row_statistics(weights, rows, span).items():
            per_row[name].append(value)
        received[:, :, span.start : span.stop] += weights.sum(2)
        into_keys = blank(batch, heads, len(rows), cells.shape[3])
        into_keys.index_add_(3, torch.arange(span.start, span.stop, device=weights.device) // wide, weights)
        cells.index_add_(2, torch.arange(rows.start, rows.stop, device=weights.device) // high, into_keys)
    joined = {name: torch.cat(parts, 2).cpu() if parts else blank(batch, heads, 0).cpu() for name, parts in per_row.items()}
    live = joined["live"].bool()
    in_cell = torch.zeros(batch, heads, cells.shape[2], dtype=cells.dtype)
    in_cell.index_add_(2, torch.arange(queries) // high, live.to(cells.dtype))
    return Statistics(
        entropy_bits=joined["entropy"],
        largest_weight=joined["largest"],
        largest_key=joined["largest_key"].long(),
        mean_distance=joined["distance"],
        mass_received=received.cpu(),
        block_map=cells.cpu() / in_cell.clamp(min=1)[..., None],
        is_live=live,
    )


def _row_statistics(weights: Float[Tensor, "batch heads rows span"], rows: range, span: range) -> dict[str, Tensor]:
    if not len(span):
        zero = weights.new_zeros(weights.shape[:3])
        dead = {"largest_key": zero.long() - 1, "live": zero.bool()}
        return {"entropy": zero, "largest": zero, "distance": zero, **dead}
    largest, key = weights.max(-1)
    live = largest > 0
    query_at = torch.arange(rows.start, rows.stop, device=weights.device, dtype=weights.dtype)
    key_at = torch.arange(span.start, span.stop, device=weights.device, dtype=weights.dtype)
    return {
        "entropy": torch.special.entr(weights).sum(-1) / math.log(2),
        "largest": largest,
        "largest_key": torch.where(live, key + span.start, -1),
        "distance": (weights * (query_at[:, None] - key_at).abs()).sum(-1),
        "live": live,
    }


def _widened(call: Call) -> Call:
    """The call detached, and in float32 where it came in half precision."""

    def widen(x: Tensor) -> Tensor:
        return x.detach().float() if x.dtype in (torch.float16, torch.bfloat16) else x.detach()

    return Call(
        call.mechanism,
        widen(call.query),
        widen(call.key),
        widen(call.value),
        call.mask,
        None if call.bias is None else widen(call.bias),
    )
