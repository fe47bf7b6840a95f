"""What is measured of the weights of a call, each statistic with its definition on the whole matrix.

P = weights (batch, heads, queries, keys); S = the scores that the softmax takes; d = |query − key| in positions.
Rows that may look at nothing are zero in P and stay out of every mean. Where a weight is NaN or infinite, so that a row has no
sum, all statistics of the row but `permitted_keys` and `top_keys` are NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from regard.errors import InputError

MAP_CELLS = 128
"""Most cells along a side of a block map."""


@dataclass(frozen=True)
class Definition:
    """What a statistic is: what it has a number for, its unit, and its definition."""

    of: str
    """"query": (batch, heads, queries, …); "key": (batch, heads, keys); "map": (batch, heads, row_cells, key_cells)."""
    unit: str
    says: str


STATISTICS = {
    "entropy_bits": Definition("query", "bits", "−Σₖ |P| log₂ |P|: 0 looks at one key, log₂(keys) at all alike"),
    "evenness": Definition(
        "query", "share", "entropy / log₂(permitted keys): 1 looks at all alike; NaN where one key is permitted"
    ),
    "permitted_keys": Definition("query", "keys", "how many keys the query may look at"),
    "logsumexp": Definition("query", "nats", "log Σₖ exp S over the permitted keys; −inf where there is none"),
    "largest_logit": Definition("query", "nats", "maxₖ S over the permitted keys; −inf where there is none"),
    "top_weights": Definition("query", "share", "the `top_keys` largest |P| of a row, largest first; 0 where there are fewer"),
    "top_keys": Definition("query", "position", "the keys that have them; −1 where there are fewer"),
    "total_weight": Definition("query", "share", "Σₖ |P|: 1 for a softmax, less where a sink takes a share"),
    "mean_distance": Definition("query", "positions", "Σₖ |P| d / Σₖ |P|; NaN where all weights are 0"),
    "distance_spread": Definition("query", "positions", "standard deviation of d under |P| / Σₖ |P|"),
    "sink_share": Definition("query", "share", "Σ of |P| over the first `sink_keys` keys"),
    "window_share": Definition("query", "share", "Σ of |P| over the keys with d ≤ `window`"),
    "previous_share": Definition("query", "share", "|P| of the key just before the query; 0 for the first"),
    "segment_shares": Definition("query", "share", "Σ of |P| over the keys of each segment: (batch, heads, queries, segments)"),
    "mass_received": Definition("key", "queries", "Σ of P over the queries: how much a key is looked at"),
    "block_map": Definition(
        "map", "share", f"weight from a run of queries to a run of keys, a mean over the queries; P itself up to {MAP_CELLS}"
    ),
}
"""Every statistic by name. `segment_shares` is there where segments were given, `aligned_shares` where alignments were."""

MEANS = [
    "entropy_bits",
    "evenness",
    "permitted_keys",
    "logsumexp",
    "largest_logit",
    "largest_weight",
    "total_weight",
    "mean_distance",
    "distance_spread",
    "sink_share",
    "window_share",
    "previous_share",
]
"""What has a mean over queries: one number a query."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """What to measure, and the numbers that the definitions leave open. Raises InputError for what cannot be."""

    names: Sequence[str] = tuple(STATISTICS)
    top_keys: int = 1
    sink_keys: int = 1
    window: int = 8
    segments: Int[Tensor, "#batch keys"] | None = None
    """Number of the segment that each key belongs to, from 0; −1 for none."""
    alignments: Mapping[str, Int[Tensor, "#batch queries"]] = field(default_factory=dict)
    """Under a name, a key for each query; −1 for none. `aligned_shares[name]` is |P| there."""
    rectangles: tuple[tuple[range, range], ...] = ()
    """Runs of (queries, keys) of which P itself is kept."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", (self.names,) if isinstance(self.names, str) else tuple(self.names))
        if unknown := [name for name in self.names if name not in STATISTICS]:
            raise InputError(f"No statistic is called {unknown[0]!r}. Known: {', '.join(STATISTICS)}.")
        for name, least in (("top_keys", 1), ("sink_keys", 0), ("window", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        for name, keys in self.alignments.items():
            _check_whole(f"alignments[{name!r}]", keys, "queries")
        if self.segments is not None:
            _check_whole("segments", self.segments, "keys")
            if (self.segments < -1).any():
                raise InputError(f"segments must be numbered from 0, with -1 for none, got {int(self.segments.min())}.")

    @property
    def num_segments(self) -> int:
        """How many segments the keys have; 0 without."""
        return 0 if self.segments is None or not self.segments.numel() else int(self.segments.max()) + 1


def _check_whole(name: str, given: object, side: str) -> None:
    if not isinstance(given, Tensor) or given.dim() != 2 or given.dtype == torch.bool or given.is_floating_point():
        got = f"{given.dtype} {tuple(given.shape)}" if isinstance(given, Tensor) else type(given).__name__
        raise InputError(f"{name} must be a tensor of whole numbers (batch or 1, {side}), got {got}.")


@dataclass(frozen=True)
class Statistics:
    """What one call looked at: the values that were asked for, by the names of STATISTICS, also as attributes. On the CPU."""

    values: Mapping[str, Tensor]
    is_live: Bool[Tensor, "batch heads queries"]
    """False for rows that may look at nothing (padding) or were not sampled: they stay out of every mean."""
    aligned_shares: Mapping[str, Float[Tensor, "batch heads queries"]] = field(default_factory=dict)
    """Under the name of each alignment, |P| of each query's key; NaN for a query without one."""
    rectangles: tuple[Float[Tensor, "batch heads rows columns"], ...] = ()
    """P over the runs that were asked for."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Why a statistic that was asked for has no value."""

    def __getattr__(self, name: str) -> Tensor:
        values: Mapping[str, Tensor] = self.__dict__.get("values", {})
        if name in values:
            return values[name]
        if name in STATISTICS:
            raise InputError(f"{name} was not measured: {self.missing.get(name, 'it was not asked for, see statistics=')}.")
        raise AttributeError(name)

    @property
    def largest_weight(self) -> Float[Tensor, "batch heads queries"]:
        """maxₖ |P|."""
        return self.top_weights[..., 0]

    @property
    def largest_key(self) -> Int[Tensor, "batch heads queries"]:
        """The key that has the largest weight; −1 for a row that may look at nothing."""
        return self.top_keys[..., 0]

    def head_means(self) -> dict[str, Float[Tensor, " heads"]]:
        """Means of each head over all live rows of the batch, of every statistic that has one; NaN where no row has a value."""
        return {name: sums / counts for name, (sums, counts) in self.head_sums().items()}

    def of_queries(self) -> dict[str, Float[Tensor, "batch heads queries"]]:
        """What has a mean over queries, by name."""
        known = {*self.values, *(("largest_weight",) if "top_weights" in self.values else ())}
        return {name: getattr(self, name) for name in MEANS if name in known} | dict(self.aligned_shares)

    def head_sums(self) -> dict[str, tuple[Float[Tensor, " heads"], Float[Tensor, " heads"]]]:
        """Sum over the live rows that have a value, and their number, in float64."""
        rows = self.of_queries()
        counted = {name: self.is_live & ~value.isnan() for name, value in rows.items()}
        return {name: (_sum_of(rows[name], one), one.sum((0, 2)).double()) for name, one in counted.items()}


def _sum_of(value: Tensor, counted: Tensor) -> Tensor:
    return torch.where(counted, value, 0).double().sum((0, 2))


def cell_width(length: int) -> int:
    """Positions in one cell of a block map over `length` positions."""
    return max(1, math.ceil(length / MAP_CELLS))


def num_cells(length: int) -> int:
    """Cells of a block map along a side of `length` positions."""
    return math.ceil(length / cell_width(length))
