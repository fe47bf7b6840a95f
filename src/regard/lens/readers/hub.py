"""Models of transformers: the table of functions through which they call attention."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from torch import Tensor, nn

from regard.attention.call import Call
from regard.attention.masks import dense
from regard.attention.mechanism import Dot
from regard.attention.scaled_dot import ScaledDot
from regard.lens.readers.flex import mask_of
from regard.lens.readers.found import FoundCall, with_sinks
from regard.lens.readers.pytorch import split
from regard.lens.readers.watching import WhileWatched, counted, current, refuse

MODULE = "transformers.modeling_utils"


def from_flex_interface(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Any,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    position_bias: Tensor | None = None,
    **_: Any,
) -> FoundCall:
    """A call of transformers' flex_attention: sinks are joined to the sum after the kernel, so it is read here."""
    mechanism: Dot = ScaledDot(scaling, softcap=softcap)
    if s_aux is not None:
        mechanism = with_sinks(mechanism, s_aux.flatten())
    if not isinstance(attention_mask, Tensor):
        return FoundCall(Call(mechanism, query, key, value, mask_of(attention_mask), position_bias))
    allowed, bias = split(attention_mask[:, :, :, : key.shape[2]])
    if position_bias is not None:
        bias = position_bias if bias is None else bias + position_bias
    mask = mask_of(None) if allowed is None else dense(allowed)
    return FoundCall(Call(mechanism, query, key, value, mask, bias), allowed)


def unpacked(found: FoundCall, heads: int, queries: int) -> FoundCall:
    """A call for which the heads of a group were put in the place of queries, one query each, put right again."""
    call, shape = found.call, found.shape
    if shape[1:3] == (heads, queries) or queries != 1 or shape[1] * shape[2] != heads:
        return found

    def in_heads(x: Tensor) -> Tensor:
        is_alike = x.shape[1] == x.shape[2] == 1
        return x if is_alike else x.expand(-1, *shape[1:3], -1).reshape(x.shape[0], heads, 1, x.shape[3])

    allowed = None if found.allowed is None else in_heads(found.allowed)
    mask = call.mask if allowed is None else dense(allowed)
    bias = in_heads(call.bias) if isinstance(call.bias, Tensor) else call.bias
    return replace(found, call=replace(call, query=in_heads(call.query), mask=mask, bias=bias), allowed=allowed)


class _Table(WhileWatched):
    """The entries of transformers' table are such as show their calls to the watch."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, tuple[Any, Any]] = {}

    def mapping(self) -> dict[str, Any]:
        return sys.modules[MODULE].AttentionInterface._global_mapping  # type: ignore[no-any-return]

    def change(self) -> None:
        self.before = {name: (function, _shown(name, function)) for name, function in self.mapping().items()}
        self.mapping().update({name: shown for name, (_, shown) in self.before.items()})

    def restore(self) -> None:
        for name, (function, shown) in self.before.items():
            if self.mapping().get(name) is shown:  # what was registered meanwhile stays
                self.mapping()[name] = function


TABLE = _Table()


def _shown(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """An entry of the table that shows its calls."""

    @wraps(function)
    def forward(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Any:
        watching, given = current(), (module, query, key, value, *args)
        if watching is None:
            return function(*given, **kwargs)
        if name.startswith("paged|") or kwargs.get("cache") is not None:
            with watching.suspended():
                out = function(*given, **kwargs)
            watching.read(lambda: refuse("sequences packed by continuous batching are not read: call the model on a batch"))
            return out
        if name == "flex_attention":
            with watching.aside():
                out = function(*given, **kwargs)
            watching.read(lambda: from_flex_interface(*given, **kwargs))
            return out
        if name == "sdpa":
            with watching.expecting(query.shape[1], query.shape[2]):
                return function(*given, **kwargs)
        reason = f"the kernel {name!r} shows nothing: load the model with attn_implementation='sdpa' or 'eager'"
        return counted(watching, lambda: function(*given, **kwargs), reason)

    return forward
