"""The half of a gan that paints."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from regard.models.options import GanOptions
from regard.models.painting.blocks import Features, Up, attention_of, bound, convolution
from regard.models.painting.painter import Classes, Noise, PaintSizes, Pixels


class ConditionalNorm(nn.Module):
    """Batch norm, with a gain and a bias of each class; Dumoulin et al. 2017, arXiv:1610.07629, eq. 5. Without, one for all."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        count = max(1, num_classes)
        self.gain, self.bias = nn.Parameter(torch.ones(count, channels)), nn.Parameter(torch.zeros(count, channels))

    def forward(self, x: Features, classes: Classes | None = None) -> Features:
        rows = slice(None) if classes is None else classes
        return self.norm(x) * _of_channels(self.gain[rows]) + _of_channels(self.bias[rows])


class Generator(nn.Module):
    """Noise → the smallest map → maps twice as large each, some of which look at themselves → pixels.

    Residual blocks of Miyato et al. 2018, arXiv:1802.05957, attention of Zhang et al. 2019, arXiv:1805.08318.
    """

    def __init__(self, options: GanOptions, sizes: PaintSizes) -> None:
        super().__init__()
        self.sides = sizes.sides(options.widths)
        widths = list(options.widths)
        self.first = nn.Linear(options.d_latent, widths[0] * self.sides[0] ** 2)
        norm = partial(ConditionalNorm, num_classes=sizes.num_classes)
        self.blocks = nn.ModuleList(Up(low, high, norm) for low, high in pairwise(widths))
        looking = sizes.looking(options.widths, options.attention_at)
        self.attention = nn.ModuleList(
            attention_of(side, width, looking, options.mechanism) for side, width in zip(self.sides, widths, strict=True)
        )
        self.last_norm, self.last = norm(widths[-1]), convolution(widths[-1], sizes.channels)
        if options.is_generator_bounded:
            bound(self)

    def forward(self, noise: Noise, classes: Classes | None = None) -> Pixels:
        condition = [] if classes is None else [classes]
        x = self.attention[0](self.first(noise).unflatten(1, (-1, self.sides[0], self.sides[0])))
        for block, look in zip(self.blocks, self.attention[1:], strict=True):
            x = look(block(x, *condition))
        return self.last(relu(self.last_norm(x, *condition))).tanh()


def _of_channels(x: Float[Tensor, "rows channels"]) -> Float[Tensor, "rows channels 1 1"]:
    return x[:, :, None, None]
