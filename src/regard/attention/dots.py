"""Softmax over dot products, in the form that fused kernels compute."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Float
from torch import Tensor

from regard.attention.blockwise import GRAPH_NUMBERS, Walk, walk_of, walked
from regard.attention.call import Call
from regard.attention.positions.bias import Bias

if TYPE_CHECKING:
    from regard.attention.mechanism import Dot


@dataclass(frozen=True)
class Dots:
    """softmax(softcap(scale · query keyᵀ) + bias) value, with sinks in the sum; `call` says the rest."""

    call: Call
    query: Float[Tensor, "batch heads queries dim"]
    key: Float[Tensor, "batch kv_heads keys dim"]
    sinks: Float[Tensor, " heads"] | None
    scale: float
    softcap: float | None

    def exact(self, query: Tensor, key: Tensor, value: Tensor) -> Call:
        """The same call on vectors that are ready to be multiplied, by a mechanism with no parameters but its sinks.

        Without DropHead, which multiplies the output afterwards.
        """
        from regard.attention.normalizers.softmax import Sink
        from regard.attention.scaled_dot import ScaledDot

        plain = ScaledDot(self.scale, "softmax" if self.sinks is None else Sink(len(self.sinks)), self.softcap)
        dropout = self.call.dropout if self.call.dropout is None or self.call.dropout.heads is None else None
        return replace(self.call, mechanism=plain, query=query, key=key, value=value, dropout=dropout)

    def walk(self, *given: Tensor) -> tuple[Walk, tuple[Tensor, ...], tuple[int, ...]]:
        """The walk that defines it for (query, key, value[, sinks]), its tensors, and where those given are among them."""
        walk, tensors = walk_of(self.exact(*given[:3]), numbers=GRAPH_NUMBERS)
        if len(given) == 3:
            return walk, tensors, (0, 1, 2)
        place = 3 + isinstance(self.call.bias, Tensor)
        return walk, (*tensors[:place], given[3], *tensors[place + 1 :]), (0, 1, 2, place)

    def exact_gradients(self, gradient: Tensor, *given: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of (query, key, value[, sinks]) that can be differentiated again, which a kernel's cannot."""
        walk, tensors, places = self.walk(*given)
        wanted = [place for place in places if tensors[place].requires_grad]
        found = dict(zip(wanted, walked(walk.pullback(tensors, wanted), *tensors, gradient), strict=True))
        return tuple(found.get(place) for place in places)

    def tangent(self, tangents: tuple[Tensor | None, ...], *given: Tensor) -> Tensor:
        """What the output moves by when (query, key, value[, sinks]) move by their tangents."""
        walk, tensors, places = self.walk(*given)
        moved = dict(zip(places, tangents, strict=False))
        return walk.pushed(tensors, tuple(moved.get(place) for place in range(len(tensors))))[0]


def refusal(call: Call) -> str:
    """Why a call is no softmax over dot products; "" when it is one."""
    from regard.attention.mechanism import Dot  # mechanisms import backends
    from regard.attention.normalizers.softmax import Softmax

    mechanism = call.mechanism
    if not isinstance(mechanism, Dot) or type(mechanism).score is not Dot.score or type(mechanism).weights is not Dot.weights:
        return f"it computes scaled dot products only, not {type(mechanism).__name__}"
    if not isinstance(mechanism.normalize, Softmax) or type(mechanism.normalize).forward is not Softmax.forward:
        return f"it computes softmax only, not {type(mechanism.normalize).__name__}"
    return ""


def has_sinks(call: Call) -> bool:
    """Has the softmax of a call, for which `refusal` found no reason, a sum with sinks?"""
    return not call.mechanism.sums_to_one


def dots_of(call: Call) -> Dots:
    """The form of a call for which `refusal` found no reason."""
    mechanism = cast("Dot", call.mechanism)
    query, key = mechanism.vectors(call.query, call.key)
    sinks = mechanism.normalize.sinks(call.shape[1])  # type: ignore[operator]
    sinks = None if sinks is None else sinks.to(query)
    return Dots(call, query, key, sinks, mechanism.scale_for(query.shape[-1]), mechanism.softcap)


def learns_bias(call: Call) -> bool:
    """Does the bias of a call want a gradient?"""
    if not torch.is_grad_enabled():
        return False
    if isinstance(call.bias, Bias):
        return any(p.requires_grad for p in call.bias.parameters())
    return call.bias is not None and call.bias.requires_grad


def with_heads_dropped(call: Call, out: Tensor) -> Tensor:
    """The output with DropHead's factors."""
    heads = None if call.dropout is None else call.dropout.heads
    return out if heads is None else out * heads.to(out.dtype)
