"""Modules of PyTorch that it may run as one kernel: they are read from what they are given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from regard.attention.masks import padding
from regard.lens.readers.found import Found, FoundCall, check_readable
from regard.lens.readers.pytorch import from_multi_head_forward, writer
from regard.lens.readers.watching import Watching, counted


def _from_multi_head_module(module: nn.MultiheadAttention, *args: Any, **kwargs: Any) -> FoundCall:
    check_readable(*args, *kwargs.values())
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
) -> FoundCall:
    """A layer that ran as one fused kernel, so that its self_attn was never called."""
    lengths = None
    if src.is_nested:
        lengths = torch.tensor([len(row) for row in src.unbind()], device=src.device)
        src = torch.nested.to_padded_tensor(src, 0.0)
    x = layer.norm1(src) if layer.norm_first else src
    found = _from_multi_head_module(
        layer.self_attn, x, x, x, attn_mask=src_mask, key_padding_mask=src_key_padding_mask, is_causal=is_causal
    )
    if lengths is None:
        return found
    return replace(found, call=replace(found.call, mask=found.call.mask & padding(lengths, lengths)))


Fused = Iterator[tuple[str, Callable[[], Found]]]


def _in_multi_head(module: nn.Module, *args: Any, **kwargs: Any) -> Fused:
    yield "", lambda: _from_multi_head_module(module, *args, **kwargs)  # type: ignore[arg-type]


def _in_encoder_layer(module: nn.Module, *args: Any, **kwargs: Any) -> Fused:
    yield "self_attn", lambda: _from_fused_layer(module, *args, **kwargs)  # type: ignore[arg-type]


def _in_encoder(module: nn.Module, *args: Any, **kwargs: Any) -> Fused:
    yield from ()


@contextmanager
def block_shown(module: nn.Module, watching: Watching) -> Iterator[None]:
    """Let what the attention block of an encoder layer calls be met, for it may be a subclass's own; one kernel calls none."""
    if not isinstance(module, nn.TransformerEncoderLayer):
        yield
        return
    block, attributes = module._sa_block, vars(module)
    before = attributes.get("_sa_block")

    def shown(*args: Any, **kwargs: Any) -> Tensor:
        if not watching.is_here:
            return block(*args, **kwargs)
        with watching.resumed():
            return counted(watching, lambda: block(*args, **kwargs), "its self-attention multiplies no softmax by values")

    attributes["_sa_block"] = shown
    try:
        yield
    finally:
        attributes.pop("_sa_block")
        if before is not None:
            attributes["_sa_block"] = before


def fused_reader(module: nn.Module) -> Callable[..., Fused] | None:
    """What reads a module that PyTorch may run as one kernel, by the class that wrote its forward."""
    return FUSED_MODULES.get(writer(type(module), "forward"))


FUSED_MODULES: dict[type, Callable[..., Fused]] = {
    nn.MultiheadAttention: _in_multi_head,
    nn.TransformerEncoderLayer: _in_encoder_layer,
    nn.TransformerEncoder: _in_encoder,
}
"""Modules that give up their fused path when they notice a mode; they are read from their own inputs instead."""
