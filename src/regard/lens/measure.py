"""Measure a call by the fastest exact pass that serves it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.attention.call import Call
from regard.errors import InputError, Unsupported
from regard.lens import explicit, gpu, tiles
from regard.lens.pairs import permitted_keys
from regard.lens.statistics import Statistics, Wanted, cell_width

SAMPLE_ROWS = 64
"""Most rows in a block of queries that `sample=` counts."""
WRITTEN = "read from the weights that the model wrote out"
WAYS = {
    "triton": "Triton passes on the GPU",
    "tiles": "compiled tile pass on the CPU",
    "explicit": "explicit pass over blocks of the weights",
}
"""How a call can be measured: a name, and what a reader is told."""


@dataclass(frozen=True)
class Sample:
    """Blocks of `SAMPLE_ROWS` queries that were read, drawn without replacement from all of a call."""

    rows: tuple[range, ...]
    num_blocks: int
    is_live: Bool[Tensor, "batch heads queries"]
    """Which of all queries may look at something."""

    @cached_property
    def num_live(self) -> Float[Tensor, " heads"]:
        """How many these are: what a mean over all of them divides by."""
        return self.is_live.sum((0, 2)).double()


@dataclass(frozen=True)
class Measured:
    """Statistics, and how they were found."""

    statistics: Statistics
    how: str
    sample: Sample | None = None
    """None where every query was read."""
    is_finite: bool = True
    """Are the weights of all live rows numbers?"""


@torch.inference_mode(False)  # results are of the ordinary kind, and threads know no inference mode
@torch.no_grad()
def measure(
    call: Call, wanted: Wanted | None = None, *, first_query: int = 0, sample: Sample | None = None, way: str = "auto"
) -> Measured:
    """Exact statistics of a call, in float32 or wider, before dropout; O(queries + keys) memory.

    `first_query` is the position of the first query among the keys, from which distances count. `way` is a name of WAYS; a way
    named never falls back, it raises Unsupported; "auto" takes the first that can.
    """
    call, fitting = _detached(call), _fitting(wanted or Wanted(), call.shape)
    rows = None if sample is None else sample.rows
    chosen, reasons = _chosen(call, fitting, way)
    if chosen != "triton":
        call = widened(call)
    if chosen == "explicit":
        found = explicit.measure(explicit.of_call(call), fitting, first_query, rows)
    else:
        found = PASSES[chosen].measure(call, fitting, first_query, rows)
    rectangles = tuple(_rectangle(call, *sides) for sides in fitting.rectangles)
    how = WAYS[chosen] + "".join(f"; not by the {WAYS[name]}: {reason}" for name, reason in reasons.items())
    return _finished(found, rectangles, fitting, how, sample)


PASSES = {"triton": gpu, "tiles": tiles}
"""Those that do not serve every call."""


def _chosen(call: Call, wanted: Wanted, way: str) -> tuple[str, dict[str, str]]:
    """A way that can measure a call, and why the one made for its device cannot."""
    if way not in ("auto", *WAYS):
        raise InputError(f"No way to measure is called {way!r}. Known: auto, {', '.join(WAYS)}.")
    if way == "explicit":
        return way, {}
    tried = ("tiles" if call.query.device.type == "cpu" else "triton") if way == "auto" else way
    reason = PASSES[tried].refusal(call, wanted)
    if reason and way != "auto":
        raise Unsupported(f"The {WAYS[way]} refuses: {reason}. Use way='auto'.")
    return ("explicit", {tried: reason}) if reason else (tried, {})


def _fitting(wanted: Wanted, shape: tuple[int, int, int, int]) -> Wanted:
    """Without the segments and alignments that were made for calls of another size, and rectangles cut to this one."""
    batch, _, queries, keys = shape
    segments, alignments = wanted.segments, wanted.alignments
    if segments is not None and (segments.shape[1] != keys or segments.shape[0] not in (1, batch)):
        segments = None
    fits = {name: one for name, one in alignments.items() if one.shape[1] == queries and one.shape[0] in (1, batch)}
    cut = [(range(queries)[r.start : r.stop], range(keys)[k.start : k.stop]) for r, k in wanted.rectangles]
    return replace(wanted, segments=segments, alignments=fits, rectangles=tuple(both for both in cut if all(both)))


@torch.inference_mode(False)  # results are of the ordinary kind, and threads know no inference mode
@torch.no_grad()
def measure_matrix(weights: Tensor, scores: Tensor | None, wanted: Wanted | None = None, *, first_query: int = 0) -> Measured:
    """Statistics of weights (batch, heads, queries, keys) that are written out, and of the scores that they came from."""
    fitting = _fitting(wanted or Wanted(), tuple(weights.shape))  # type: ignore[arg-type]
    found = explicit.measure(explicit.of_matrix(weights, scores), fitting, first_query)
    cuts = [(slice(rows.start, rows.stop), slice(keys.start, keys.stop)) for rows, keys in fitting.rectangles]
    return _finished(found, tuple(weights[:, :, rows, keys].cpu() for rows, keys in cuts), fitting, WRITTEN, None)


def draw(call: Call, num_blocks: int, generator: torch.Generator) -> Sample | None:
    """Blocks of queries to read, drawn by a generator of their own; None where there are no more than that.

    All blocks are of the same size to a row, or else the size would add to the error.
    """
    total = math.ceil(call.shape[2] / SAMPLE_ROWS)
    if total <= num_blocks:
        return None
    drawn = torch.randperm(total, generator=generator)[:num_blocks].sort().values.tolist()
    edge = [i * call.shape[2] // total for i in range(total + 1)]
    return Sample(tuple(range(edge[i], edge[i + 1]) for i in drawn), total, live_rows(call).cpu())


def live_rows(call: Call) -> Bool[Tensor, "batch heads queries"]:
    """Which queries may look at any key; costs no scores."""
    return permitted_keys(call) > 0


def _finished(
    found: explicit.Found, rectangles: tuple[Tensor, ...], wanted: Wanted, how: str, sample: Sample | None
) -> Measured:
    """Sums turned into means, what is no number marked, and what was not wanted left out."""
    values, shares = ({name: value.cpu() for name, value in one.items()} for one in found)
    total, is_live = values["total_weight"], values["permitted_keys"] > 0
    is_broken = is_live & ~total.isfinite()
    queries = is_live.shape[2]
    high = cell_width(queries)
    in_cell = values["block_map"].new_zeros(values["block_map"].shape[:3])
    in_cell.index_add_(2, torch.arange(queries) // high, is_live.to(in_cell.dtype))
    values["block_map"] = values["block_map"] / in_cell.clamp(min=1)[..., None]
    permitted, bits = values["permitted_keys"], values["entropy_bits"]
    values["evenness"] = torch.where(permitted > 1, bits / permitted.clamp(min=2).log2(), math.nan)
    for name in ("mean_distance", "distance_spread"):
        values[name] = values[name].masked_fill(is_live & (total == 0), math.nan)
    if is_broken.any():
        of_rows = values.keys() - {"mass_received", "block_map", "permitted_keys", "top_keys"}
        values |= {name: _without_rows(values[name], is_broken) for name in of_rows}
        shares = {name: _without_rows(share, is_broken) for name, share in shares.items()}
    if sample is not None:
        values["mass_received"] *= sample.num_blocks / len(sample.rows)
        values["block_map"][in_cell == 0] = math.nan
    kept = {name: values[name] for name in wanted.names if name in values}
    missing = {name: "the mechanism has no scores" for name in wanted.names if name not in values}
    if "segment_shares" in missing:
        missing["segment_shares"] = "no segments were given for so many keys"
    return Measured(Statistics(kept, is_live, shares, rectangles, missing), how, sample, not is_broken.any())


def _without_rows(value: Tensor, left_out: Bool[Tensor, "batch heads queries"]) -> Tensor:
    """NaN in some rows: passes differ in what they find there."""
    return value.masked_fill(left_out if value.dim() == 3 else left_out[..., None], math.nan)


def _rectangle(call: Call, rows: range, keys: range) -> Tensor:
    """P over a run of queries and a run of keys; only these queries are computed."""
    return widened(call).weights(rows)[..., keys.start : keys.stop].cpu()


def _detached(call: Call) -> Call:
    """Without its graph and its dropout."""
    return replace(call.detached(), dropout=None)


def widened(call: Call) -> Call:
    """Without its dropout, in float32 where it came in half precision."""

    def widen(x: Tensor) -> Tensor:
        return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x

    bias = widen(call.bias) if isinstance(call.bias, Tensor) else call.bias
    return Call(call.mechanism, widen(call.query), widen(call.key), widen(call.value), call.mask, bias)
