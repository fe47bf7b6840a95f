"""Every statistic of a written-out matrix as its definition says, in float64 and without a care for speed."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor

from regard.lens.statistics import Statistics, cell_width, num_cells


def definitions(
    weights: Tensor,
    scores: Tensor | None = None,
    *,
    first_query: int = 0,
    top_keys: int = 1,
    sink_keys: int = 1,
    window: int = 8,
    segments: Tensor | None = None,
) -> dict[str, Tensor]:
    """Statistics by name, and `is_live`, of weights (batch, heads, queries, keys); scores are −inf where none may look."""
    weights = weights.detach().double()
    size = weights.abs()
    batch, _, queries, keys = weights.shape
    total = size.sum(-1)
    ahead = torch.arange(keys) - (first_query + torch.arange(queries))[:, None]
    distance = ahead.abs().double()
    share = size / torch.where(total > 0, total, 1)[..., None]
    mean = (share * distance).sum(-1)
    order = size.argsort(dim=-1, descending=True, stable=True)[..., :top_keys]
    largest = size.gather(-1, order)
    missing = top_keys - largest.shape[-1]
    entropy = -(size * torch.where(size > 0, size, 1).log2()).sum(-1)
    permitted = (size > 0 if scores is None else scores > -math.inf).sum(-1).double()
    rests = (permitted > 0) & (total == 0)
    found = {
        "is_live": permitted > 0,
        "entropy_bits": entropy,
        "permitted_keys": permitted,
        "evenness": torch.where(permitted > 1, entropy / permitted.log2(), math.nan),
        "top_weights": torch.nn.functional.pad(largest, (0, missing)),
        "top_keys": torch.nn.functional.pad(torch.where(largest > 0, order, -1), (0, missing), value=-1),
        "total_weight": total,
        "mean_distance": mean.masked_fill(rests, math.nan),
        "distance_spread": (share * (distance - mean[..., None]) ** 2).sum(-1).sqrt().masked_fill(rests, math.nan),
        "sink_share": size[..., :sink_keys].sum(-1),
        "window_share": (size * (distance <= window)).sum(-1),
        "previous_share": (size * (ahead == -1)).sum(-1),
        "mass_received": weights.sum(2),
        "block_map": block_map(weights, permitted > 0),
    }
    if scores is not None:
        scores = scores.detach().double()
        found["logsumexp"] = scores.logsumexp(-1)
        found["largest_logit"] = scores.amax(-1) if keys else scores.new_full((*scores.shape[:3],), -math.inf)
    if segments is not None:
        of_each = segments.expand(batch, keys)[:, None, None, :] == torch.arange(int(segments.max()) + 1).view(-1, 1, 1, 1, 1)
        found["segment_shares"] = (size * of_each).sum(-1).movedim(0, -1)
    return found


def block_map(weights: Tensor, is_live: Tensor) -> Tensor:
    """Weight from each run of queries to each run of keys, divided by the live queries of the run."""
    batch, heads, queries, keys = weights.shape
    high, wide = cell_width(queries), cell_width(keys)
    cells = weights.new_zeros(batch, heads, num_cells(queries), num_cells(keys))
    for r in range(cells.shape[2]):
        rows = weights[:, :, r * high : (r + 1) * high]
        num_live = is_live[:, :, r * high : (r + 1) * high].sum(-1).clamp(min=1)
        for c in range(cells.shape[3]):
            cells[:, :, r, c] = rows[..., c * wide : (c + 1) * wide].sum((-2, -1)) / num_live
    return cells


def assert_as_defined(
    found: Statistics,
    weights: Tensor,
    scores: Tensor | None = None,
    *,
    tolerance: float = 1e-5,
    skip: Collection[str] = (),
    **numbers: Any,
) -> None:
    """Every statistic equals its definition; of keys that have the same weight, any may be named."""
    expected = {name: value for name, value in definitions(weights, scores, **numbers).items() if name not in skip}
    named = expected.pop("top_keys")
    assert torch.equal(found.is_live, expected.pop("is_live")), "is_live"
    for name, value in expected.items():
        close = {"rtol": tolerance, "atol": tolerance, "equal_nan": True, "msg": _naming(name)}
        torch.testing.assert_close(getattr(found, name).double(), value, **close)
    size = weights.detach().double().abs()
    at_named = torch.where(found.top_keys < 0, 0, size.gather(-1, found.top_keys.clamp(min=0)))
    torch.testing.assert_close(at_named, expected["top_weights"], rtol=tolerance, atol=tolerance)
    assert torch.equal(found.top_keys < 0, named < 0), "top_keys"


def _naming(statistic: str) -> Callable[[str], str]:
    return lambda text: f"{statistic}: {text}"
