"""Scaled dot-product attention."""

from jaxtyping import Float
from torch import Tensor

from regard.attention.mechanism import Scored


class ScaledDot(Scored):
    """softmax(scale · query keyᵀ), scale 1/√head_dim unless given; Vaswani et al. 2017, arXiv:1706.03762, eq. 1."""

    def __init__(self, scale: float | None = None, normalizer: str = "softmax") -> None:
        super().__init__(normalizer)
        self.scale = scale

    def score(
        self, query: Float[Tensor, "batch heads rows head_dim"], key: Float[Tensor, "batch heads keys head_dim"]
    ) -> Float[Tensor, "batch heads rows keys"]:
        scale = query.shape[-1] ** -0.5 if self.scale is None else self.scale
        return query @ key.mT * scale
