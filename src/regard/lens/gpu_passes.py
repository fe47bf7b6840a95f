"""The memory of a call on a GPU, and the launches of Triton kernels that fill it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from regard.attention.call import Call
from regard.attention.dots import Dots
from regard.attention.masks import Mask
from regard.attention.positions.alibi import Alibi
from regard.lens.pairs import weights_at
from regard.lens.statistics import Wanted, cell_width, num_cells

if TYPE_CHECKING:
    from regard.attention.kernels.layout import Layout
    from regard.attention.kernels.pieces import Terms

RECEIVED_NUMBERS = 2**26
"""Most numbers that one launch keeps of what each key receives from each row of cells: 256 MB."""
NAMED_ROWS = 16
FURTHEST = 1e-3
"""Weights of a row that sum to 1 but for more than that were found with a log-sum-exp that is not theirs."""


class Step(NamedTuple):
    """What a program takes at a time, and how it is compiled."""

    rows: int
    keys: int
    num_warps: int
    num_stages: int
    maxnreg: int | None = None


FAR = {
    (2, 64): Step(128, 128, 4, 2),
    (2, 128): Step(128, 128, 4, 2),
    (2, 256): Step(64, 64, 4, 2),
    (4, 64): Step(64, 32, 4, 2),
    (4, 128): Step(32, 32, 4, 2),
    (4, 256): Step(32, 32, 4, 1),
}
"""Of tiles far from the rows, by the bytes of a number and the head dim, at least 64; see benchmarks/lens_gpu.py.

Its rows and keys are the layout's: the other passes have as many rows, and keys that divide these.
"""
NEAR = {size: step._replace(keys=32) for size, step in FAR.items()}
"""Of all other tiles."""
LSE = FAR | {(2, 64): Step(128, 128, 8, 2), (2, 128): Step(128, 128, 8, 2)}
"""Of the pass that finds log-sum-exps."""


class Passes:
    """One call on its way: `run` fills what `values` and `aligned` read."""

    def __init__(self, dots: Dots, wanted: Wanted, first_query: int, rows: tuple[range, ...] | None) -> None:
        dots = replace(dots, query=_dense_rows(dots.query.detach()), key=_dense_rows(dots.key.detach()))
        self.dots, self.call, self.wanted, self.first_query = dots, dots.call, wanted, first_query
        self.size = dots.query.element_size(), max(64, _width(dots.query.shape[3]))
        self.layout = _layout(self.call, FAR[self.size])
        self.is_kept, self.kept_lines = self._kept(rows)
        batch, heads, queries, keys = self.call.shape
        top = 1 << (wanted.top_keys - 1).bit_length()
        self.lse = self._blank(batch, heads, queries).fill_(-math.inf)
        self.sums = self._blank(2, 8, batch, heads, queries)  # of far tiles, and of all others
        self.top_scores = self._blank(2, batch, heads, queries, top).fill_(-math.inf)
        self.top_keys = torch.full(self.top_scores.shape, -1, dtype=torch.int32, device=dots.query.device)
        self.received = self._blank(batch * heads, keys)
        self.map = self._blank(batch * heads, num_cells(queries), num_cells(keys))
        self.segment_shares = self._blank(batch, heads, queries, wanted.num_segments) if wanted.num_segments else None

    def run(self, logsumexp: Tensor | None) -> None:
        """Fill everything; by a pass more where no log-sum-exp is given."""
        if self.kept_lines is not None and not len(self.kept_lines):
            return
        if logsumexp is None:
            self._launch_lse()
        else:
            self.lse.copy_(torch.where(logsumexp.isfinite(), logsumexp, -math.inf))
        for items in self._launches():
            self._launch_statistics(items)
        if self.wanted.top_keys == 1:
            self._launch_names()

    def sums_are_right(self) -> bool:
        """Do the weights of each row sum to what the log-sum-exp says? Waits for the device."""
        total, permitted = self.sums[:, 1].sum(0), self.sums[:, 7].sum(0)
        apart = total - (self.lse - self._with_sinks).exp()  # NaN where no log-sum-exp was given for a row that needs one
        return bool((apart.where(permitted > 0, 0).abs() <= FURTHEST).all())

    def _blank(self, *shape: int) -> Tensor:
        return torch.zeros(shape, device=self.dots.query.device)

    def _kept(self, rows: tuple[range, ...] | None) -> tuple[Tensor | None, Tensor | None]:
        """Which rows are read, and which tiles hold any of them; None for all."""
        if rows is None:
            return None, None
        queries, high, device = self.call.shape[2], self.layout.rows, self.dots.query.device
        is_kept = torch.zeros(math.ceil(queries / high) * high, dtype=torch.int8)
        for run in rows:
            is_kept[run.start : run.stop] = 1
        lines = is_kept.view(-1, high).any(1).nonzero()[:, 0].int()
        return is_kept[:queries].to(device), lines.to(device)

    @property
    def _is_read(self) -> Tensor:
        """Which rows are read and have any weight."""
        is_live = self.lse.isfinite()
        return is_live if self.is_kept is None else is_live & (self.is_kept > 0)

    @property
    def _with_sinks(self) -> Tensor:
        """The log-sum-exps with the sinks in the sums."""
        sinks = self.dots.sinks
        both = self.lse if sinks is None else torch.logaddexp(self.lse, sinks.float()[:, None])
        return both.where(self.lse.isfinite(), -math.inf)

    def _launch_lse(self) -> None:
        from regard.lens.kernels.triton_rows import lse_kernel

        batch, heads, queries, keys = self.call.shape
        _launch(
            lse_kernel,
            (self._num_lines, batch * heads),
            *(*self._vectors, self.lse, self.kept_lines, *self._tiles, self._terms, 0, heads, queries, keys),
            **self._sizes(LSE),
            STEP=LSE[self.size].keys,
        )

    def _launches(self) -> Iterator[range]:
        """Runs of (batch, head) pairs whose memory is held at a time."""
        batch, heads, queries, keys = self.call.shape
        some = max(1, min(batch * heads, RECEIVED_NUMBERS // (num_cells(queries) * keys)))
        return (range(start, min(start + some, batch * heads)) for start in range(0, batch * heads, some))

    def _launch_statistics(self, items: range) -> None:
        queries, keys = self.call.shape[2:]
        received = self._blank(len(items), num_cells(queries), keys)
        lse = self._with_sinks
        for part, table in enumerate((FAR, NEAR)):
            self._launch_part(part, table, items, received, lse)
        self.received[items.start : items.stop] = received.sum(1)
        wide, cells = cell_width(keys), num_cells(keys)
        whole = pad(received, (0, cells * wide - keys)) if cells * wide > keys else received
        self.map[items.start : items.stop] = whole.unflatten(2, (cells, wide)).sum(3)

    def _launch_part(self, part: int, table: dict[tuple[int, int], Step], items: range, received: Tensor, lse: Tensor) -> None:
        from regard.lens.kernels.triton_statistics import Found, statistics_kernel

        heads, queries, keys = self.call.shape[1:]
        sums, top_scores, top_keys = self.sums[part], self.top_scores[part], self.top_keys[part]
        found = Found(sums, sums.stride(0), top_scores, top_keys, self.segment_shares, received)
        _launch(
            statistics_kernel,
            (self._num_lines, len(items)),
            *(*self._vectors, lse, self.is_kept, self.kept_lines, found, self._places, *self._tiles, self._terms),
            *(items.start, heads, queries, keys),
            **self._sizes(table),
            TOP=top_keys.shape[3],
            CELLS=_most_cells(self.layout.rows, cell_width(queries)),
            FOLD=table[self.size].num_warps if self.size[0] == 2 else 0,
            FAR=table is FAR,
            STEP=table[self.size].keys,
        )

    def _launch_names(self) -> None:
        from regard.lens.kernels.triton_rows import name_kernel

        batch, heads, queries, _ = self.call.shape
        _launch(
            name_kernel,
            (math.ceil(queries / NAMED_ROWS), batch * heads),
            *(*self._vectors, self.top_keys[0], self._terms, heads, queries),
            **self._sizes(FAR) | {"ROWS": NAMED_ROWS, "num_warps": 4},
        )

    @property
    def _num_lines(self) -> int:
        return self.layout.size[2] if self.kept_lines is None else len(self.kept_lines)

    @property
    def _vectors(self) -> tuple[Any, Any]:
        from regard.attention.kernels.pieces import Matrices

        return Matrices.of(self.dots.query), Matrices.of(self.dots.key)

    @property
    def _tiles(self) -> tuple[Any, ...]:
        return self.layout.by_query, self.layout.by_query_strides, self.layout.words

    @property
    def _terms(self) -> Terms:
        from regard.attention.kernels.pieces import Terms

        bias, softcap, scale = self.call.bias, self.dots.softcap, self.dots.scale
        return Terms(
            factor=(scale if softcap is None else softcap) / math.log(2),
            inner=None if softcap is None else scale / softcap,
            slopes=bias.slopes.to(self.lse) if isinstance(bias, Alibi) else None,
            sinks=None,
            **dict.fromkeys(("drop_rows", "drop_keys", "key_threshold", "weight_threshold", "weight_scale")),
        )

    @property
    def _places(self) -> Any:
        from regard.lens.kernels.triton_statistics import Places

        (queries, keys), wanted, segments = self.call.shape[2:], self.wanted, None
        if wanted.segments is not None and wanted.num_segments:
            segments = wanted.segments.to(self.lse.device, torch.int32).contiguous()
        stride = keys if segments is not None and segments.shape[0] > 1 else 0
        cells = cell_width(queries), num_cells(queries)
        return Places(self.first_query, wanted.window, wanted.sink_keys, *cells, segments, stride, wanted.num_segments)

    def _sizes(self, table: dict[tuple[int, int], Step]) -> dict[str, Any]:
        dim, step = self.dots.query.shape[3], table[self.size]
        return {
            "GROUP": self.call.shape[1] // self.dots.key.shape[1],
            "DIM": dim,
            "WIDTH": _width(dim),
            "ROWS": self.layout.rows,
            "KEYS": self.layout.keys,
            "num_warps": step.num_warps,
            "num_stages": step.num_stages,
            "maxnreg": step.maxnreg,
        }

    def values(self) -> dict[str, Tensor]:
        """Statistics by name."""
        from regard.lens.kernels.triton_statistics import PLANES

        most, is_read = self.wanted.top_keys, self._is_read
        found = dict(zip(PLANES, self.sums.sum(0), strict=True)) | self._moments()
        scores, keys = (torch.cat(list(both), -1) for both in (self.top_scores, self.top_keys))
        scores, order = scores.sort(-1, descending=True)
        weights = (scores[..., :most] - self._with_sinks[..., None]).exp().where(is_read[..., None], 0)
        if self.segment_shares is not None:
            found["segment_shares"] = self.segment_shares
        return {
            **found,
            "logsumexp": self.lse.where(is_read & (found["permitted_keys"] > 0), -math.inf),
            "largest_logit": scores[..., 0],
            "top_weights": weights,
            "top_keys": keys.gather(3, order[..., :most]).long().where(weights > 0, -1),
            "mass_received": self.received.unflatten(0, self.call.shape[:2]),
            "block_map": self.map.unflatten(0, self.call.shape[:2]),
        }

    def _moments(self) -> dict[str, Tensor]:
        """Mean and spread of the distances, far tiles and others together."""
        total, mean, variance = self.sums[:, 1], self.sums[:, 2], self.sums[:, 3]
        share = total / total.sum(0).clamp(min=1e-30)
        middle = (share * mean).sum(0)
        spread = (share * (variance + (mean - middle).square())).sum(0).sqrt()
        return {"mean_distance": middle, "distance_spread": spread}

    def aligned(self) -> dict[str, Tensor]:
        """Shares of alignments."""
        if not self.wanted.alignments:
            return {}
        call = replace(self.call, mask=self.call.mask.to(self.lse.device))
        wide = replace(self.dots, call=call, query=self.dots.query.float(), key=self.dots.key.float())
        return {name: weights_at(wide, self._with_sinks, keys) for name, keys in self.wanted.alignments.items()}


def _most_cells(rows: int, high: int) -> int:
    """Most rows of cells that a tile of rows can lie in."""
    if high % rows == 0 or rows % high == 0:
        return max(1, rows // high)
    return (rows - 2) // high + 2


def _width(dim: int) -> int:
    return max(16, 1 << (dim - 1).bit_length())


def _dense_rows(x: Tensor) -> Tensor:
    return x if x.stride(3) == 1 else x.contiguous()


def _layout(call: Call, step: Step) -> Layout:
    return _layout_of(call.mask, call.mask.version, call.shape[2:], step[:2], call.query.device)


@lru_cache(maxsize=16)
def _layout_of(
    mask: Mask, version: tuple[int, ...], lengths: tuple[int, int], tile: tuple[int, int], device: torch.device
) -> Layout:
    """The layers of a model share a mask: kept until its tensors are written to."""
    from regard.attention.kernels.layout import Layout

    return Layout.build(mask.to(device), *lengths, device, rows=tile[0], keys=tile[1])


def _launch(kernel: Any, grid: tuple[int, int], *arguments: Any, **sizes: Any) -> None:
    kernel[grid](*arguments, **sizes)
