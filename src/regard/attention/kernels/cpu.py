"""Softmax over scaled dot products on PyTorch's fused CPU kernel, block by block."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.attention.blockwise import Side, Walk, walk_of, walked
from regard.attention.call import Block, Call, share
from regard.attention.masks import Band
from regard.attention.positions.bias import Bias

if TYPE_CHECKING:
    from regard.attention.mechanism import Dot

DTYPES = torch.float32, torch.float64, torch.bfloat16, torch.float16


def serves(call: Call) -> bool:
    """Can the kernel compute this call?"""
    from regard.attention.mechanism import Dot  # mechanisms import backends
    from regard.attention.normalizers.softmax import Softmax

    mechanism = call.mechanism
    if call.query.device.type != "cpu" or call.query.dtype not in DTYPES or torch.is_autocast_enabled("cpu"):
        return False
    if not isinstance(mechanism, Dot) or type(mechanism).score is not Dot.score or type(mechanism).weights is not Dot.weights:
        return False
    if mechanism.softcap is not None or not isinstance(mechanism.normalize, Softmax):
        return False
    return not _learns_bias(call) and (call.dropout is None or call.dropout.weights is None)


def attend(call: Call) -> Float[Tensor, "batch heads queries value_dim"]:
    """The output of a call that `serves` said yes to."""
    mechanism: Dot = call.mechanism  # type: ignore[assignment]
    query, key = mechanism.vectors(call.query, call.key)
    sinks = mechanism.normalize.sinks(call.shape[1])  # type: ignore[operator]
    plain = replace(call, mechanism=_plain(mechanism, query.shape[-1], sinks), query=query, key=key)
    sinks = query.new_zeros(0) if sinks is None else sinks.to(query.dtype)
    out = _Flash.apply(_Tiles(plain), query, key, call.value, sinks)  # type: ignore[no-untyped-call]
    heads = None if call.dropout is None else call.dropout.heads
    return out if heads is None else out * heads.to(out.dtype)


def _learns_bias(call: Call) -> bool:
    if isinstance(call.bias, Bias):
        return any(p.requires_grad for p in call.bias.parameters())
    return call.bias is not None and call.bias.requires_grad


def _plain(mechanism: Dot, dim: int, sinks: Tensor | None) -> Dot:
    """The mechanism for vectors that are ready to be multiplied; its sinks are put in when it is differentiated twice."""
    from regard.attention.normalizers.softmax import Sink
    from regard.attention.scaled_dot import ScaledDot

    return ScaledDot(mechanism.scale_for(dim), "softmax" if sinks is None else Sink(len(sinks)))


class _Tiles:
    """What a call's forward and backward pass share: its blocks, and what is added to the scores of each."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.blocks = tuple(call.blocks(numbers=2**62))
        self.scale = call.mechanism.scale  # type: ignore[union-attr]
        self._bands: dict[tuple[Band, int, int], Tensor] = {}

    def added(self, block: Block) -> Float[Tensor, "#batch #heads rows keys"] | None:
        """Mask, bias and DropKey of a block in one tensor; None where there is nothing to add."""
        total = None if block.is_full else self._forbidden(block)
        if (bias := self.call.bias_of(block)) is not None:
            total = bias.detach() if total is None else total + bias.detach()
        if self.call.dropout is not None and self.call.dropout.keys is not None:
            dropped = self.call.dropout.keys.part(block.rows, block.keys, block.batch).penalty()
            total = dropped.to(self.call.query.dtype) if total is None else dropped.to(total.dtype).add_(total)
        return total if total is None else total.to(self.call.query.dtype)

    def _forbidden(self, block: Block) -> Float[Tensor, "#batch #heads rows keys"]:
        """0 where a pair may look, −inf elsewhere; bands are the same in most blocks, so they are written once."""
        mask = self.call.mask.part(block.rows, block.keys, block.batch)
        sides = len(block.rows), sum(map(len, block.runs))
        if (mask, *sides) in self._bands:
            return self._bands[mask, *sides]  # type: ignore[index]
        allowed = mask.write((len(block.batch), self.call.shape[1]), range(sides[0]), range(sides[1]))
        forbidden = torch.where(allowed, 0.0, float("-inf")).to(self.call.query.dtype)
        if isinstance(mask, Band):
            self._bands[mask, *sides] = forbidden
        return forbidden


class _Flash(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tiles: _Tiles, query: Tensor, key: Tensor, value: Tensor, sinks: Tensor) -> Tensor:
        out = query.new_zeros(*query.shape[:3], value.shape[3])
        wide = torch.float64 if query.dtype == torch.float64 else torch.float32
        lse = torch.full(query.shape[:3], float("-inf"), dtype=wide)
        for block in tiles.blocks:
            part, seen = _flash(tiles, block, *_cut(block, query, key, value))
            Side.ROWS.take(out, block).copy_(part[..., : value.shape[3]])
            Side.ROWS.take(lse, block).copy_(seen)
        if len(sinks):
            share_kept = torch.sigmoid(lse - sinks.to(lse)[:, None])
            out, lse = out.mul_(share_kept[..., None]), torch.logaddexp(lse, sinks.to(lse)[:, None])
        ctx.tiles = tiles
        ctx.save_for_backward(query, key, value, sinks, out, lse)
        ctx.save_for_forward(query, key, value, sinks, out, lse)
        return out

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, sinks, out, lse = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again, which the kernel cannot
            return None, *_exact_gradients(ctx.tiles, query, key, value, sinks, grad_out)
        grads = [torch.zeros_like(x) for x in (query, key, value)]
        for block in ctx.tiles.blocks:
            parts = _flash_backward(ctx.tiles, block, grad_out, query, key, value, out, lse)
            for side, grad, part in zip((Side.ROWS, Side.KEYS, Side.KEYS), grads, parts, strict=True):
                side.add(grad, block, part)
        delta = (grad_out * out).sum(-1).to(lse.dtype)
        of_sinks = -((sinks.to(lse)[:, None] - lse).exp() * delta).sum((0, 2)) if len(sinks) else None
        return None, *grads, of_sinks if of_sinks is None else of_sinks.to(sinks.dtype)

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> Tensor:
        query, key, value, sinks, _out, _lse = ctx.saved_tensors
        walk, tensors, places = _exact(ctx.tiles, query, key, value, sinks)
        moved = dict(zip(places, tangents, strict=False))
        return walk.pushed(tensors, tuple(moved.get(place) for place in range(len(tensors))))[0]


def _cut(block: Block, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
    """The tensors of a block as the kernel wants them: as many heads, as wide, for queries, keys and values."""
    query, key, value = Side.ROWS.take(query, block), Side.KEYS.take(key, block), Side.KEYS.take(value, block)
    wide = max(query.shape[3], value.shape[3])
    return [_widened(x, wide) for x in (query, share(key, query.shape[1]), share(value, query.shape[1]))]


def _widened(x: Tensor, width: int) -> Tensor:
    """Rows of this width with their numbers side by side, which the kernel takes for granted."""
    x = x if x.shape[3] == width else F.pad(x, (0, width - x.shape[3]))
    return x if x.stride(3) == 1 else x.contiguous()


def _flash(tiles: _Tiles, block: Block, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Output and log-sum-exp of a block; a row that may look at nothing has −inf."""
    added = tiles.added(block)
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, False, attn_mask=added, scale=tiles.scale
    )
    if added is not None:  # the kernel says 0 for such a row
        lse = lse.masked_fill((added == float("-inf")).all(-1), float("-inf"))
    return out, lse


def _flash_backward(
    tiles: _Tiles, block: Block, grad_out: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, lse: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    query_part, key_part, value_part = _cut(block, query, key, value)
    wide = query_part.shape[3]
    grads = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
        _widened(Side.ROWS.take(grad_out, block), wide).contiguous(),
        query_part,
        key_part,
        value_part,
        _widened(Side.ROWS.take(out, block), wide),
        Side.ROWS.take(lse, block).clamp(min=torch.finfo(lse.dtype).min),
        0.0,
        False,
        attn_mask=tiles.added(block),
        scale=tiles.scale,
    )
    like = query, key, value
    return tuple(_gathered(grad, x)[..., : x.shape[3]] for grad, x in zip(grads, like, strict=True))  # type: ignore[return-value]


def _gathered(grad: Float[Tensor, "batch heads length dim"], like: Tensor) -> Float[Tensor, "batch kv_heads length dim"]:
    """Sum over the query heads that share a key head."""
    return grad if grad.shape[1] == like.shape[1] else grad.unflatten(1, (like.shape[1], -1)).sum(2)


def _exact(tiles: _Tiles, *given: Tensor) -> tuple[Walk, tuple[Tensor, ...], tuple[int, ...]]:
    """The walk that defines the call, its tensors, and where query, key, value and sinks are among them."""
    query, key, value, sinks = given
    walk, tensors = walk_of(replace(tiles.call, query=query, key=key, value=value))
    if not len(sinks):
        return walk, tensors, (0, 1, 2)
    place = 3 + isinstance(tiles.call.bias, Tensor)
    return walk, (*tensors[:place], sinks, *tensors[place + 1 :]), (0, 1, 2, place)


def _exact_gradients(tiles: _Tiles, *given: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of query, key, value and sinks that can be differentiated again."""
    walk, tensors, places = _exact(tiles, *given[:4])
    wanted = [place for place in places if tensors[place].requires_grad]
    found = dict(zip(wanted, walked(walk.pullback(tensors, wanted), *tensors, given[4]), strict=True))
    return tuple(found.get(place) for place in (*places, -1)[:4])
