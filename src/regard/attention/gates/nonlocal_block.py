"""Attention between the positions of an image, added to its features."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.attention.functional import attention
from regard.attention.gates.gate import Block, check_counts, check_features, reduced
from regard.attention.mechanism import Mechanism, mechanism_named
from regard.attention.scaled_dot import ScaledDot


class NonLocal(Block):
    """x + γ W softmax(θ(x) φ(x)ᵀ) g(x), each position looks at all; Wang et al. 2018, arXiv:1711.07971, eq. 1, 6.

    W, θ, φ, g are 1×1 convolutions; γ starts at 0, as the scale of the batch norm after W does there, and the block as
    the identity. `pool` takes the largest of each pool × pool keys and values (section 3.3): pool² times fewer pairs.
    `mechanism="softmax"` is the embedded Gaussian, which does not scale; for 1/√d give it `ScaledDot()`.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 2,
        *,
        value_reduction: int | None = None,
        pool: int = 1,
        mechanism: str | Mechanism = "softmax",
        backend: str = "auto",
    ) -> None:
        super().__init__()
        check_counts(pool=pool)
        width = reduced(channels, reduction)
        value_width = reduced(channels, reduction if value_reduction is None else value_reduction)
        self.query, self.key = (nn.Conv2d(channels, width, 1, bias=False) for _ in range(2))
        self.value = nn.Conv2d(channels, value_width, 1, bias=False)
        self.out = nn.Conv2d(value_width, channels, 1, bias=False)
        self.gain = nn.Parameter(torch.zeros(()))
        # ceil_mode: the last row and column of an odd image stay visible, and a single position is one
        self.pool = nn.MaxPool2d(pool, ceil_mode=True) if pool > 1 else nn.Identity()
        self.mechanism, self.backend = as_mechanism(mechanism, width), backend

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        query = self.query(check_features(x))
        key, value = (self.pool(project(x)) for project in (self.key, self.value))
        query, key, value = (to_tokens(features) for features in (query, key, value))
        seen = attention(query, key, value, mechanism=self.mechanism, backend=self.backend)
        return x + self.gain * self.out(to_features(seen, x.shape[-1]))


class Sagan(NonLocal):
    """x + γ v(softmax(g(x) f(x)ᵀ) h(x)), f key, g query; Zhang et al. 2019 (SAGAN), arXiv:1805.08318, eq. 1-3.

    A non-local block with channels / 8 in f, g and h, as in the paper; the authors' code is `value_reduction=2, pool=2`.
    """

    def __init__(
        self,
        channels: int,
        *,
        value_reduction: int = 8,
        pool: int = 1,
        mechanism: str | Mechanism = "softmax",
        backend: str = "auto",
    ) -> None:
        super().__init__(channels, 8, value_reduction=value_reduction, pool=pool, mechanism=mechanism, backend=backend)


def as_mechanism(mechanism: str | Mechanism, width: int) -> Mechanism:
    """A mechanism of the catalog, or the one given; softmax without a scale."""
    if isinstance(mechanism, Mechanism):
        return mechanism
    return ScaledDot(scale=1.0) if mechanism == "softmax" else mechanism_named(mechanism, width)


def to_tokens(features: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch 1 positions channels"]:
    """Positions row by row, as the tokens of one head."""
    return features.flatten(2).mT.unsqueeze(1)


def to_features(
    tokens: Float[Tensor, "batch 1 positions channels"], width: int
) -> Float[Tensor, "batch channels height width"]:
    """Tokens of one head back in rows of `width` positions."""
    return tokens.squeeze(1).mT.unflatten(2, (-1, width))
