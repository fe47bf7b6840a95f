"""Additive attention."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.attention.mechanism import Mechanism, Scored
from regard.attention.normalizers.normalizer import Normalizer


class Additive(Scored):
    """softmax(vᵀ tanh(W query + U key)); Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2.

    One (W, U, v) serves all heads. O(rows · keys · hidden) memory while a block of rows is scored.
    """

    def __init__(self, head_dim: int, hidden: int | None = None, normalize: str | Normalizer = "softmax") -> None:
        super().__init__(normalize)
        self.pair_width = hidden or head_dim
        self.from_query = nn.Linear(head_dim, self.pair_width, bias=False)
        self.from_key = nn.Linear(head_dim, self.pair_width, bias=False)
        self.energy = nn.Linear(self.pair_width, 1, bias=False)

    @classmethod
    def for_heads(cls, head_dim: int, num_heads: int = 1) -> Mechanism:
        return cls(head_dim)

    def score(
        self, query: Float[Tensor, "batch heads rows head_dim"], key: Float[Tensor, "batch heads keys head_dim"]
    ) -> Float[Tensor, "batch heads rows keys"]:
        pair = self.from_query(query)[:, :, :, None] + self.from_key(key)[:, :, None]
        return self.energy(torch.tanh(pair)).squeeze(-1)
