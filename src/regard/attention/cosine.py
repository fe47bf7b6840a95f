"""Attention by the angle between query and key, also called QK-norm."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from regard.attention.mechanism import Dot
from regard.attention.normalizers.normalizer import Normalizer


class Cosine(Dot):
    """softmax(g · cos(query, key)), g learned; Henry et al. 2020, arXiv:2010.04245, eq. 4. One g serves all heads."""

    def __init__(self, scale: float = 10.0, normalize: str | Normalizer = "softmax") -> None:
        super().__init__(1.0, normalize)
        self.gain = nn.Parameter(torch.tensor(scale))

    def vectors(
        self, query: Float[Tensor, "batch heads queries head_dim"], key: Float[Tensor, "batch kv_heads keys head_dim"]
    ) -> tuple[Tensor, Tensor]:
        query, key = (F.normalize(x, dim=-1, eps=max(1e-12, torch.finfo(x.dtype).tiny)) for x in (query, key))
        return query * self.gain.to(query.dtype), key
