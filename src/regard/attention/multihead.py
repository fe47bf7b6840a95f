"""Projections around a mechanism: split into heads, mix, join."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from regard.attention.cache import KeyValueCache
from regard.attention.call import check_mask
from regard.attention.dropout import Dropout, check_dropout
from regard.attention.masks import Band, Mask, everything
from regard.attention.mechanism import Mechanism, given, mechanism_named
from regard.attention.positions.bias import Bias
from regard.attention.positions.position import Position, position_named
from regard.errors import InputError


class MultiHeadAttention(nn.Module):
    """concat(head₁ … headₙ) W with headᵢ = mechanism(query Wᵢ, key Wᵢ, value Wᵢ); arXiv:1706.03762, section 3.2.2.

    `num_kv_heads` below `num_heads` lets groups of query heads share keys and values; arXiv:2305.13245. `dropout` acts while
    training. `norm_heads` divides each head's output by its root mean square, as differential attention wants it.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        *,
        num_kv_heads: int | None = None,
        mechanism: str | Mechanism = "softmax",
        position: str | Position | None = None,
        mask: Mask = everything,
        dropout: Dropout | None = None,
        norm_heads: bool = False,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        if num_heads < 1 or d_model % num_heads:
            raise InputError(f"d_model must be a multiple of num_heads, got {d_model} and {num_heads}.")
        if num_kv_heads < 1 or num_heads % num_kv_heads:
            raise InputError(f"num_heads must be a multiple of num_kv_heads, got {num_heads} and {num_kv_heads}.")
        self.num_heads, self.head_dim = num_heads, d_model // num_heads
        check_dropout(dropout)
        self.mask, self.dropout, self.backend = mask, dropout, backend
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, num_kv_heads * self.head_dim)
        self.value = nn.Linear(d_model, num_kv_heads * self.head_dim)
        self.out = nn.Linear(d_model, d_model)
        for projection in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(projection.weight)
        for projection in (self.query, self.key, self.value, self.out):
            nn.init.zeros_(projection.bias)
        self.norm = nn.RMSNorm(self.head_dim) if norm_heads else nn.Identity()
        self.position = position_named(position, self.head_dim, num_heads)
        self.mechanism: Mechanism = (
            mechanism if isinstance(mechanism, Mechanism) else mechanism_named(mechanism, self.head_dim, num_heads)
        )

    def forward(
        self,
        x: Float[Tensor, "batch queries d_model"],
        memory: Float[Tensor, "batch keys d_model"] | None = None,
        mask: Mask = everything,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "batch queries d_model"]:
        """Each position of `x` looks at `memory`, or at `x` itself; `mask` is joined to the module's own by `&`.

        With a `cache`, `x` follows what the cache has seen and looks at that too; masks speak of positions from the very first.
        The keys of a `memory` are put into it once. Decoded token by token, the outputs are those of the full pass.
        """
        start = 0 if cache is None else cache.length if memory is None else cache.asked
        query = self.position.turn(split_heads(self.query(self.position.embed(x, start)), self.head_dim), start)
        key, value = self._seen(x, memory, cache)
        rows, first = range(start, start + query.shape[2]), 0 if cache is None or memory is not None else cache.start
        check_mask(mask)
        mask, keys = self.mask & mask, range(first, first + key.shape[2])
        bias: Bias | Tensor | None = self.position.bias
        dropout = self.dropout if self.training else None
        if start:
            if isinstance(bias, Bias):
                bias = bias.write(self.num_heads, rows, keys, query.device, query.dtype)
            mask.check((len(x), self.num_heads, rows.stop, keys.stop))
            mask = mask.part(rows, keys)
        if cache is not None and memory is not None:
            cache.asked += query.shape[2]
        heads = self.mechanism(query, key, value, mask, **given(bias, dropout, self.backend))
        return self.out(join_heads(self.norm(heads)))

    def new_cache(self) -> KeyValueCache:
        """An empty cache for this layer; it forgets what the layer's window can never see again."""
        is_window = isinstance(self.mask, Band) and self.mask.left is not None
        return KeyValueCache(self.mask.left if is_window else None)  # type: ignore[attr-defined]

    def _seen(self, x: Tensor, memory: Tensor | None, cache: KeyValueCache | None) -> tuple[Tensor, Tensor]:
        """Keys and values of all that may be looked at."""
        if memory is not None and cache is not None and cache.length:
            return cache.kept
        start = 0 if cache is None else cache.length
        source = self.position.embed(x if memory is None else memory, start)
        key = self.position.turn(split_heads(self.key(source), self.head_dim), start)
        value = split_heads(self.value(source), self.head_dim)
        return (key, value) if cache is None else cache.append(key, value)


def split_heads(x: Float[Tensor, "batch length d_model"], head_dim: int) -> Float[Tensor, "batch heads length head_dim"]:
    """Cut the last side into heads and put them second."""
    return x.unflatten(-1, (-1, head_dim)).transpose(1, 2)


def join_heads(x: Float[Tensor, "batch heads length head_dim"]) -> Float[Tensor, "batch length d_model"]:
    """Put the heads side by side again."""
    return x.transpose(1, 2).flatten(2)
