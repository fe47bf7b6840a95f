"""Statistics of the weights of one call, block of rows by block of rows: O(queries + keys) memory.

Each is defined on the whole matrix P = weights (batch, heads, queries, keys); rows that may look at nothing are zero in P.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from regard.attention.blockwise import Side
from regard.attention.call import Block, Call

MAP_CELLS = 128
"""Most cells along a side of a block map."""


@dataclass(frozen=True)
class Statistics:
    """What one call looked at. All tensors are on the CPU."""

    entropy_bits: Float[Tensor, "batch heads queries"]
    """−Σₖ |P| log₂ |P|: 0 looks at one key, log₂(keys) at all alike."""
    largest_weight: Float[Tensor, "batch heads queries"]
    """maxₖ |P|, in [0, 1] where rows sum to one."""
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
    rows = {name: blank(batch, heads, queries) for name in ("entropy", "largest", "distance")}
    largest_key = torch.full((batch, heads, queries), -1, device=call.query.device)
    received = blank(batch, heads, keys)
    wide, high = cell_width(keys), cell_width(queries)
    cells = blank(batch, heads, math.ceil(queries / high), math.ceil(keys / wide))
    for block in call.blocks():
        weights = call.part(block).weights()
        query_at, key_at = _positions(block, weights.device)
        found = _row_statistics(weights, query_at, key_at)
        Side.ROWS.add(largest_key, block, found.pop("largest_key") + 1)
        for name, value in found.items():
            Side.ROWS.add(rows[name], block, value)
        Side.KEYS.add(received, block, weights.sum(2))
        into_keys = blank(*weights.shape[:3], cells.shape[3]).index_add_(3, key_at // wide, weights)
        cells[block.batch.start : block.batch.stop].index_add_(2, query_at // high, into_keys)
    live = (rows["largest"] > 0).cpu()
    in_cell = torch.zeros(batch, heads, cells.shape[2], dtype=cells.dtype)
    in_cell.index_add_(2, torch.arange(queries) // high, live.to(cells.dtype))
    return Statistics(
        entropy_bits=rows["entropy"].cpu(),
        largest_weight=rows["largest"].cpu(),
        largest_key=largest_key.cpu(),
        mean_distance=rows["distance"].cpu(),
        mass_received=received.cpu(),
        block_map=cells.cpu() / in_cell.clamp(min=1)[..., None],
        is_live=live,
    )


def _positions(block: Block, device: torch.device) -> tuple[Tensor, Tensor]:
    keys = block.keys
    keys = torch.arange(keys.start, keys.stop) if isinstance(keys, range) else keys
    return torch.arange(block.rows.start, block.rows.stop, device=device), keys.to(device)


def _row_statistics(
    weights: Float[Tensor, "batch heads rows seen"], query_at: Int[Tensor, " rows"], key_at: Int[Tensor, " seen"]
) -> dict[str, Tensor]:
    size = weights.abs()
    largest, place = size.max(-1)
    return {
        "entropy": torch.special.entr(size).sum(-1) / math.log(2),
        "largest": largest,
        "largest_key": torch.where(largest > 0, key_at[place], -1),
        "distance": (weights * (query_at[:, None] - key_at).abs()).sum(-1),
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
        widen(call.bias) if isinstance(call.bias, Tensor) else call.bias,
    )
