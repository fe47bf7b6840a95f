"""torch.nn.attention.flex_attention, compiled: training on a GPU, inference on a CPU; seconds to compile a kind of call."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from regard.attention import dots
from regard.attention.masks import EMPTY, FULL, Mask, edges, everything
from regard.attention.positions.bias import Bias

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

    from regard.attention.call import Call

BLOCK = 128


def refusal(call: Call) -> str:
    if reason := dots.refusal(call):
        return reason
    is_cpu = call.query.device.type == "cpu"
    given = (call.query, call.key, call.value)
    if is_cpu and torch.is_grad_enabled() and (any(x.requires_grad for x in given) or any_learned(call)):
        return "on a CPU it has no backward pass"
    if is_cpu and dots.has_sinks(call):
        return "on a CPU it gives no log-sum-exp, so no sinks"
    if isinstance(call.bias, Bias) and any(x.device != call.query.device for x in _held(call.bias)):
        return f"the bias is not on {call.query.device}: move it there with .to(device)"
    if call.query.dtype == torch.float64:
        return "it computes no float64"
    if call.dropout is not None and call.dropout.weights is not None:
        return "it has no dropout of weights"
    return "" if all(call.shape) else "there is nothing to compute"


def _held(bias: Bias) -> list[Tensor]:
    return [*bias.parameters(), *bias.buffers()]


def any_learned(call: Call) -> bool:
    """Has the call's mechanism or bias weights that are learned?"""
    return dots.learns_bias(call) or any(p.requires_grad for p in call.mechanism.parameters())


def drawback(call: Call) -> str:
    return "it compiles for seconds at the first call of a kind"


def attend(call: Call) -> Tensor:
    form = dots.dots_of(call)
    mask = call.seen
    out = _compiled()(
        form.query,
        form.key,
        call.value,
        score_mod=_score_mod(call.bias, form.softcap),
        block_mask=None if mask == everything else _block_mask(mask.to(call.query.device), call),
        scale=form.scale,
        enable_gqa=call.key.shape[1] != call.shape[1],
        return_lse=form.sinks is not None,
    )
    if form.sinks is not None:
        out, lse = out
        out = out * torch.sigmoid(lse - form.sinks.to(lse)[:, None])[..., None].to(out.dtype)
    return dots.with_heads_dropped(call, out)


@cache
def _compiled() -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=False)


def _score_mod(bias: Tensor | Bias | None, softcap: float | None) -> Callable[..., Tensor] | None:
    if bias is None and softcap is None:
        return None

    def modified(score: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        if softcap is not None:
            score = softcap * torch.tanh(score / softcap)
        if isinstance(bias, Bias):
            return score + bias.at(head, query, key)
        if bias is None:
            return score
        index = [
            at if size > 1 else torch.zeros_like(at) for at, size in zip((batch, head, query, key), bias.shape, strict=True)
        ]
        return score + bias[tuple(index)]

    return modified


def _block_mask(mask: Mask, call: Call) -> BlockMask:
    """The mask's own tiles as flex wants them; its `create_block_mask` would write out all pairs."""
    from torch.nn.attention.flex_attention import BlockMask

    batch, heads, queries, keys = call.shape
    sides = [edge for length in (queries, keys) for edge in edges(length, BLOCK, call.query.device)]
    known = mask.tiles(*sides).expand(batch, heads, -1, -1)
    ragged = (sides[1] - sides[0] < BLOCK - 1)[:, None] | (sides[3] - sides[2] < BLOCK - 1)
    full = (known == FULL) & ~ragged
    return BlockMask.from_kv_blocks(
        *_listed((known != EMPTY) & ~full),
        *_listed(full),
        BLOCK_SIZE=BLOCK,
        mask_mod=lambda b, h, q, k: mask.allows(b, h, q, k),
        seq_lengths=(queries, keys),
    )


def _listed(marked: Tensor) -> tuple[Tensor, Tensor]:
    """How many tiles of each row are marked, and their indices first."""
    return marked.sum(-1).int(), marked.int().argsort(dim=-1, descending=True, stable=True).int()
