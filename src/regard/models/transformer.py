"""Stacks of attention and feed-forward layers, normalised before each; Xiong et al. 2020, arXiv:2002.04745."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from regard.attention.cache import KeyValueCache
from regard.attention.masks import Mask, everything
from regard.attention.multihead import MultiHeadAttention
from regard.attention.positions.position import Position, position_named
from regard.models.blocks import hide
from regard.models.options import TransformerOptions

BASE_STD = 0.02


class LayerCache(NamedTuple):
    """What one layer keeps while it decodes: of what was written, and of the memory that is read."""

    written: KeyValueCache
    memory: KeyValueCache


class Cache(list[LayerCache]):
    """What a stack keeps while it decodes, a layer an entry."""

    @property
    def length(self) -> int:
        """Positions written so far."""
        return self[0].written.length

    def reorder(self, order: Int[Tensor, " rows"]) -> None:
        """Put the written sequences in another order, with repeats or without some of them."""
        for layer in self:
            layer.written.reorder(order)

    def keep(self, sentences: Int[Tensor, " sentences"]) -> None:
        """Forget the memories of all other sentences."""
        for layer in self:
            if layer.memory.length:
                layer.memory.reorder(sentences)


class FeedForward(nn.Module):
    """W₂ gelu(W₁ x)."""

    def __init__(self, d_model: int, d_hidden: int, share_hidden: float) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(d_model, d_hidden), nn.Linear(d_hidden, d_model)
        self.share_hidden = share_hidden

    def forward(self, x: Float[Tensor, "batch length d_model"]) -> Float[Tensor, "batch length d_model"]:
        return self.down(hide(nn.functional.gelu(self.up(x)), self.share_hidden, self.training))


class Layer(nn.Module):
    """x + attention(norm x), then the same with a memory where there is one, then with a feed-forward network."""

    def __init__(self, options: TransformerOptions, mask: Mask, position: Position | None, *, has_memory: bool) -> None:
        super().__init__()
        d_model, heads = options.d_model, options.num_heads
        kv_heads = options.num_kv_heads or heads
        self.dropout = options.dropout
        self.attention = MultiHeadAttention(
            d_model, heads, num_kv_heads=kv_heads, mechanism=options.mechanism, position=position, mask=mask
        )
        self.attention_norm = nn.LayerNorm(d_model)
        self.look = MultiHeadAttention(d_model, heads, num_kv_heads=kv_heads) if has_memory else None
        self.look_norm = nn.LayerNorm(d_model) if has_memory else None
        self.feedforward = FeedForward(d_model, options.d_feedforward, options.dropout)
        self.feedforward_norm = nn.LayerNorm(d_model)
        shrink = (2 * options.num_layers) ** -0.5  # what is added to a state grows with the layers; Radford et al. 2019
        for last in (self.attention.out, self.feedforward.down, *([self.look.out] if self.look else ())):
            nn.init.normal_(last.weight, std=BASE_STD * shrink)

    def forward(
        self,
        x: Float[Tensor, "rows length d_model"],
        mask: Mask = everything,
        memory: Float[Tensor, "batch keys d_model"] | None = None,
        memory_mask: Mask = everything,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "rows length d_model"]:
        """There may be several rows a memory, side by side: they look at it together, as if they were one longer row."""
        x = x + self._dropped(self.attention(self.attention_norm(x), mask=mask, cache=cache and cache.written))
        if self.look is not None and self.look_norm is not None and memory is not None:
            together = self.look_norm(x).reshape(len(memory), -1, x.shape[2])
            looked = self.look(together, memory, memory_mask, cache and cache.memory)
            x = x + self._dropped(looked.view(x.shape))
        return x + self._dropped(self.feedforward(self.feedforward_norm(x)))

    def _dropped(self, x: Tensor) -> Tensor:
        return hide(x, self.dropout, self.training)


class Transformer(nn.Module):
    """Layers, and a last norm. `mask` is of every layer; a position is added once, or turns queries and keys in each layer."""

    def __init__(
        self,
        options: TransformerOptions,
        mask: Mask = everything,
        *,
        has_memory: bool = False,
        position: Position | None = None,
    ) -> None:
        """`position` stands for that of the options, where a name does not say enough of it."""
        super().__init__()
        if position is None:
            position = position_named(options.position, options.d_model // options.num_heads, options.num_heads)
        is_added = type(position).embed is not Position.embed
        self.position = position if is_added else Position()
        inner = None if is_added else position
        self.layers = nn.ModuleList(Layer(options, mask, inner, has_memory=has_memory) for _ in range(options.num_layers))
        self.norm = nn.LayerNorm(options.d_model)
        self.dropout = options.dropout

    def forward(
        self,
        x: Float[Tensor, "rows length d_model"],
        mask: Mask = everything,
        memory: Float[Tensor, "batch keys d_model"] | None = None,
        memory_mask: Mask = everything,
        cache: Cache | None = None,
    ) -> Float[Tensor, "rows length d_model"]:
        """States of embeddings `x`; with a cache, `x` follows what was written before."""
        x = self.position.embed(x, cache.length if cache else 0)
        x = hide(x, self.dropout, self.training)
        for number, layer in enumerate(self.layers):
            x = layer(x, mask, memory, memory_mask, cache[number] if cache else None)
        return self.norm(x)

    def new_cache(self) -> Cache:
        """An empty cache."""
        layers = cast(Iterable[Layer], self.layers)
        return Cache(LayerCache(layer.attention.new_cache(), KeyValueCache()) for layer in layers)


def embedding(num_tokens: int, d_model: int, padding: int | None = None) -> nn.Embedding:
    """Of a width that fits a sum with positions of about one, and an output layer that shares its weights."""
    made = nn.Embedding(num_tokens, d_model, padding_idx=padding)
    nn.init.normal_(made.weight, std=d_model**-0.5)
    if padding is not None:
        with torch.no_grad():
            made.weight[padding].zero_()
    return made
