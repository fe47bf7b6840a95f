"""A Transformer that writes one token a row, in fewer and larger operations; `Transformer.forward` says what is right."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, scaled_dot_product_attention
from torch.overrides import has_torch_function

from regard.attention.cache import KeyValueCache
from regard.attention.masks import Band, Mask, everything
from regard.attention.masks.content import Padding
from regard.attention.multihead import MultiHeadAttention
from regard.attention.normalizers.softmax import Softmax
from regard.attention.positions.position import Position
from regard.attention.positions.rotary import Rotary, Rotary2d
from regard.attention.scaled_dot import ScaledDot
from regard.models.blocks import is_bare
from regard.models.transformer import Cache, FeedForward, Layer, LayerCache, Transformer


class Decoder:
    """A stack with a cache. On a CPU a token a row behind others goes through layers of products alone, if they are plain ones.

    Plain is softmax attention with a causal mask or a window, without a bias, and at a memory, where there is one, with nothing
    hidden but padding. All else is done by the stack itself, and all that `watch` sees. The outputs are the stack's but for
    rounding. It is made for the weights of the moment, and for what hangs on the stack then: make another after a change.
    """

    def __init__(self, stack: Transformer) -> None:
        self.stack = stack
        self.layers = [_Layer(layer) for layer in stack.layers] if _is_plain(stack) else []  # type: ignore[arg-type]
        self._hidden: tuple[Mask, tuple[tuple[int, ...], torch.Size], Tensor] | None = None

    def __call__(
        self,
        x: Float[Tensor, "rows new d_model"],
        cache: Cache,
        memory: Float[Tensor, "batch keys d_model"] | None = None,
        memory_mask: Mask = everything,
    ) -> Float[Tensor, "rows new d_model"]:
        """States of embeddings `x` that follow what the cache has seen; a memory's keys are in it from the first call on."""
        is_one = x.shape[1] == 1 and len(x) > 0 and cache.length > 0
        is_served = is_one and bool(self.layers) and self._serves(memory, memory_mask)
        if not is_served or torch.is_grad_enabled() or has_torch_function((x,)):
            return self.stack(x, memory=memory, memory_mask=memory_mask, cache=cache)
        hidden = None if memory is None else self._added(memory_mask, memory)
        x = self.stack.position.embed(x, cache.length)[:, 0]
        for layer, kept in zip(self.layers, cache, strict=True):
            x = layer(x, kept, hidden)
        return self.stack.norm(x)[:, None]

    def _serves(self, memory: Tensor | None, mask: Mask) -> bool:
        """Is there a memory where the layers look at one, all of whose queries see the same?"""
        is_alike = mask == everything or (isinstance(mask, Padding) and mask.query_lengths is None)
        return is_alike and (memory is None) == (self.layers[0].look is None)

    def _added(self, mask: Mask, memory: Tensor) -> Float[Tensor, "batch 1 1 keys"]:
        """What is added to the scores of a memory, written once for each mask."""
        asked = mask.version, memory.shape[:2]
        if self._hidden is None or self._hidden[0] is not mask or self._hidden[1] != asked:
            allowed = mask.write((len(memory), 1), range(1), range(memory.shape[1]), memory.device)
            added = torch.zeros_like(allowed, dtype=memory.dtype).masked_fill_(~allowed, -torch.inf)
            self._hidden = mask, asked, added
        return self._hidden[2]


class _Layer:
    """`Layer.forward` for one token a row: (rows, d_model) in and out."""

    def __init__(self, layer: Layer) -> None:
        self.attention, self.attention_norm = layer.attention, layer.attention_norm
        self.look, self.look_norm = layer.look, layer.look_norm
        self.feedforward, self.feedforward_norm = layer.feedforward, layer.feedforward_norm
        query, key, value = layer.attention.query, layer.attention.key, layer.attention.value
        scale = layer.attention.head_dim**-0.5  # of the products of queries and keys
        self.weight = torch.cat([query.weight.detach() * scale, key.weight.detach(), value.weight.detach()])
        self.bias = torch.cat([query.bias.detach() * scale, key.bias.detach(), value.bias.detach()])
        self.kv_heads = key.out_features // layer.attention.head_dim

    def __call__(self, x: Tensor, cache: LayerCache, hidden: Tensor | None) -> Tensor:
        x = x + self._attended(_normed(self.attention_norm, x), cache.written)
        if self.look is not None and self.look_norm is not None:
            x = x + _looked(self.look, _normed(self.look_norm, x), cache.memory, hidden)
        up, down = self.feedforward.up, self.feedforward.down
        return x + linear(gelu(linear(_normed(self.feedforward_norm, x), up.weight, up.bias)), down.weight, down.bias)

    def _attended(self, x: Tensor, cache: KeyValueCache) -> Tensor:
        """All that the cache keeps may be seen. The query heads of a key are rows of one product."""
        attention, dim = self.attention, self.attention.head_dim
        heads = linear(x, self.weight, self.bias).view(len(x), -1, 1, dim)
        turned = attention.position.turn(heads[:, : -self.kv_heads], cache.length)
        query, key = turned[:, : attention.num_heads], turned[:, attention.num_heads :]
        keys, values = cache.append(key, heads[:, -self.kv_heads :])
        scores = torch.bmm(query.reshape(len(x) * self.kv_heads, -1, dim), keys.flatten(0, 1).mT)
        out = torch.bmm(scores.softmax(-1), values.flatten(0, 1))
        return linear(out.view(len(x), -1), attention.out.weight, attention.out.bias)


def _looked(look: MultiHeadAttention, x: Tensor, cache: KeyValueCache, hidden: Tensor | None) -> Tensor:
    """At a memory, whose rows stand side by side."""
    keys, values = cache.kept
    cache.asked += len(x) // len(keys)
    query = linear(x, look.query.weight, look.query.bias).view(len(keys), -1, look.num_heads, look.head_dim).transpose(1, 2)
    out = scaled_dot_product_attention(query, keys, values, hidden, enable_gqa=keys.shape[1] != look.num_heads)
    return linear(out.transpose(1, 2).reshape(len(x), -1), look.out.weight, look.out.bias)


def _normed(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    return torch.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _is_plain(stack: Transformer) -> bool:
    """Is all of it what `_Layer` computes, on a CPU, with no hook and no part of somebody else's?"""
    parts = list(stack.modules())
    return (
        all(weights.device.type == "cpu" and weights.dtype in DTYPES for weights in stack.parameters())
        and all(type(part) in KINDS or isinstance(part, Position) for part in parts)
        and all(is_bare(part) and not part.training for part in parts)
        and all(type(layer) is Layer and _is_plain_layer(layer) for layer in stack.layers)
    )


DTYPES = (torch.float32, torch.float64)  # narrower ones are to be summed up in float32, as the stack does it
KINDS = {
    *(Transformer, Layer, MultiHeadAttention, FeedForward, ScaledDot, Softmax),
    *(nn.Linear, nn.LayerNorm, nn.ModuleList, nn.Identity),
}
TURNS = (Position.turn, Rotary.turn, Rotary2d.turn)  # linear, and alike for all heads


def _is_plain_layer(layer: Layer) -> bool:
    """Is each part in its place?"""
    attention, look = layer.attention, layer.look
    norms = (layer.attention_norm, layer.feedforward_norm, *(() if look is None else (layer.look_norm,)))
    return (
        all(type(norm) is nn.LayerNorm for norm in norms)
        and (_is_plain_attention(attention) and isinstance(attention.mask, Band) and attention.mask.right == 0)
        and (look is None or (_is_plain_attention(look) and look.mask == everything))
    )


def _is_plain_attention(attention: MultiHeadAttention) -> bool:
    position, mechanism = attention.position, attention.mechanism
    projections = attention.query, attention.key, attention.value
    return (
        all(type(one) is nn.Linear and one.bias is not None for one in projections)
        and (type(attention.norm) is nn.Identity and attention.backend == "auto")
        and (type(position).turn in TURNS and type(position).embed is Position.embed and position.bias is None)
        and (isinstance(mechanism, ScaledDot) and mechanism.scale is None and mechanism.softcap is None)
    )
