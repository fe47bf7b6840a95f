"""A call of attention as a reader found it: a `Call` of ours, or a matrix that the model wrote out itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.attention.call import Call, share
from regard.attention.masks import EMPTY, FULL, PARTIAL, Band, Both, Mask
from regard.attention.masks.blocks import Blocks
from regard.attention.masks.content import Document, Padding
from regard.attention.mechanism import Dot, Scored
from regard.attention.normalizers.softmax import Sink
from regard.attention.positions.bias import Bias
from regard.errors import InputError
from regard.lens.measure import Measured, Sample, measure, measure_matrix
from regard.lens.statistics import Wanted


class NotSeen(Exception):
    """Why a call could not be read exactly."""


NEVER, LOW, USUAL = -1e8, -5e3, -5e2
"""Numbers down to NEVER, or half the least of a narrow type, always hide; down to LOW, half of −10⁴, if none is up to USUAL."""


def is_hiding(x: Tensor) -> Tensor:
    """Which scores, or numbers added to scores, stand for "may not look": −∞, −10⁹, the least of a type, −10⁴.

    What falls off by and by, as ALiBi does over many positions, is no mask: it leaves no gap. Over the gap exp gives exactly 0.
    """
    is_low = x <= LOW
    has_gap = not (is_low.all() or ((x <= USUAL) & ~is_low).any())
    return is_low if has_gap else x <= max(NEVER, torch.finfo(x.dtype).min / 2)


def check_readable(*given: Any) -> None:
    """Raise NotSeen for tensors that have no numbers to read."""
    for x in given:
        if not isinstance(x, Tensor):
            continue
        if x.is_meta or type(x).__name__ == "FakeTensor":
            raise NotSeen("tensors of the meta device, and fake ones, have no numbers: run the model on a real device")
        if torch._C._functorch.is_functorch_wrapped_tensor(x):
            raise NotSeen("inside a transform of torch.func (vmap, grad) tensors cannot be read: watch a plain call")


@dataclass(frozen=True)
class LiveRows(Mask):
    """All keys, for those queries that are no padding."""

    is_live: Bool[Tensor, "#batch queries"]

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        is_live = self.is_live.to(batch.device)
        return is_live[batch if len(is_live) > 1 else torch.zeros_like(batch), query]

    def tiles(self, query_first: Tensor, query_last: Tensor, key_first: Tensor, key_last: Tensor) -> Tensor:
        before = torch.nn.functional.pad(self.is_live.to(query_first.device).long().cumsum(1), (1, 0))
        num_live = before[:, query_last + 1] - before[:, query_first]
        known = torch.where(num_live == 0, EMPTY, torch.where(num_live == query_last - query_first + 1, FULL, PARTIAL))
        return known.to(torch.int8)[:, None, :, None].expand(-1, 1, -1, len(key_first))

    def check(self, shape: tuple[int, int, int, int]) -> None:
        if self.is_live.shape[0] not in (1, shape[0]) or self.is_live.shape[1] != shape[2]:
            raise InputError(f"{self} does not fit (batch, heads, queries, keys) = {shape}.")

    def __str__(self) -> str:
        return f"live_rows({self.is_live.shape[0]} × {self.is_live.shape[1]})"


@dataclass(frozen=True, eq=False)
class OfHeads(Mask):
    """A mask that knows of heads, for some of them."""

    mask: Mask
    heads: Tensor

    def allows(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return self.mask.allows(batch, self.heads.to(head.device)[head], query, key)

    def tiles(self, *edges: Tensor) -> Tensor:
        known = self.mask.tiles(*edges)
        return known if known.shape[1] == 1 else known[:, self.heads.to(known.device)]

    def __str__(self) -> str:
        return f"{self.mask} of {len(self.heads)} heads"


@dataclass(frozen=True)
class FoundCall:
    """A call, and what tells of its padding and of where its queries stand."""

    call: Call
    allowed: Bool[Tensor, "#batch #heads #queries #keys"] | None = None
    """Who may look at whom, where the model wrote it out."""
    first_query: int | None = None
    """Position of the first query among the keys, where the call itself says so."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(batch, heads, queries, keys)."""
        return self.call.shape

    def without_padding(self, is_live: Bool[Tensor, "#batch queries"]) -> FoundCall:
        """Queries that are padding may look at nothing."""
        return replace(self, call=replace(self.call, mask=self.call.mask & LiveRows(is_live)))

    def of_heads(self, heads: tuple[int, ...]) -> FoundCall | None:
        """Some heads alone; None where the mechanism cannot be cut into its heads."""
        call = _of_heads(self.call, heads)
        return None if call is None else replace(self, call=call, allowed=None)

    def measure(self, wanted: Wanted, first_query: int, sample: Sample | None) -> Measured:
        """Exact statistics."""
        return measure(self.call, wanted, first_query=first_query, sample=sample)


@dataclass(frozen=True)
class FoundMatrix:
    """Weights that a model wrote out, before dropout; scores are −inf where a query may not look."""

    weights: Float[Tensor, "batch heads queries keys"]
    scores: Float[Tensor, "batch heads queries keys"] | None
    first_query: int | None = None
    call = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(batch, heads, queries, keys)."""
        return tuple(self.weights.shape)  # type: ignore[return-value]

    @property
    def allowed(self) -> Bool[Tensor, "batch heads queries keys"] | None:
        """Who may look at whom, where some may not."""
        if self.scores is None:
            return None
        allowed = self.scores > float("-inf")
        return None if allowed.all() else allowed

    def without_padding(self, is_live: Bool[Tensor, "#batch queries"]) -> FoundMatrix:
        """Queries that are padding look at nothing."""
        dead = ~is_live.to(self.weights.device)[:, None, :, None]
        scores = None if self.scores is None else self.scores.masked_fill(dead, float("-inf"))
        return replace(self, weights=self.weights.masked_fill(dead, 0), scores=scores)

    def of_heads(self, heads: tuple[int, ...]) -> FoundMatrix:
        """Some heads alone."""
        place = list(heads)
        return replace(self, weights=self.weights[:, place], scores=None if self.scores is None else self.scores[:, place])

    def measure(self, wanted: Wanted, first_query: int, sample: Sample | None) -> Measured:
        """Exact statistics; every query is read, for the matrix is there."""
        return measure_matrix(self.weights, self.scores, wanted, first_query=first_query)


Found = FoundCall | FoundMatrix


def cut(measured: Measured, heads: tuple[int, ...]) -> Measured:
    """What was measured of all heads, for some of them."""
    place, statistics, sample = list(heads), measured.statistics, measured.sample
    cut_statistics = replace(
        statistics,
        values={name: value[:, place] for name, value in statistics.values.items()},
        is_live=statistics.is_live[:, place],
        aligned_shares={name: value[:, place] for name, value in statistics.aligned_shares.items()},
        rectangles=tuple(value[:, place] for value in statistics.rectangles),
    )
    sample = None if sample is None else replace(sample, is_live=sample.is_live[:, place])
    return replace(measured, statistics=cut_statistics, sample=sample)


def _of_heads(call: Call, heads: tuple[int, ...]) -> Call | None:
    mechanism = call.mechanism
    if not isinstance(mechanism, Dot) or type(mechanism).weights is not Scored.weights or isinstance(call.bias, Bias):
        return None
    learned = list(mechanism.parameters())
    if isinstance(mechanism.normalize, Sink) and len(learned) == 1:
        mechanism = with_sinks(mechanism, mechanism.normalize.sink.expand(call.shape[1])[list(heads)])
    elif learned:
        return None
    place = torch.tensor(heads, device=call.query.device)
    key, value = (share(x, call.shape[1])[:, place] for x in (call.key, call.value))
    bias = call.bias if call.bias is None or call.bias.shape[1] == 1 else call.bias[:, place]
    return Call(mechanism, call.query[:, place], key, value, _mask_of_heads(call.mask, place), bias)


def with_sinks(mechanism: Dot, sinks: Float[Tensor, " heads"]) -> Dot:
    """The same scores, with logits of each head that take part in the sum."""
    normalizer = Sink(len(sinks))
    normalizer.sink = torch.nn.Parameter(sinks.detach().clone(), requires_grad=False)
    return type(mechanism)(scale=mechanism.scale, normalize=normalizer, softcap=mechanism.softcap)


def _mask_of_heads(mask: Mask, heads: Tensor) -> Mask:
    """A mask for some heads; the same where it knows of none, so that what is fast stays so."""
    if isinstance(mask, Band | Padding | Document | LiveRows) or (isinstance(mask, Blocks) and mask.table.shape[1] == 1):
        return mask
    if isinstance(mask, Both):
        return _mask_of_heads(mask.one, heads) & _mask_of_heads(mask.other, heads)
    return OfHeads(mask, heads)
