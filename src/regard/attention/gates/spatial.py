"""Gates that differ from place to place."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.attention.gates.channel import ChannelGate
from regard.attention.gates.gate import Block, Gate, check_counts, same_size


class SpatialGate(Gate):
    """map = σ(conv([mean(x); max(x)])), both over the channels; Woo et al. 2018 (CBAM), arXiv:1807.06521, eq. 3.

    Without the batch norm that the authors' code adds before σ; once trained, it folds into this weight and bias.
    """

    def __init__(self, kernel_size: int = 7) -> None:
        super().__init__()
        self.conv = same_size(2, 1, kernel_size)

    @classmethod
    def for_channels(cls, channels: int) -> SpatialGate:
        return cls()

    def map(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch 1 height width"]:
        mean, largest = x.mean(1, keepdim=True), x.amax(1, keepdim=True)
        return self.conv(torch.cat([mean, largest], 1)).sigmoid()


class Cbam(Block):
    """spatial(channel(x)), a channel gate and then a spatial one; Woo et al. 2018, arXiv:1807.06521, eq. 1.

    Who watches sees both gates with their maps, each for itself.
    """

    def __init__(self, channels: int, reduction: int = 16, *, kernel_size: int = 7) -> None:
        super().__init__()
        self.channel = ChannelGate(channels, reduction)
        self.spatial = SpatialGate(kernel_size)

    def map(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        """The product of both maps: out = x ⊙ map(x)."""
        by_channel = self.channel.map(x)
        return by_channel * self.spatial.map(x * by_channel)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        return self.spatial(self.channel(x))


class ConvolutionalGate(Gate):
    """map = σ(conv([x; W x])), a number for each feature; the image attention of the source document, section 4.2.

    Corrected, since it does not run as printed:
    - it returned [Σ_channels map ⊙ x; W x], which joins 3 sides to 4; the gated features themselves are returned, the
      128 × 8 × 8 numbers that its classifier expects;
    - `out_channels`, `padding` and `stride` could make map and x differ in shape; the map is always as large as x;
    - its mask multiplied what goes into σ, so that hidden places still passed with σ(0) = ½; `gate(x * mask)` passes
      nothing of them, neither there nor through the convolution to their neighbours.
    """

    def __init__(self, channels: int, kernel_size: int = 7) -> None:
        super().__init__()
        check_counts(channels=channels)
        self.conv = same_size(2 * channels, channels, kernel_size)
        self.mix = nn.Conv2d(channels, channels, 1)

    def map(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        return self.conv(torch.cat([x, self.mix(x)], 1)).sigmoid()
