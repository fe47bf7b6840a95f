"""Gates with one number for each channel, from what the whole image holds of it."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor, nn

from regard.attention.gates.gate import Gate, check_counts, reduced
from regard.errors import InputError


class SqueezeExcitation(Gate):
    """map = σ(W₂ relu(W₁ mean(x))); Hu et al. 2018, arXiv:1709.01507, eq. 2-4.

    With biases, which the equations leave out and the common weights have; `bias=False` is the equation to the letter.
    """

    def __init__(self, channels: int, reduction: int = 16, *, bias: bool = True) -> None:
        super().__init__()
        self.mlp = bottleneck(channels, reduction, bias)

    def map(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels 1 1"]:
        return self.mlp(x.mean((2, 3), keepdim=True)).sigmoid()


class EfficientChannel(Gate):
    """map = σ(conv₁(mean(x))), a convolution along the channels; Wang et al. 2020 (ECA), arXiv:1910.03151.

    Its kernel has ψ(channels) weights: the odd number nearest to log₂(channels)/γ + b/γ (eq. 12), where b is `offset`.
    """

    def __init__(self, channels: int, gamma: float = 2.0, offset: float = 1.0) -> None:
        super().__init__()
        check_counts(channels=channels)
        if gamma <= 0:
            raise InputError(f"gamma must be above 0, got {gamma}.")
        kernel_size = nearest_odd(abs(math.log2(channels) + offset) / gamma)
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def map(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels 1 1"]:
        along_channels = self.conv(x.mean((2, 3)).unsqueeze(1)).squeeze(1)
        return along_channels.sigmoid()[:, :, None, None]


class ChannelGate(Gate):
    """map = σ(mlp(mean(x)) + mlp(max(x))), one mlp for both; Woo et al. 2018 (CBAM), arXiv:1807.06521, eq. 2.

    Without biases, as the equation has it.
    """

    def __init__(self, channels: int, reduction: int = 16, *, bias: bool = False) -> None:
        super().__init__()
        self.mlp = bottleneck(channels, reduction, bias)

    def map(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels 1 1"]:
        mean, largest = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        return (self.mlp(mean) + self.mlp(largest)).sigmoid()


def bottleneck(channels: int, reduction: int, bias: bool) -> nn.Sequential:
    """W₂ relu(W₁ x) at each position, with channels / reduction numbers in the middle."""
    width = reduced(channels, reduction)
    return nn.Sequential(nn.Conv2d(channels, width, 1, bias=bias), nn.ReLU(), nn.Conv2d(width, channels, 1, bias=bias))


def nearest_odd(number: float) -> int:
    """The odd number nearest to one that is not negative; an even one goes up, as in the authors' code."""
    return 2 * int(number / 2) + 1
