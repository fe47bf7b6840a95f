"""Heads that exchange scores before the softmax and weights after it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.attention.masks import Mask, everything
from regard.attention.mechanism import Dot, Mechanism
from regard.attention.normalizers.normalizer import Normalizer


class TalkingHeads(Dot):
    """P_w · softmax(P_l · scale · query keyᵀ), P over heads; Shazeer et al. 2020, arXiv:2003.02436, section 4.

    Starts near separate heads. A bias is added to the mixed scores. The mask should be the same for all heads.
    """

    sums_to_one = False
    is_nonnegative = False

    def __init__(self, num_heads: int, scale: float | None = None, normalize: str | Normalizer = "softmax") -> None:
        super().__init__(scale, normalize)
        self.pair_width = 3
        self.of_scores = nn.Parameter(torch.eye(num_heads) + 0.1 * torch.randn(num_heads, num_heads))
        self.of_weights = nn.Parameter(torch.eye(num_heads) + 0.1 * torch.randn(num_heads, num_heads))

    @classmethod
    def for_heads(cls, head_dim: int, num_heads: int = 1) -> Mechanism:
        return cls(num_heads)

    def score(
        self, query: Float[Tensor, "batch heads rows head_dim"], key: Float[Tensor, "batch heads keys head_dim"]
    ) -> Float[Tensor, "batch heads rows keys"]:
        return _mixed(self.of_scores, super().score(query, key))

    def weights(
        self,
        query: Float[Tensor, "batch heads queries head_dim"],
        key: Float[Tensor, "batch kv_heads keys head_dim"],
        mask: Mask = everything,
        *,
        bias: Float[Tensor, "#batch #heads #queries #keys"] | None = None,
        rows: range | None = None,
    ) -> Float[Tensor, "batch heads rows keys"]:
        return _mixed(self.of_weights, super().weights(query, key, mask, bias=bias, rows=rows))


def _mixed(
    by: Float[Tensor, "heads heads"], of_heads: Float[Tensor, "batch heads rows keys"]
) -> Float[Tensor, "batch heads rows keys"]:
    return torch.einsum("hg,bgqk->bhqk", by.to(of_heads.dtype), of_heads)
