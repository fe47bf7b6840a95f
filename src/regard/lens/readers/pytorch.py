"""Attention of PyTorch itself: its functions, and the masks that they take."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.attention.call import Call
from regard.attention.masks import Mask, causal, dense, everything, lower_right, padding
from regard.attention.multihead import split_heads
from regard.attention.scaled_dot import ScaledDot
from regard.lens.readers.found import FoundCall, NotSeen, is_hiding


def from_scaled_dot_product(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    num_heads: int = 0,
) -> FoundCall:
    """torch.nn.functional.scaled_dot_product_attention, all its arguments; the weights before dropout.

    `is_causal` counts from the first key, as PyTorch defines it. Three sides are (batch · num_heads, length, head_dim), if
    the module says how many there are.
    """
    if any(x.is_nested for x in (query, key, value)):
        return _from_nested(query, key, value, attn_mask, is_causal, scale)
    given, first_query = _mask_of(attn_mask, is_causal)
    if num_heads and not enable_gqa and query.dim() == 3 and query.shape[0] % num_heads == 0:
        apart = partial(_heads_apart, query.shape[0], num_heads)
        query, key, value = apart(query), apart(key), apart(value)
        given = given if isinstance(given, Mask) else apart(given)
    lead = query.shape[:-3] if enable_gqa else torch.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    query, key, value = (_four_sided(x if enable_gqa else x.expand(*lead, *x.shape[-2:])) for x in (query, key, value))
    if isinstance(given, Mask):
        return FoundCall(as_cast(Call(ScaledDot(scale), query, key, value, given)), first_query=first_query)
    lead = (*lead, query.shape[1]) if enable_gqa else lead
    allowed, bias = split(_aligned(given, lead))
    mask = everything if allowed is None else dense(allowed)
    return FoundCall(as_cast(Call(ScaledDot(scale), query, key, value, mask, bias)), allowed)


def _mask_of(attn_mask: Tensor | None, is_causal: bool) -> tuple[Mask | Tensor, int | None]:
    """A mask, written out where positions alone do not tell it, and where the first query stands."""
    if attn_mask is None:
        return (causal, 0) if is_causal else (everything, None)
    kind = type(attn_mask)
    if kind.__module__ == "torch.nn.attention.bias":  # told by name, for the module is slow to import
        queries, keys = attn_mask.seq_len_q, attn_mask.seq_len_kv  # type: ignore[attr-defined]
        is_lower = attn_mask.variant.name == "LOWER_RIGHT"  # type: ignore[attr-defined]
        return (lower_right(causal, queries, keys), keys - queries) if is_lower else (causal, 0)
    if writer(kind, "__torch_function__") not in (Tensor, nn.Parameter):
        raise NotSeen(f"masks of {kind.__name__}, a tensor with functions of its own, are not read: give a plain tensor")
    return attn_mask, None


def writer(kind: type, name: str) -> type:
    """The class that wrote what a class has by this name."""
    return next(one for one in kind.__mro__ if name in vars(one))


def _heads_apart(batch: int, num_heads: int, x: Tensor) -> Tensor:
    """(batch, …) with its heads beside it; what broadcasts stays as it is."""
    return x.unflatten(0, (-1, num_heads)) if x.dim() == 3 and x.shape[0] == batch else x


def _aligned(mask: Tensor, lead: Sequence[int]) -> Tensor:
    """A mask that broadcasts to (*lead, queries, keys), with four sides as its vectors have."""
    mask = mask[(None,) * (len(lead) + 2 - mask.dim())]
    return _four_sided(mask.expand(*lead[:-1], *mask.shape[-3:]) if len(lead) > 2 else mask)


def as_cast(call: Call) -> Call:
    """The call with its vectors as autocast hands them to a kernel."""
    device = call.query.device.type
    if not torch.is_autocast_enabled(device) or call.query.dtype == torch.float64:
        return call
    dtype = torch.get_autocast_dtype(device)
    bias = call.bias.to(dtype) if isinstance(call.bias, Tensor) else call.bias
    return replace(call, query=call.query.to(dtype), key=call.key.to(dtype), value=call.value.to(dtype), bias=bias)


def split(given: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """A mask of PyTorch as who may look at whom, and what is added to the scores.

    Sides that are repeated are not written out.
    """
    for axis in range(given.dim()):
        if given.stride(axis) == 0 and given.shape[axis] > 1:
            given = given.narrow(axis, 0, 1)
    if given.dtype == torch.bool:
        return given, None
    allowed = ~is_hiding(given)
    if allowed.all():
        return None, given
    added = given.masked_fill(~allowed, 0)
    return allowed, added if added.any() else None


def _from_nested(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, is_causal: bool, scale: float | None
) -> FoundCall:
    """Sequences of unequal lengths, (heads, length, head_dim) each, side by side with padding that nobody looks at."""
    if attn_mask is not None:
        raise NotSeen("nested tensors with a mask, given to scaled_dot_product_attention, are not read")
    rows = [x.unbind() for x in (query, key, value)]
    lengths = [torch.tensor([x.shape[1] for x in part], device=query.device) for part in rows]
    query, key, value = (_padded(part) for part in rows)
    mask = padding(lengths[1], lengths[0])
    call = Call(ScaledDot(scale), query, key, value, causal & mask if is_causal else mask)
    return FoundCall(as_cast(call), first_query=0)


def _padded(parts: Sequence[Tensor]) -> Tensor:
    longest = max(x.shape[1] for x in parts)
    return torch.stack([F.pad(x, (0, 0, 0, longest - x.shape[1])) for x in parts])


def from_multi_head_forward(*args: Any, **kwargs: Any) -> FoundCall:
    """torch.nn.functional.multi_head_attention_forward: (length, batch, d_model), its heads projected again."""
    given = inspect.signature(F.multi_head_attention_forward).bind(*args, **kwargs)
    given.apply_defaults()
    return FoundCall(_from_arguments(SimpleNamespace(**given.arguments)))


def _from_arguments(given: SimpleNamespace) -> Call:
    if given.static_k is not None or given.static_v is not None:
        raise NotSeen("multi_head_attention_forward with static keys or values is not read yet")
    query, key = _projected(given)
    mask: Mask = everything
    bias = None
    num_extra = key.shape[2] - given.key.shape[0]
    if given.is_causal and given.key_padding_mask is None and not given.need_weights:
        mask = causal
    elif given.attn_mask is not None:
        sides = given.attn_mask
        sides = sides.unflatten(0, (-1, given.num_heads)) if sides.dim() == 3 else sides[None, None]
        mask, bias = _joined(F.pad(sides, (0, num_extra)))
    if given.key_padding_mask is not None:
        mask, bias = _with_padding(mask, bias, given.key_padding_mask, num_extra, given.query is given.key)
    return Call(ScaledDot(), query, key, key, mask, bias)


def _projected(given: SimpleNamespace) -> tuple[Tensor, Tensor]:
    """Queries and keys of each head, with the keys that the module adds: (batch, heads, length, head_dim)."""
    if given.use_separate_proj_weight:
        weights = given.q_proj_weight, given.k_proj_weight
    else:
        weights = given.in_proj_weight.chunk(3)[:2]
    offsets = (None, None) if given.in_proj_bias is None else given.in_proj_bias.chunk(3)[:2]
    sources = (x if x.dim() == 3 else x.unsqueeze(1) for x in (given.query, given.key))
    query, key = (F.linear(x, weight, offset) for x, weight, offset in zip(sources, weights, offsets, strict=True))
    if given.bias_k is not None:
        key = torch.cat([key, given.bias_k.expand(-1, key.shape[1], -1)])
    if given.add_zero_attn:
        key = torch.cat([key, torch.zeros_like(key[:1])])
    head_dim = query.shape[-1] // given.num_heads
    return split_heads(query.transpose(0, 1), head_dim), split_heads(key.transpose(0, 1), head_dim)


def _four_sided(x: Tensor) -> Tensor:
    while x.dim() < 3:
        x = x.unsqueeze(0)
    return x.unsqueeze(1) if x.dim() == 3 else x.flatten(0, x.dim() - 4)


def _joined(given: Tensor) -> tuple[Mask, Tensor | None]:
    """A mask of nn.MultiheadAttention, where a boolean True hides, as our mask and bias."""
    allowed, bias = split(~given if given.dtype == torch.bool else given)
    return (everything if allowed is None else dense(allowed)), bias


def _with_padding(
    mask: Mask, bias: Tensor | None, key_padding_mask: Tensor, num_extra: int, is_self: bool
) -> tuple[Mask, Tensor | None]:
    """Padding joined in; where queries are the keys, padded queries are left out too."""
    hidden = key_padding_mask if key_padding_mask.dim() == 2 else key_padding_mask[None]
    is_hidden = hidden if hidden.dtype == torch.bool else is_hiding(hidden)
    if hidden.dtype != torch.bool:
        added = F.pad(hidden.masked_fill(is_hidden, 0), (0, num_extra))[:, None, None]
        bias = added if bias is None else bias + added
    allowed = ~F.pad(is_hidden, (0, num_extra))[:, None, None, :]
    if is_self:
        allowed = allowed & ~is_hidden[:, None, :, None]
    return mask & dense(allowed), bias
