"""From the maps of a network to maps of one width that know of one another; Zhao et al. 2024, arXiv:2304.08069, sec. 4.2."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate

from regard.attention.masks import dense, everything
from regard.attention.multihead import MultiHeadAttention
from regard.models.blocks import hide
from regard.models.detection.extent import Extent
from regard.models.detection.waves import waves
from regard.models.options.detection import DetectorOptions
from regard.models.pictures.heads import map_of, places_of
from regard.models.transformer import FeedForward

Features = Float[Tensor, "batch _ _ _"]
BASE = 100.0
"""Of the sines of places: a map has some tens of rows and columns."""


class Encoder(nn.Module):
    """Places of the smallest map look at one another; then each map is joined to the one below it, and to the one above."""

    def __init__(self, widths: list[int], options: DetectorOptions) -> None:
        super().__init__()
        d_model, steps = options.d_model, range(len(widths) - 1)
        self.inputs = nn.ModuleList(Projection(width, d_model) for width in widths)
        self.looks = Looking(options)
        self.downward = nn.ModuleList(Mixing(d_model) for _ in steps)
        self.upward = nn.ModuleList(Mixing(d_model) for _ in steps)
        self.halves = nn.ModuleList(Halving(d_model) for _ in steps)

    def forward(self, maps: list[Features], extent: Extent) -> list[Features]:
        """Maps of the same sizes, each of d_model channels."""
        *lower, top = (project(one) for project, one in zip(self.inputs, maps, strict=True))
        fine = [self.looks(top, extent)]
        for mix, one in zip(self.downward, reversed(lower), strict=True):
            fine.append(mix(one + interpolate(fine[-1], scale_factor=2.0), extent))
        finest, *rest = reversed(fine)
        made = [finest]
        for mix, halve, one in zip(self.upward, self.halves, rest, strict=True):
            made.append(mix(one + halve(made[-1], extent), extent))
        return made


class Projection(nn.Sequential):
    """Other channels at each place, normalised."""

    def __init__(self, width: int, d_model: int) -> None:
        super().__init__(nn.Conv2d(width, d_model, 1, bias=False), ChannelNorm(d_model))


class ChannelNorm(nn.LayerNorm):
    """Layer norm of the channels of each place: no statistics of a batch, or of padding."""

    def forward(self, x: Features) -> Features:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Looking(nn.Module):
    """A Transformer layer over the places of a map; Vaswani et al. 2017, arXiv:1706.03762."""

    def __init__(self, options: DetectorOptions) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(options.d_model, options.num_heads)
        self.feedforward = FeedForward(options.d_model, options.d_feedforward, options.dropout)
        self.attention_norm, self.feedforward_norm = nn.LayerNorm(options.d_model), nn.LayerNorm(options.d_model)
        self.dropout = options.dropout

    def forward(self, x: Features, extent: Extent) -> Features:
        rows, columns = x.shape[2:]
        inside = extent.inside(extent.height // rows).flatten(2)[:, :, None]
        mask = dense(inside.expand(-1, -1, rows * columns, -1)) if extent.is_padded else everything
        states = places_of(x)
        looked = self.attention(states + _grid(x), mask=mask)
        states = self.attention_norm(states + hide(looked, self.dropout, self.training))
        made = hide(self.feedforward(states), self.dropout, self.training)
        return map_of(self.feedforward_norm(states + made), columns)


class Mixing(nn.Module):
    """x + W₂ gelu(W₁ norm(5 × 5 of each channel by itself)); Liu et al. 2022 (ConvNeXt), arXiv:2201.03545, figure 4."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.norm = ChannelNorm(channels)
        self.up, self.down = nn.Conv2d(channels, 2 * channels, 1), nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Features, extent: Extent) -> Features:
        return x + self.down(gelu(self.up(self.norm(self.around(extent.cover(x))))))


class Halving(nn.Module):
    """A map of half the sides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(channels, channels, 3, 2, padding=1, groups=channels)
        self.project = Projection(channels, channels)

    def forward(self, x: Features, extent: Extent) -> Features:
        return self.project(self.around(extent.cover(x)))


def _grid(x: Features) -> Float[Tensor, "places channels"]:
    """Column and row of each place as waves."""
    rows, columns = (torch.arange(side, dtype=x.dtype, device=x.device) for side in x.shape[2:])
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).flatten(0, 1)
    return waves(grid, x.shape[1], BASE)
