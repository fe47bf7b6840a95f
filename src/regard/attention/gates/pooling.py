"""One vector for a whole sequence, by attention."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.attention.masks import Mask, everything
from regard.attention.mechanism import Mechanism
from regard.attention.multihead import MultiHeadAttention


class AttentionPool(nn.Module):
    """multihead(s, x, x) with a learned query s; the attention of Lee et al. 2019, arXiv:1810.00825, eq. 11 for k = 1.

    Without the layer norms and feed-forward layers that the paper and timm's AttentionPoolLatent put around it. A
    sequence of which the mask permits nothing gives what an all-zero sum gives: the bias of the output.
    """

    def __init__(self, d_model: int, num_heads: int, *, mechanism: str | Mechanism = "softmax", backend: str = "auto") -> None:
        super().__init__()
        self.attention = MultiHeadAttention(d_model, num_heads, mechanism=mechanism, backend=backend)
        self.query = nn.Parameter(torch.randn(d_model) * d_model**-0.5)

    def forward(self, x: Float[Tensor, "batch length d_model"], mask: Mask = everything) -> Float[Tensor, "batch d_model"]:
        query = self.query.expand(x.shape[0], 1, -1)  # len() would be a fixed number in an export
        return self.attention(query, x, mask).squeeze(1)
