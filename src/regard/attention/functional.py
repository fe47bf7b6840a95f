"""Attention as a function, and the plan of who would compute it."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from regard.attention.backends import Plan, plan_call
from regard.attention.call import Call
from regard.attention.masks import Mask, everything
from regard.attention.mechanism import Mechanism
from regard.catalog import MECHANISMS, load
from regard.errors import InputError


def attention(
    query: Float[Tensor, "batch heads queries head_dim"],
    key: Float[Tensor, "batch kv_heads keys head_dim"],
    value: Float[Tensor, "batch kv_heads keys value_dim"],
    *,
    mechanism: str | Mechanism = "softmax",
    mask: Mask | None = None,
    bias: Float[Tensor, "#batch #heads #queries #keys"] | None = None,
    backend: str = "auto",
) -> Float[Tensor, "batch heads queries value_dim"]:
    """weights(query, key) @ value.

    `mechanism` is a name of the catalog or a module of your own; `mask` says who may look at whom (a query that may
    look at nothing gets zeros); `bias` is added to the scores. A `backend` named computes it or raises Unsupported.
    """
    return _mechanism(mechanism)(query, key, value, mask or everything, bias=bias, backend=backend)


def plan(
    query: Float[Tensor, "batch heads queries head_dim"],
    key: Float[Tensor, "batch kv_heads keys head_dim"],
    value: Float[Tensor, "batch kv_heads keys value_dim"],
    *,
    mechanism: str | Mechanism = "softmax",
    mask: Mask | None = None,
    bias: Float[Tensor, "#batch #heads #queries #keys"] | None = None,
) -> Plan:
    """Which backend `attention` would take for these arguments, and the reason each one gave. Computes nothing."""
    return plan_call(Call(_mechanism(mechanism), query, key, value, mask or everything, bias))


def _mechanism(mechanism: str | Mechanism) -> Mechanism:
    if isinstance(mechanism, Mechanism):
        return mechanism
    made = load(MECHANISMS, mechanism).for_heads(1)
    if any(True for _ in made.parameters()):
        raise InputError(f"{mechanism!r} has weights to learn: make one, keep it, and pass it as mechanism=.")
    return made
