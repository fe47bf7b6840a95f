"""Attention as a function, and the plan of who would compute it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from jaxtyping import Float
from torch import Tensor

from regard.attention.backends import Plan
from regard.attention.call import Call
from regard.attention.dropout import Drawn, Dropout
from regard.attention.masks import Mask, everything
from regard.attention.mechanism import Mechanism, given, mechanism_named
from regard.attention.positions.bias import Bias
from regard.errors import InputError


def attention(
    query: Float[Tensor, "batch heads queries head_dim"],
    key: Float[Tensor, "batch kv_heads keys head_dim"],
    value: Float[Tensor, "batch kv_heads keys value_dim"],
    *,
    mechanism: str | Mechanism = "softmax",
    mask: Mask | None = None,
    bias: Float[Tensor, "#batch #heads #queries #keys"] | Bias | None = None,
    dropout: Dropout | Drawn | None = None,
    backend: str = "auto",
) -> Float[Tensor, "batch heads queries value_dim"]:
    """weights(query, key) @ value.

    `mechanism` is a name of the catalog or a module of your own; `mask` says who may look at whom (a query that may
    look at nothing gets zeros); `bias` is added to the scores, a tensor or a function of positions; `dropout` is DropKey,
    DropWeights or DropHead. A `backend` named computes it or raises Unsupported. Raises InputError where shapes, types or the
    mask cannot belong together.
    """
    made = _mechanism(mechanism, query)
    return made(query, key, value, everything if mask is None else mask, **given(bias, dropout, backend))


def plan(
    query: Float[Tensor, "batch heads queries head_dim"],
    key: Float[Tensor, "batch kv_heads keys head_dim"],
    value: Float[Tensor, "batch kv_heads keys value_dim"],
    *,
    mechanism: str | Mechanism = "softmax",
    mask: Mask | None = None,
    bias: Float[Tensor, "#batch #heads #queries #keys"] | Bias | None = None,
    dropout: Dropout | Drawn | None = None,
) -> Plan:
    """Which backend `attention` would take for these arguments, and the reason each one gave. Computes nothing."""
    made = _mechanism(mechanism, query)
    call = Call(made, query, key, value, everything if mask is None else mask, bias)
    drawn = dropout.draw(call.shape, query.device) if isinstance(dropout, Dropout) else dropout
    return made.plan(replace(call, dropout=drawn))


def _mechanism(mechanism: str | Mechanism, query: Tensor) -> Mechanism:
    if isinstance(mechanism, Mechanism):
        return mechanism
    return _without_weights(mechanism, query.shape[-1], query.shape[1] if query.dim() == 4 else 1)


@lru_cache(maxsize=64)
def _without_weights(name: str, head_dim: int, num_heads: int) -> Mechanism:
    """A mechanism that has nothing to learn, so that one serves all calls."""
    made = mechanism_named(name, head_dim, num_heads)
    if any(True for _ in made.parameters()):
        raise InputError(f"{name!r} has weights to learn: make one, keep it, and pass it as mechanism=.")
    return made
