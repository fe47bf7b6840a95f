"""Statistics that can be differentiated, found by the kernels that compute attention anyway. O(queries + keys) memory.

Weights are linear in the values: what is a sum over the keys is one more call with other columns in place of the values. What
no kernel gives is read block by block (`regard.lens.walks`); `ways` says which is which, and why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from regard.attention import dots
from regard.attention.call import Call, share
from regard.attention.masks.band import Band
from regard.attention.scaled_dot import ScaledDot
from regard.errors import InputError
from regard.lens.explicit import is_never
from regard.lens.measure import live_rows
from regard.lens.pairs import permitted_keys, scores_at
from regard.lens.statistics import STATISTICS, Wanted, cell_width, num_cells
from regard.lens.sums import MOST_COLUMNS, attend, kernel_logsumexp, received
from regard.lens.walks import CELLS, statistics_by_blocks

STOCK = "attention kernels"
BLOCKS = "blocks of the weights"
_OF_ROW_SUMS = ["entropy_bits", "evenness", "logsumexp", "total_weight", "window_share", "previous_share"]
_MAXIMA = ["largest_logit", "top_weights"]
_DISTANCES = ["mean_distance", "distance_spread"]


def statistics_of(call: Call, names: Sequence[str], wanted: Wanted | None = None, *, first_query: int = 0) -> dict[str, Tensor]:
    """Statistics of a call by name, as STATISTICS defines them, with the graph of its query, key, bias and parameters.

    In float32 or wider, before dropout. `wanted` holds the numbers that the definitions leave open. Raises InputError for what
    has no gradient (`top_keys`) or no definition here.
    """
    wanted, call = wanted or Wanted(), prepared(call)
    found: dict[str, Tensor] = {}
    with torch.autocast(call.query.device.type, enabled=False):
        stock = Stock(call, wanted, first_query)
        by_blocks = [name for name, reason in _reasons(call, names).items() if reason]
        if by_blocks:
            walks = [CELLS if name == "block_map" else name for name in by_blocks]
            read = statistics_by_blocks(call, walks, wanted, first_query)
            found = {name: stock.finished(name, value) for name, value in zip(by_blocks, read.values(), strict=True)}
        for name in names:
            if name not in found:
                found[name] = stock.finished(name, getattr(stock, name))
    return {name: found[name] for name in names}


def ways(call: Call, names: Sequence[str]) -> dict[str, str]:
    """How `statistics_of` would find each statistic: by kernels, or by blocks of the weights and why. Computes nothing."""
    reasons = _reasons(prepared(call), names)
    return {name: f"{BLOCKS}: {reason}" if reason else STOCK for name, reason in reasons.items()}


def prepared(call: Call) -> Call:
    """The call without dropout, in float32 where it came in half precision; the graph stays."""

    def widen(x: Tensor) -> Tensor:
        return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x

    bias = call.bias
    if isinstance(bias, Tensor):  # what stands for −inf in a bias is −inf, or a row of it would look at all keys alike
        bias = widen(bias.masked_fill(is_never(bias), -math.inf))
    return replace(call, query=widen(call.query), key=widen(call.key), value=widen(call.value), bias=bias, dropout=None)


class Stock:
    """What kernels tell of a `prepared` call; each part is found once, when it is asked for."""

    def __init__(self, call: Call, wanted: Wanted, first_query: int = 0) -> None:
        self.call, self.wanted, self.first_query = call, wanted, first_query

    @cached_property
    def is_live(self) -> Tensor:
        """Which rows may look at something."""
        return self.permitted > 0

    @cached_property
    def permitted(self) -> Tensor:
        """How many keys each row may look at."""
        return permitted_keys(self.call)

    def finished(self, name: str, value: Tensor) -> Tensor:
        """A statistic with what rows have that may look at nothing; of sums over cells, the block map."""
        if name in ("logsumexp", "largest_logit"):
            return value.masked_fill(~self.is_live, -math.inf)
        if name == "evenness":
            return value.masked_fill(self.permitted < 2, math.nan)
        if name == "block_map":
            return self._over_rows(value)
        if STATISTICS[name].of == "key":
            return value
        is_live = self.is_live if value.dim() == 3 else self.is_live[..., None]
        return torch.where(is_live, value, 0)

    @cached_property
    def form(self) -> dots.Dots:
        """The vectors that are multiplied."""
        return dots.dots_of(self.call)

    @cached_property
    def logsumexp(self) -> Tensor:
        """log Σ exp S; in a row that may look at nothing any finite number.

        Keys are counted from their mean, which moves all scores of a row alike: a common part would cost digits.
        """
        if self.call.bias is not None:
            return kernel_logsumexp(self._plain, self.form.query, self.form.key)
        return self._from_centre + self._centre_score

    @cached_property
    def log_total(self) -> Tensor:
        """log of what the softmax divides by: the sinks are in the sum."""
        return self._with_sinks(self.logsumexp)

    @cached_property
    def entropy_bits(self) -> Tensor:
        """Σ P (log total − S): one call with the keys in place of the values."""
        seen = attend(replace(self.call, value=self._keys_from_centre))
        scores = (self.form.query * seen).sum(-1) * self.form.scale
        log_total = self._from_centre
        if self.form.sinks is not None:
            log_total = torch.logaddexp(log_total, self.form.sinks[:, None] - self._centre_score)
        return (log_total * self.total_weight - scores) / math.log(2)

    @property
    def evenness(self) -> Tensor:
        """A share of what the entropy could be."""
        return self.entropy_bits / self.permitted.to(self.form.query.dtype).clamp(min=2).log2()

    @cached_property
    def total_weight(self) -> Tensor:
        if self.form.sinks is None:
            return self.is_live.to(self.form.query.dtype)
        return torch.sigmoid(self.logsumexp - self.form.sinks[:, None])

    @cached_property
    def window_share(self) -> Tensor:
        """From the log-sum-exp over the window: its tiles are few."""
        shift, width = self.first_query, self.wanted.window
        near = replace(self._plain, mask=self.call.mask & Band(width - shift, width + shift))
        near_sum = kernel_logsumexp(near, self.form.query, self.form.key).masked_fill(~live_rows(near), -math.inf)
        log_total = self.log_total.masked_fill(~self.is_live, 0)
        return (near_sum - log_total).exp()

    @cached_property
    def previous_share(self) -> Tensor:
        """From the one score that it is about."""
        at = torch.arange(self.call.shape[2], device=self.call.query.device) + self.first_query - 1
        return self.weight_at(at.expand(self.call.shape[0], -1))

    def log_weight_at(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """log P of one key for each query (batch, queries), and where there is such a key and the query may look at it."""
        is_there, scores = scores_at(self.call, self.form, keys)
        return scores - torch.where(self.is_live, self.log_total, 0), is_there

    def weight_at(self, keys: Tensor) -> Tensor:
        """P of one key for each query; 0 where there is none."""
        log_weight, is_there = self.log_weight_at(keys)
        return torch.where(is_there, torch.where(is_there, log_weight, 0).exp(), 0)

    @property
    def sink_share(self) -> Tensor:
        is_sink = torch.arange(self.call.shape[3], device=self.call.query.device) < self.wanted.sink_keys
        return self.mixed(is_sink[None, :, None])[..., 0]

    @property
    def segment_shares(self) -> Tensor:
        if self.wanted.segments is None:
            raise InputError("segment_shares needs Wanted(segments=…), the number of the segment of each key.")
        numbers = torch.arange(self.wanted.num_segments, device=self.call.query.device)
        return self.mixed(self.wanted.segments.to(numbers)[:, :, None] == numbers)

    @property
    def block_map(self) -> Tensor:
        """Of each query, still: the sums over the cells of the keys."""
        keys = self.call.shape[3]
        cell = torch.arange(keys, device=self.call.query.device) // cell_width(keys)
        return self.mixed((cell[:, None] == torch.arange(num_cells(keys), device=cell.device))[None])

    @property
    def mass_received(self) -> Tensor:
        return received(self.call, self.call.query.new_ones(*self.call.shape[:3], 1))[..., 0]

    def mixed(self, columns: Tensor) -> Tensor:
        """P columns, of (#batch, keys, columns)."""
        sides = self.call.key.shape[:2]
        parts = []
        for part in columns.to(self.call.query.dtype).split(MOST_COLUMNS, 2):
            value = part[:, None].expand(*sides, -1, -1)
            parts.append(attend(replace(self.call, value=value)))
        return torch.cat(parts, 3)

    @property
    def _plain(self) -> Call:
        """The same scores by a softmax without sinks."""
        key = self.form.key
        return replace(self.call, mechanism=ScaledDot(self.form.scale), query=self.form.query, key=key, value=key)

    @cached_property
    def _centre(self) -> Tensor:
        return self.form.key.detach().mean(2, keepdim=True).nan_to_num()

    @cached_property
    def _keys_from_centre(self) -> Tensor:
        return self.form.key - self._centre

    @cached_property
    def _centre_score(self) -> Tensor:
        return (self.form.query * share(self._centre, self.call.shape[1])).sum(-1) * self.form.scale

    @cached_property
    def _from_centre(self) -> Tensor:
        return kernel_logsumexp(self._plain, self.form.query, self._keys_from_centre)

    def _with_sinks(self, log_sum: Tensor) -> Tensor:
        return log_sum if self.form.sinks is None else torch.logaddexp(log_sum, self.form.sinks[:, None])

    def _over_rows(self, cells: Tensor) -> Tensor:
        """A mean over the live queries of each cell."""
        queries = self.call.shape[2]
        cell = torch.arange(queries, device=cells.device) // cell_width(queries)
        sums = cells.new_zeros(*cells.shape[:2], num_cells(queries), cells.shape[3]).index_add(2, cell, cells)
        counts = cells.new_zeros(sums.shape[:3]).index_add(2, cell, self.is_live.to(cells.dtype))
        return sums / counts.clamp(min=1)[..., None]


def _reasons(call: Call, names: Sequence[str]) -> dict[str, str]:
    """Why kernels do not give a statistic of a prepared call; "" where they do. Raises InputError for what nothing gives."""
    if counts := {"top_keys", "permitted_keys"} & set(names):
        raise InputError(f"{counts.pop()} has no gradient: leave it out, and read it with regard.watch.")
    if unknown := [name for name in names if name not in STATISTICS]:
        raise InputError(f"No statistic is called {unknown[0]!r}. Known: {', '.join(STATISTICS)}.")
    general = dots.refusal(call)
    return {name: general or _reason(call, name) for name in names}


def _reason(call: Call, name: str) -> str:
    if name in _MAXIMA:
        return "a maximum is no sum over the keys"
    if name in _DISTANCES:
        return "a sum of positions over all keys loses the digits of a short distance"
    if name == "mass_received" and is_learned(call):
        return "by kernels it is a first derivative, and its own gradient a second one"
    return no_logsumexp(call, name) if name in _OF_ROW_SUMS else ""


def no_logsumexp(call: Call, name: str = "") -> str:
    """Why kernels do not give the log-sum-exp of a softmax over dot products; "" where they do."""
    if call.mechanism.softcap is not None:
        return "a softcap stands between the product and the softmax"
    if name in ("entropy_bits", "evenness") and call.bias is not None:
        return "the mean of a bias is no attention call"
    if dots.learns_bias(call):
        return "the gradient of a bias is the weights themselves"
    if call.query.device.type == "cpu":
        return ""
    from regard.attention.backends import triton

    return triton.refusal(call) or ("only on a CPU has the kernel a bias" if call.bias is not None else "")


def is_learned(call: Call) -> bool:
    """Is a gradient of this call wanted?"""
    learned = any(p.requires_grad for p in call.mechanism.parameters()) or dots.learns_bias(call)
    return torch.is_grad_enabled() and (learned or call.query.requires_grad or call.key.requires_grad)
