"""Bilinear attention, also called general or multiplicative."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from regard.attention.mechanism import Dot, Mechanism
from regard.attention.normalizers.normalizer import Normalizer


class Bilinear(Dot):
    """softmax(queryᵀ W key), unscaled; Luong et al. 2015, arXiv:1508.04025, eq. 8 ("general"). One W serves all heads."""

    def __init__(self, head_dim: int, normalize: str | Normalizer = "softmax") -> None:
        super().__init__(1.0, normalize)
        self.between = nn.Linear(head_dim, head_dim, bias=False)

    @classmethod
    def for_heads(cls, head_dim: int, num_heads: int = 1) -> Mechanism:
        return cls(head_dim)

    def vectors(
        self, query: Float[Tensor, "batch heads queries head_dim"], key: Float[Tensor, "batch kv_heads keys head_dim"]
    ) -> tuple[Tensor, Tensor]:
        return self.between(query), key
