"""What others call attention, read as a `Call`: one reader a function or module of PyTorch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.attention.call import Call
from regard.attention.masks import Mask, causal, dense, everything, padding
from regard.attention.mechanism import Mechanism
from regard.attention.multihead import split_heads
from regard.attention.scaled_dot import ScaledDot


class NotSeen(Exception):
    """Why a call could not be read exactly."""


def from_mechanism(
    mechanism: Mechanism, query: Tensor, key: Tensor, value: Tensor, mask: Mask = everything, **options: Any
) -> Call:
    """A call of one of our mechanisms."""
    return Call(mechanism, query, key, value, mask, options.get("bias"))


def from_scaled_dot_product(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Call:
    """torch.nn.functional.scaled_dot_product_attention, all its arguments; the weights before dropout."""
    if query.is_nested:
        raise NotSeen("nested tensors given to scaled_dot_product_attention are not read yet")
    lead = query.shape[:-3] if enable_gqa else torch.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    query, key, value = (_four_sided(x if enable_gqa else x.expand(*lead, *x.shape[-2:])) for x in (query, key, value))
    mask: Mask = causal if is_causal else everything
    bias = None
    if attn_mask is not None:
        lead = (*lead, query.shape[1]) if enable_gqa else lead
        attn_mask = attn_mask if attn_mask.dim() <= 4 else attn_mask.expand(*lead, *attn_mask.shape[-2:])
        mask, bias = _joined(mask, _four_sided(attn_mask), allows_true=True)
    return Call(ScaledDot(scale), query, key, value, mask, bias)


def from_multi_head_forward(*args: Any, **kwargs: Any) -> Call:
    """torch.nn.functional.multi_head_attention_forward: (length, batch, d_model), its heads projected again."""
    given = inspect.signature(F.multi_head_attention_forward).bind(*args, **kwargs)
    given.apply_defaults()
    return _from_arguments(SimpleNamespace(**given.arguments))


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
        mask, bias = _joined(mask, F.pad(sides, (0, num_extra)), allows_true=False)
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


def _from_multi_head_module(module: nn.MultiheadAttention, *args: Any, **kwargs: Any) -> Call:
    given = inspect.signature(nn.MultiheadAttention.forward).bind(module, *args, **kwargs).arguments
    query, key, value = (given.pop(name) for name in ("query", "key", "value"))
    given.pop("self")
    is_self = query is key
    if module.batch_first and query.dim() == 3:
        query, key = query.transpose(0, 1), key.transpose(0, 1)
    return from_multi_head_forward(
        query,
        query if is_self else key,
        value,
        module.embed_dim,
        module.num_heads,
        module.in_proj_weight,
        module.in_proj_bias,
        module.bias_k,
        module.bias_v,
        module.add_zero_attn,
        0.0,
        None,
        None,
        use_separate_proj_weight=not module._qkv_same_embed_dim,
        q_proj_weight=module.q_proj_weight,
        k_proj_weight=module.k_proj_weight,
        **given,
    )


def _from_fused_layer(
    layer: nn.TransformerEncoderLayer,
    src: Tensor,
    src_mask: Tensor | None = None,
    src_key_padding_mask: Tensor | None = None,
    is_causal: bool = False,
) -> Call:
    """A layer that ran as one fused kernel, so that its self_attn was never called."""
    lengths = None
    if src.is_nested:
        lengths = torch.tensor([len(row) for row in src.unbind()], device=src.device)
        src = torch.nested.to_padded_tensor(src, 0.0)
    x = layer.norm1(src) if layer.norm_first else src
    call = _from_multi_head_module(
        layer.self_attn, x, x, x, attn_mask=src_mask, key_padding_mask=src_key_padding_mask, is_causal=is_causal
    )
    if lengths is None:
        return call
    return Call(call.mechanism, call.query, call.key, call.value, call.mask & padding(lengths, lengths), call.bias)


Found = Iterator[tuple[str, Callable[[], Call]]]


def _in_multi_head(module: nn.Module, *args: Any, **kwargs: Any) -> Found:
    yield "", lambda: _from_multi_head_module(module, *args, **kwargs)  # type: ignore[arg-type]


def _in_encoder_layer(module: nn.Module, *args: Any, **kwargs: Any) -> Found:
    yield "self_attn", lambda: _from_fused_layer(module, *args, **kwargs)  # type: ignore[arg-type]


def _in_encoder(module: nn.Module, *args: Any, **kwargs: Any) -> Found:
    yield from ()


FUSED_MODULES: dict[type, Callable[..., Found]] = {
    nn.MultiheadAttention: _in_multi_head,
    nn.TransformerEncoderLayer: _in_encoder_layer,
    nn.TransformerEncoder: _in_encoder,
}
"""Modules that give up their fused path when they notice a mode; they are read from their own inputs instead."""


def _four_sided(x: Tensor) -> Tensor:
    while x.dim() < 3:
        x = x.unsqueeze(0)
    return x.unsqueeze(1) if x.dim() == 3 else x.flatten(0, x.dim() - 4)


def _joined(mask: Mask, given: Tensor, *, allows_true: bool) -> tuple[Mask, Tensor | None]:
    """A mask tensor of PyTorch, boolean or added to the scores, as our mask and bias."""
    if given.dtype != torch.bool:
        return mask, given
    allowed = dense(given if allows_true else ~given)
    return (allowed if mask == everything else mask & allowed), None


def _with_padding(
    mask: Mask, bias: Tensor | None, key_padding_mask: Tensor, num_extra: int, is_self: bool
) -> tuple[Mask, Tensor | None]:
    """Padding joined in; where queries are the keys, padded queries are left out too."""
    hidden = key_padding_mask if key_padding_mask.dim() == 2 else key_padding_mask[None]
    is_hidden = hidden if hidden.dtype == torch.bool else hidden == float("-inf")
    if hidden.dtype != torch.bool:
        added = F.pad(hidden, (0, num_extra))[:, None, None]
        bias = added if bias is None else bias + added
    allowed = ~F.pad(is_hidden, (0, num_extra))[:, None, None, :]
    if is_self:
        allowed = allowed & ~is_hidden[:, None, :, None]
    return (dense(allowed) if mask == everything else mask & dense(allowed)), bias
