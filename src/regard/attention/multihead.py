"""Projections around a mechanism: split into heads, mix, join."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from regard.attention.masks import Mask, everything
from regard.attention.mechanism import Mechanism
from regard.catalog import MECHANISMS, load
from regard.errors import InputError


class MultiHeadAttention(nn.Module):
    """concat(head₁ … headₙ) W with headᵢ = mechanism(query Wᵢ, key Wᵢ, value Wᵢ); arXiv:1706.03762, section 3.2.2.

    `num_kv_heads` below `num_heads` lets groups of query heads share keys and values; arXiv:2305.13245.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        *,
        num_kv_heads: int | None = None,
        mechanism: str | Mechanism = "softmax",
        mask: Mask = everything,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        if num_heads < 1 or d_model % num_heads:
            raise InputError(f"d_model must be a multiple of num_heads, got {d_model} and {num_heads}.")
        if num_kv_heads < 1 or num_heads % num_kv_heads:
            raise InputError(f"num_heads must be a multiple of num_kv_heads, got {num_heads} and {num_kv_heads}.")
        self.head_dim = d_model // num_heads
        self.mask, self.backend = mask, backend
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, num_kv_heads * self.head_dim)
        self.value = nn.Linear(d_model, num_kv_heads * self.head_dim)
        self.out = nn.Linear(d_model, d_model)
        for projection in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(projection.weight)
        for projection in (self.query, self.key, self.value, self.out):
            nn.init.zeros_(projection.bias)
        self.mechanism: Mechanism = (
            mechanism if isinstance(mechanism, Mechanism) else load(MECHANISMS, mechanism).for_heads(self.head_dim)
        )

    def forward(
        self,
        x: Float[Tensor, "batch queries d_model"],
        memory: Float[Tensor, "batch keys d_model"] | None = None,
        mask: Mask = everything,
    ) -> Float[Tensor, "batch queries d_model"]:
        """Each position of `x` looks at `memory`, or at `x` itself; `mask` is joined to the module's own by `&`."""
        memory = x if memory is None else memory
        query = split_heads(self.query(x), self.head_dim)
        key, value = (split_heads(project(memory), self.head_dim) for project in (self.key, self.value))
        mask = mask if self.mask == everything else self.mask if mask == everything else self.mask & mask
        return self.out(join_heads(self.mechanism(query, key, value, mask, backend=self.backend)))


def split_heads(x: Float[Tensor, "batch length d_model"], head_dim: int) -> Float[Tensor, "batch heads length head_dim"]:
    """Cut the last side into heads and put them second."""
    return x.unflatten(-1, (-1, head_dim)).transpose(1, 2)


def join_heads(x: Float[Tensor, "batch heads length head_dim"]) -> Float[Tensor, "batch length d_model"]:
    """Put the heads side by side again."""
    return x.transpose(1, 2).flatten(2)
