"""Each key by itself."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.attention.normalizers.normalizer import Normalizer


class Sigmoid(Normalizer):
    """σ(score − log n), n the number of permitted keys of the row; Ramapuram et al. 2024, arXiv:2409.04431, eq. 3."""

    sums_to_one = False

    def forward(
        self, scores: Float[Tensor, "batch heads rows keys"], allowed: Bool[Tensor, "#batch #heads rows keys"]
    ) -> Float[Tensor, "batch heads rows keys"]:
        allowed = allowed & (scores != float("-inf"))
        count = allowed.sum(-1, keepdim=True).clamp(min=1).to(scores.dtype)
        return torch.sigmoid(scores - count.log()).masked_fill(~allowed, 0)
