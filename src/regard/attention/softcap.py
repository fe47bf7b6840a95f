"""Scores that cannot grow without bound."""

from regard.attention.mechanism import Dot
from regard.attention.normalizers.normalizer import Normalizer


class SoftCap(Dot):
    """softmax(cap · tanh(scale · query keyᵀ / cap)); Gemma Team 2024, arXiv:2408.00118, section 2."""

    def __init__(self, softcap: float = 50.0, scale: float | None = None, normalize: str | Normalizer = "softmax") -> None:
        super().__init__(scale, normalize, softcap)
