"""Attention at a cost linear in length."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.attention.backends import Plan, plan_call
from regard.attention.call import Call, share
from regard.attention.masks import Both, Mask, causal, everything
from regard.attention.masks.content import Padding
from regard.attention.mechanism import Mechanism
from regard.errors import InputError

CHUNK = 64


class Linear(Mechanism):
    """φ(query)·φ(key) / Σ φ(query)·φ(key) with φ = elu + 1; Katharopoulos et al. 2020, arXiv:2006.16236, eq. 4-5, 7.

    Without a mask, causal (eq. 9-12, in chunks) and with padding: O(length · head_dim²) time and O(length · head_dim) memory
    with "auto". Any other mask goes through the backends' tiles.
    """

    takes_bias = False

    def weights(
        self,
        query: Float[Tensor, "batch heads queries head_dim"],
        key: Float[Tensor, "batch kv_heads keys head_dim"],
        mask: Mask = everything,
        *,
        bias: Float[Tensor, "#batch #heads #queries #keys"] | None = None,
        rows: range | None = None,
    ) -> Float[Tensor, "batch heads rows keys"]:
        if bias is not None:
            raise InputError(
                "linear attention has no scores that a bias could be added to: leave bias out, or choose a softmax."
            )
        rows = range(query.shape[2]) if rows is None else rows
        allowed = mask.write((query.shape[0], query.shape[1]), rows, range(key.shape[2]), query.device)
        with _widely(query):
            wide = _features(_wide(query[:, :, rows.start : rows.stop]))
            fit = (wide @ _features(_wide(share(key, query.shape[1]))).mT).masked_fill(~allowed, 0)
            return (fit / fit.sum(-1, keepdim=True).clamp(min=torch.finfo(fit.dtype).tiny)).to(query.dtype)

    def attend(self, call: Call, backend: str = "auto") -> Float[Tensor, "batch heads queries value_dim"]:
        conjuncts = _conjuncts(call.mask)
        if backend != "auto" or not _is_fast(call, conjuncts):
            return super().attend(call, backend)
        with _widely(call.query):
            query, key, value = _features(_wide(call.query)), _features(_wide(call.key)), _wide(call.value)
            query, key = _silenced(query, key, [mask for mask in conjuncts if isinstance(mask, Padding)])
            key, value = share(key, call.shape[1]), share(value, call.shape[1])
            total = _causal if causal in conjuncts else _full
            mass = total(query, key, torch.ones_like(value[..., :1]))
            return (total(query, key, value) / mass.clamp(min=torch.finfo(mass.dtype).tiny)).to(call.query.dtype)

    def plan(self, call: Call) -> Plan:
        """Itself, where it has a way that is linear in length."""
        return Plan.by_itself("linear attention") if _is_fast(call, _conjuncts(call.mask)) else plan_call(call)


def _is_fast(call: Call, conjuncts: list[Mask]) -> bool:
    """Is it without a mask but padding, or causal over as many queries as keys?"""
    plain = all(isinstance(mask, Padding) or mask in (everything, causal) for mask in conjuncts)
    is_fit = causal not in conjuncts or call.shape[2] == call.shape[3]
    return plain and is_fit and call.bias is None and not call.dropout


def _wide(x: Tensor) -> Tensor:
    """In float32 at least: sums of features grow with the length."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _widely(x: Tensor) -> torch.autocast:
    """Without autocast, which would narrow the products again."""
    return torch.autocast(x.device.type, enabled=False)


def _features(x: Tensor) -> Tensor:
    return F.elu(x) + 1


def _full(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return query @ (key.mT @ value)


def _causal(
    query: Float[Tensor, "batch heads length head_dim"],
    key: Float[Tensor, "batch heads length head_dim"],
    value: Float[Tensor, "batch heads length value_dim"],
) -> Float[Tensor, "batch heads length value_dim"]:
    """Σ over keys up to the query's own: a state from the chunks before, and the matrix within the chunk."""
    length = query.shape[2]
    query, key, value = (F.pad(x, (0, 0, 0, -length % CHUNK)).unflatten(2, (-1, CHUNK)) for x in (query, key, value))
    states = key.mT @ value
    before = states.cumsum(2) - states
    within = (query @ key.mT).tril() @ value
    return (query @ before + within).flatten(2, 3)[:, :, :length]


def _conjuncts(mask: Mask) -> list[Mask]:
    return [*_conjuncts(mask.one), *_conjuncts(mask.other)] if isinstance(mask, Both) else [mask]


def _silenced(query: Tensor, key: Tensor, paddings: list[Padding]) -> tuple[Tensor, Tensor]:
    """Features that are zero behind the end of their sequence."""
    for padding in paddings:
        key = key * _inside(padding.lengths, key)
        query = query if padding.query_lengths is None else query * _inside(padding.query_lengths, query)
    return query, key


def _inside(lengths: Tensor, x: Tensor) -> Tensor:
    inside = torch.arange(x.shape[2], device=x.device) < lengths.to(x.device)[:, None]
    return inside[:, None, :, None].to(x.dtype)
