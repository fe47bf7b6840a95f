"""Attention that may close a head."""

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


class Gated(Mechanism):
    """σ(w·query + b) · softmax(scale · query keyᵀ), a gate a head and query; Qiu et al. 2025, arXiv:2505.06708, section 2.2.

    The headwise gate of the output (G1). The paper computes it from the layer's input; here it comes from the query vector, a
    linear map of that. `inner` may be any other mechanism.
    """

    sums_to_one = False

    def __init__(self, head_dim: int, inner: Mechanism | None = None) -> None:
        super().__init__()
        self.inner = inner or ScaledDot()
        self.openness = nn.Linear(head_dim, 1)

    @classmethod
    def for_heads(cls, head_dim: int, num_heads: int = 1) -> Mechanism:
        return cls(head_dim)

    def gate(self, query: Float[Tensor, "batch heads rows head_dim"]) -> Float[Tensor, "batch heads rows 1"]:
        """How open each head is for each query, in (0, 1)."""
        return torch.sigmoid(self.openness(query))

    def weights(
        self,
        query: Float[Tensor, "batch heads queries head_dim"],
        key: Float[Tensor, "batch kv_heads keys head_dim"],
        mask: Mask = everything,
        *,
        bias: Float[Tensor, "#batch #heads #queries #keys"] | None = None,
        rows: range | None = None,
    ) -> Float[Tensor, "batch heads rows keys"]:
        of_rows = query if rows is None else query[:, :, rows.start : rows.stop]
        return self.gate(of_rows) * self.inner.weights(query, key, mask, bias=bias, rows=rows)

    def attend(self, call: Call, backend: str = "auto") -> Float[Tensor, "batch heads queries value_dim"]:
        """The inner mechanism by any backend, then the gate."""
        return self.gate(call.query) * self.inner.attend(replace(call, mechanism=self.inner), backend)

    def plan(self, call: Call) -> Plan:
        """That of the inner mechanism."""
        return self.inner.plan(replace(call, mechanism=self.inner))
