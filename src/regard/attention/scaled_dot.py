"""Scaled dot-product attention."""

from regard.attention.mechanism import Dot


class ScaledDot(Dot):
    """softmax(scale · query keyᵀ), scale 1/√head_dim unless given; Vaswani et al. 2017, arXiv:1706.03762, eq. 1."""
