"""Differential attention: what two maps have in common is taken out as noise."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.attention.backends import Plan
from regard.attention.call import Call
from regard.attention.masks import Mask, everything
from regard.attention.mechanism import Mechanism
from regard.attention.scaled_dot import ScaledDot


class Differential(Mechanism):
    """softmax(Q₁K₁ᵀ/√d) − λ softmax(Q₂K₂ᵀ/√d), d half of head_dim; Ye et al. 2024, arXiv:2410.05258, eq. 1.

    λ = exp(λq₁·λk₁) − exp(λq₂·λk₂) + λ_init, eq. 2, one for all heads. The paper's norm of each head's output (eq. 3) is
    not linear in the values and so not part of the mechanism: MultiHeadAttention(norm_heads=True) has it.
    """

    sums_to_one = False
    is_nonnegative = False

    def __init__(self, head_dim: int, lambda_init: float = 0.8) -> None:
        super().__init__()
        self.lambda_init = lambda_init
        self.lambdas = nn.Parameter(0.1 * torch.randn(4, head_dim // 2))
        self.softmax = ScaledDot()

    @classmethod
    def for_heads(cls, head_dim: int, num_heads: int = 1) -> Mechanism:
        return cls(head_dim)

    @property
    def less(self) -> Float[Tensor, ""]:
        """λ: how much of the second map is taken away."""
        query_1, key_1, query_2, key_2 = self.lambdas
        return (query_1 @ key_1).exp() - (query_2 @ key_2).exp() + self.lambda_init

    def weights(
        self,
        query: Float[Tensor, "batch heads queries head_dim"],
        key: Float[Tensor, "batch kv_heads keys head_dim"],
        mask: Mask = everything,
        *,
        bias: Float[Tensor, "#batch #heads #queries #keys"] | None = None,
        rows: range | None = None,
    ) -> Float[Tensor, "batch heads rows keys"]:
        pairs = zip(query.chunk(2, -1), key.chunk(2, -1), strict=True)
        first, second = (self.softmax.weights(q, k, mask, bias=bias, rows=rows) for q, k in pairs)
        return first - self.less.to(second.dtype) * second

    def attend(self, call: Call, backend: str = "auto") -> Float[Tensor, "batch heads queries value_dim"]:
        """Two calls of any backend: the difference is linear in the values."""
        first, second = (self.softmax.attend(one, backend) for one in self._both(call))
        return first - self.less.to(second.dtype) * second

    def plan(self, call: Call) -> Plan:
        """That of one of the two calls."""
        return self.softmax.plan(self._both(call)[0])

    def _both(self, call: Call) -> list[Call]:
        pairs = zip(call.query.chunk(2, -1), call.key.chunk(2, -1), strict=True)
        return [replace(call, mechanism=self.softmax, query=q, key=k) for q, k in pairs]
