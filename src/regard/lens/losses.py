"""Training losses on where a model looks, in O(queries + keys) memory: they are functions of a `Call`, and keep its graph.

`regard.lens.attached.attached` puts them on a model from outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.attention import dots
from regard.attention.call import Call
from regard.errors import InputError
from regard.lens.pairs import permitted_keys, scores_at
from regard.lens.statistics import Wanted
from regard.lens.stock import prepared, statistics_of
from regard.lens.walks import aligned_weights

Scalar = Float[Tensor, ""]


def entropy_floor(call: Call, bits: float, heads: tuple[int, ...] = ()) -> Scalar:
    """Bits that the entropy of a query lacks to `bits`, a mean over queries and heads; () is all heads.

    A query that may look at few keys is asked for log₂ of their number only. Against the collapse of Zhai et al. 2023,
    arXiv:2303.06296.
    """
    permitted = permitted_keys(prepared(call))
    entropy = statistics_of(call, ["entropy_bits"])["entropy_bits"]
    floor = permitted.clamp(min=1).to(entropy.dtype).log2().clamp(max=bits)
    return _mean((floor - entropy).relu(), permitted > 0, heads)


def entropy_ceiling(call: Call, bits: float, heads: tuple[int, ...] = ()) -> Scalar:
    """Bits that the entropy of a query is above `bits`, a mean over queries and heads: for heads that should choose."""
    entropy = statistics_of(call, ["entropy_bits"])["entropy_bits"]
    return _mean((entropy - bits).relu(), permitted_keys(prepared(call)) > 0, heads)


def sink_penalty(call: Call, share: float = 0.3, keys: int = 1, heads: tuple[int, ...] = ()) -> Scalar:
    """What the first `keys` keys get of a query above `share`, a mean over the queries that may look at any other key.

    Sinks: Xiao et al. 2023, arXiv:2309.17453.
    """
    found = statistics_of(call, ["sink_share"], Wanted(sink_keys=keys))["sink_share"]
    return _mean((found - share).relu(), permitted_keys(prepared(call)) > keys, heads)


def guidance(call: Call, alignment: Tensor, heads: tuple[int, ...] = (0,)) -> Scalar:
    """−log P of where a query should look, a mean over the queries that are told.

    `alignment` is (#batch, queries) with the position of a key, −1 for none; or shares (batch, queries, keys), dense or sparse:
    −Σₖ alignment log P. Chen et al. 2016, arXiv:1607.01628, eq. 5, of one head as in Garg et al. 2019, arXiv:1909.02074,
    section 3.2. Raises InputError where an alignment leads to a key that the mask forbids.
    """
    call = prepared(call)
    with torch.autocast(call.query.device.type, enabled=False):
        if alignment.dim() == 2:
            losses, is_told = _of_positions(call, alignment, heads)
        else:
            losses, is_told = _of_shares(call, alignment, heads)
    return _mean(losses, is_told, heads)


def _mean(values: Tensor, counted: Bool[Tensor, "batch heads queries"], heads: tuple[int, ...]) -> Tensor:
    """Over what counts; 0 where nothing does."""
    if heads:
        if not all(-values.shape[1] <= head < values.shape[1] for head in heads):
            raise InputError(f"heads must be below {values.shape[1]}, as many as this call has, got {heads}.")
        values, counted = values[:, list(heads)], counted[:, list(heads)]
    return torch.where(counted, values, 0).sum() / counted.sum().clamp(min=1)


def _of_positions(call: Call, keys: Tensor, heads: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    batch, _, queries, num_keys = call.shape
    if keys.is_floating_point() or keys.shape[1] != queries or keys.shape[0] not in (1, batch):
        raise InputError(f"A hard alignment must be whole numbers ({batch}, {queries}), got {keys.dtype} {tuple(keys.shape)}.")
    if (keys >= num_keys).any():
        raise InputError(f"An alignment must name keys below {num_keys}, or -1 for none, got {int(keys.max())}.")
    is_told = (keys >= 0).to(call.query.device)[:, None].expand(call.shape[:3])
    if dots.refusal(call):
        weight = aligned_weights(call, keys)
        log_weight = weight.clamp(min=torch.finfo(weight.dtype).tiny).log()
    else:
        is_there, scores = scores_at(call, dots.dots_of(call), keys)
        log_weight = scores - _log_total(call)
        _check_permitted(is_told & ~is_there, heads)
    return -log_weight, is_told


def _log_total(call: Call) -> Tensor:
    """log of what the softmax divides by, finite in rows that may look at nothing."""
    log_sum = statistics_of(call, ["logsumexp"])["logsumexp"]
    sinks = dots.dots_of(call).sinks
    log_total = log_sum.masked_fill(log_sum.isneginf(), 0)
    return log_total if sinks is None else torch.logaddexp(log_total, sinks[:, None])


def _of_shares(call: Call, shares: Tensor, heads: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """log total Σ alignment − Σ alignment S: the last is a product with the keys, so that no scores are held."""
    batch, _, queries, keys = call.shape
    if tuple(shares.shape) != (batch, queries, keys):
        raise InputError(
            f"A soft alignment must be (batch, queries, keys) = {(batch, queries, keys)}, got {tuple(shares.shape)}."
        )
    reason = dots.refusal(call) or ("" if call.mechanism.softcap is None else "it has a softcap")
    if reason or call.bias is not None:
        why = reason or "it has a bias"
        raise InputError(f"Soft alignments need softmax over plain dot products ({why}): give one key for each query.")
    form, shares = dots.dots_of(call), shares.to(call.query.device, call.query.dtype)
    _check_permitted(_forbidden(call, shares), heads)
    sums = (torch.sparse.sum(shares, 2).to_dense() if shares.is_sparse else shares.sum(2))[:, None]
    drawn = _drawn(shares, form.key)
    drawn = drawn.repeat_interleave(call.shape[1] // drawn.shape[1], 1)
    scores = (form.query * drawn).sum(-1) * form.scale
    return _log_total(call) * sums - scores, (sums > 0).expand(call.shape[:3])


def _drawn(shares: Tensor, key: Tensor) -> Tensor:
    """shares @ key for each head, the heads side by side so that no copy of the shares is made."""
    batch, heads, keys, dim = key.shape
    columns = key.transpose(1, 2).flatten(2)
    if not shares.is_sparse:
        return (shares @ columns).unflatten(2, (heads, dim)).transpose(1, 2)
    queries, entries = shares.shape[1], shares.coalesce()
    b, q, k = entries.indices()
    flat = torch.sparse_coo_tensor(
        torch.stack([b * queries + q, b * keys + k]), entries.values(), (batch * queries, batch * keys), check_invariants=False
    )
    return torch.sparse.mm(flat, columns.flatten(0, 1)).view(batch, queries, heads, dim).transpose(1, 2)


def _forbidden(call: Call, shares: Tensor) -> Tensor:
    """Which queries are told to look where they may not, (batch, heads, queries)."""
    batch, heads, queries, keys = call.shape
    if shares.is_sparse:
        b, q, k = shares.coalesce().indices()
        head = torch.arange(heads, device=b.device)[:, None]
        is_wrong = ~call.mask.allows(b, head, q, k) & (shares.coalesce().values() > 0)
        found = torch.zeros(heads, batch, queries, dtype=torch.bool, device=b.device)
        h, entry = is_wrong.expand(heads, -1).nonzero(as_tuple=True)
        found[h, b[entry], q[entry]] = True
        return found.transpose(0, 1)
    found = torch.zeros(batch, heads, queries, dtype=torch.bool, device=shares.device)
    high = max(1, 2**21 // max(1, batch * heads * keys))
    for start in range(0, queries, high):
        rows = range(start, min(start + high, queries))
        allowed = call.mask.write((batch, heads), rows, range(keys), shares.device)
        found[:, :, rows.start : rows.stop] = ((shares[:, None, rows.start : rows.stop] > 0) & ~allowed).any(-1)
    return found


def _check_permitted(is_wrong: Tensor, heads: tuple[int, ...]) -> None:
    is_wrong = is_wrong[:, list(heads)] if heads else is_wrong
    if is_wrong.any():
        batch, _, query = is_wrong.nonzero()[0].tolist()
        raise InputError(
            f"The alignment tells query {query} of sequence {batch} to look where its mask forbids it: use -1 or 0 there."
        )


@dataclass(frozen=True)
class EntropyFloor:
    """`entropy_floor` times a weight."""

    bits: float
    weight: float = 1.0
    heads: tuple[int, ...] = ()

    def __call__(self, call: Call) -> Tensor:
        return self.weight * entropy_floor(call, self.bits, self.heads)


@dataclass(frozen=True)
class EntropyCeiling:
    """`entropy_ceiling` times a weight."""

    bits: float
    weight: float = 1.0
    heads: tuple[int, ...] = ()

    def __call__(self, call: Call) -> Tensor:
        return self.weight * entropy_ceiling(call, self.bits, self.heads)


@dataclass(frozen=True)
class SinkPenalty:
    """`sink_penalty` times a weight."""

    share: float = 0.3
    keys: int = 1
    weight: float = 1.0
    heads: tuple[int, ...] = ()

    def __call__(self, call: Call) -> Tensor:
        return self.weight * sink_penalty(call, self.share, self.keys, self.heads)


@dataclass(frozen=True, eq=False)
class Guidance:
    """`guidance` times a weight, towards the alignment of the batch at hand."""

    alignment: Tensor
    weight: float = 1.0
    heads: tuple[int, ...] = (0,)

    def __call__(self, call: Call) -> Tensor:
        return self.weight * guidance(call, self.alignment, self.heads)
