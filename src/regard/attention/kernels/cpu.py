"""Softmax over scaled dot products on a CPU, block by block.

PyTorch's fused kernel computes a block; where it cannot (dropout of weights, softcap) the block is written out in cache.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.attention.blockwise import Side, hollow
from regard.attention.call import BLOCK_NUMBERS, Block, Call, share
from regard.attention.dots import Dots, dots_of, learns_bias, refusal, with_heads_dropped
from regard.attention.dropout import thinned_
from regard.attention.masks import Mask

DTYPES = torch.float32, torch.float64, torch.bfloat16, torch.float16


def serves(call: Call) -> bool:
    """Can these tiles compute this call?"""
    if call.query.device.type != "cpu" or call.query.dtype not in DTYPES or torch.is_autocast_enabled("cpu"):
        return False
    return not refusal(call) and not learns_bias(call)


def attend(call: Call) -> Float[Tensor, "batch heads queries value_dim"]:
    """The output of a call that `serves` said yes to."""
    dots = dots_of(call)
    is_written = dots.softcap is not None or (call.dropout is not None and call.dropout.weights is not None)
    kept = hollow(dots, call=hollow(call, bias=call.bias))
    tiles = WrittenTiles(kept) if is_written else FusedTiles(kept)
    sinks = () if dots.sinks is None else (dots.sinks,)
    out = _Tiled.apply(tiles, dots.query, dots.key, call.value, *sinks)  # type: ignore[no-untyped-call]
    return with_heads_dropped(call, out)


class Tiles:
    """What a call's forward and backward pass share: its blocks, and what is added to the scores of each."""

    def __init__(self, dots: Dots) -> None:
        self.dots, self.call, self.scale = dots, dots.call, dots.scale
        self.blocks = tuple(dots.call.blocks(self.numbers))
        self._last: tuple[tuple[Mask, int, int], Tensor] | None = None
        self._scratch: dict[str, Tensor] = {}

    @property
    def numbers(self) -> int:
        """How many numbers a block may hold, heads counted; 0 is as many as any call's."""
        return 0

    def scratch(self, name: str, size: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Memory that every block uses again: fresh pages would cost as much as the arithmetic done in them; see `free`."""
        count = math.prod(size)
        if name not in self._scratch or self._scratch[name].numel() < count:
            self._scratch[name] = torch.empty(count, dtype=dtype)
        return self._scratch[name][:count].view(size)

    def free(self) -> None:
        """Let go of what the blocks of a pass shared: the graph would hold it until the next, for each layer.

        The mask of a single block is kept, which the next pass would write again.
        """
        self._scratch = {}
        if len(self.blocks) > 1:
            self._last = None

    def forward(self, block: Block, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Output and log-sum-exp of a block; a row that may look at nothing has 0 and any finite number."""
        raise NotImplementedError

    def backward(
        self, block: Block, grad_out: Tensor, cut: list[Tensor], out: Tensor, lse: Tensor, share_kept: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of query, key and value of a block; `share_kept` is what the sinks leave of each row."""
        raise NotImplementedError

    def added(self, block: Block) -> Float[Tensor, "#batch #heads rows keys"] | None:
        """Mask, bias and DropKey of a block in one tensor; None where there is nothing to add."""
        total = None if block.is_full else self._forbidden(block)
        if (bias := self.call.bias_of(block)) is not None:
            total = bias.detach() if total is None else total + bias.detach()
        if self.call.dropout is not None and self.call.dropout.keys is not None:
            kept = self.call.dropout.keys.part(block.rows, block.keys, block.batch)
            dropped = kept.penalty(self.scratch("codes", kept.size, torch.int32))
            total = dropped.to(self.call.query.dtype) if total is None else dropped.to(total.dtype).add_(total)
        return total if total is None else total.to(self.call.query.dtype)

    def _forbidden(self, block: Block) -> Float[Tensor, "#batch #heads rows keys"]:
        """0 where a pair may look, −inf elsewhere; the same for most blocks of a window, so the last one is kept."""
        mask = self.call.mask.part(block.rows, block.keys, block.batch)
        place = mask, len(block.rows), sum(map(len, block.runs))
        if self._last is not None and self._last[0] == place:
            return self._last[1]
        allowed = mask.write((len(block.batch), self.call.shape[1]), range(place[1]), range(place[2]))
        forbidden = torch.where(allowed, 0.0, float("-inf")).to(self.call.query.dtype)
        self._last = place, forbidden
        return forbidden


class FusedTiles(Tiles):
    """Blocks by the kernel behind scaled_dot_product_attention."""

    @property
    def numbers(self) -> int:
        """The kernel holds no scores; what is written for a block is its mask, for each head only if keys are dropped."""
        drops_keys = self.call.dropout is not None and self.call.dropout.keys is not None
        return BLOCK_NUMBERS * (1 if drops_keys else max(1, self.call.shape[1]))

    def forward(self, block: Block, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, False, attn_mask=self.added(block), scale=self.scale
        )

    def backward(
        self, block: Block, grad_out: Tensor, cut: list[Tensor], out: Tensor, lse: Tensor, share_kept: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            grad_out, *cut, out, lse, 0.0, False, attn_mask=self.added(block), scale=self.scale
        )


class WrittenTiles(Tiles):
    """Blocks by matrix products and a softmax between them, small enough for the cache.

    Factors go to the vectors, not to the pairs: each pass over the pairs saved is worth 5 % of the time.
    """

    def forward(self, block: Block, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        scores, _ = self._scores(block, query * self.scale, key)
        weights = self._softmax(scores)
        lse = weights.new_zeros(())
        if self.dots.sinks is not None:
            lse = (scores.amax(-1) - weights.amax(-1).log()).nan_to_num(0)  # −inf + inf in a row that may look at nothing
        return thinned_(weights, self._bits(block)) @ (value * self._growth), lse

    def backward(
        self, block: Block, grad_out: Tensor, cut: list[Tensor], out: Tensor, lse: Tensor, share_kept: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = cut[0] * self.scale, *cut[1:]
        scores, slope = self._scores(block, query, key)
        weights = self._softmax(scores)
        weights = weights if share_kept is None else weights.mul_(share_kept)
        grown, bits = grad_out * self._growth, self._bits(block)
        of_weights = thinned_(_products(grown, value.mT, scores), bits)
        of_scores = of_weights.sub_((grad_out * out).sum(-1, keepdim=True)).mul_(weights)
        of_scores = of_scores if slope is None else of_scores.mul_(slope)
        return (of_scores @ key).mul_(self.scale), of_scores.mT @ query, thinned_(weights, bits).mT @ grown

    @property
    def _growth(self) -> float:
        """What DropWeights multiplies the weights by that it leaves."""
        dropout = self.call.dropout
        return 1.0 if dropout is None or dropout.weights is None else dropout.growth

    def _scores(self, block: Block, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor | None]:
        """What goes into the softmax, and the slope of the softcap there."""
        size = (*query.shape[:3], key.shape[2])
        scores, slope = _products(query, key.mT, self.scratch("scores", size, query.dtype)), None
        if self.dots.softcap is not None:
            scores = scores.div_(self.dots.softcap).tanh_()
            slope = 1 - scores.square()
            scores = scores.mul_(self.dots.softcap)
        return scores if (added := self.added(block)) is None else scores.add_(added), slope

    def _softmax(self, scores: Tensor) -> Tensor:
        weights = torch.softmax(scores, -1, out=self.scratch("weights", tuple(scores.shape), scores.dtype))
        dead = scores[..., :1].isneginf() & weights[..., :1].isnan()
        return weights.masked_fill_(dead, 0) if dead.any() else weights

    def _bits(self, block: Block) -> Tensor | None:
        """What DropWeights leaves of a block."""
        dropout = self.call.dropout
        if dropout is None or dropout.weights is None:
            return None
        kept = dropout.weights.part(block.rows, block.keys, block.batch)
        return kept.bits(self.scratch("codes", kept.size, torch.int32))


def _products(x: Tensor, y: Tensor, out: Tensor) -> Tensor:
    """x @ y into memory that is there already, which `matmul` would copy into."""
    torch.bmm(x.flatten(0, 1), y.flatten(0, 1), out=out.flatten(0, 1))
    return out


class _Tiled(torch.autograd.Function):
    """Query, key, value and, if there are any, sinks."""

    @staticmethod
    def forward(ctx: Any, tiles: Tiles, *given: Tensor) -> Tensor:
        query, key, value, *sinks = given
        out = query.new_zeros(*query.shape[:3], value.shape[3])
        lse = query.new_zeros(query.shape[:3], dtype=torch.float64 if query.dtype == torch.float64 else torch.float32)
        for block in tiles.blocks:
            part, seen = tiles.forward(block, *_cut(block, query, key, value))
            Side.ROWS.take(out, block).copy_(part[..., : value.shape[3]])
            Side.ROWS.take(lse, block).copy_(seen)
        for sink in sinks:
            column = sink.to(lse)[:, None]
            out, lse = out.mul_(torch.sigmoid(lse - column)[..., None]), torch.logaddexp(lse, column)
        tiles.free()
        ctx.tiles = tiles
        ctx.save_for_backward(*given, out, lse)
        ctx.save_for_forward(*given)
        return out

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        *given, out, lse = ctx.saved_tensors
        tiles: Tiles = ctx.tiles
        if torch.is_grad_enabled():  # to be differentiated again
            return None, *tiles.dots.exact_gradients(grad_out, *given)
        sinks = [sink.to(lse)[:, None] for sink in given[3:]]
        kept = [(1 - (sink - lse).exp())[..., None].to(grad_out.dtype) for sink in sinks]
        sides = Side.ROWS, Side.KEYS, Side.KEYS
        grads = [torch.zeros_like(x, dtype=side.summed_in(x.dtype)) for side, x in zip(sides, given[:3], strict=True)]
        for block in tiles.blocks:
            cut = _cut(block, *given[:3])
            of_rows = [_widened(Side.ROWS.take(x, block), cut[0].shape[3]) for x in (grad_out, out)]
            share_kept = Side.ROWS.take(kept[0], block) if kept else None
            parts = tiles.backward(block, of_rows[0], cut, of_rows[1], Side.ROWS.take(lse, block), share_kept)
            for side, grad, part in zip(sides, grads, parts, strict=True):
                side.add(grad, block, _gathered(part, grad)[..., : grad.shape[3]])
        tiles.free()
        grads = [grad.to(grad_out.dtype) for grad in grads]
        return None, *grads, *(_of_sink(sink, grad_out, out, lse) for sink in sinks)

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> Tensor:
        return ctx.tiles.dots.tangent(tangents, *ctx.saved_tensors)


def _of_sink(sink: Tensor, grad_out: Tensor, out: Tensor, lse: Tensor) -> Tensor:
    """The gradient of a sink: what it takes from each row, times what the row was worth."""
    worth = (grad_out * out).sum(-1).to(lse.dtype)
    return -((sink - lse).exp() * worth).sum((0, 2)).to(grad_out.dtype)


def _cut(block: Block, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
    """The tensors of a block as the kernel wants them: as many heads, as wide, for queries, keys and values."""
    query, key, value = Side.ROWS.take(query, block), Side.KEYS.take(key, block), Side.KEYS.take(value, block)
    wide = max(query.shape[3], value.shape[3])
    return [_widened(x, wide) for x in (query, share(key, query.shape[1]), share(value, query.shape[1]))]


def _widened(x: Tensor, width: int) -> Tensor:
    """Rows of this width with their numbers side by side, which the kernel takes for granted."""
    x = x if x.shape[3] == width else F.pad(x, (0, width - x.shape[3]))
    return x if x.stride(3) == 1 else x.contiguous()


def _gathered(grad: Float[Tensor, "batch heads length dim"], like: Tensor) -> Float[Tensor, "batch kv_heads length dim"]:
    """Sum over the query heads that share a key head."""
    return grad if grad.shape[1] == like.shape[1] else grad.unflatten(1, (like.shape[1], -1)).sum(2)
