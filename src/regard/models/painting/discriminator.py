"""The half of a gan that tells real pictures from painted ones."""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from regard.models.options import GanOptions
from regard.models.painting.blocks import Down, attention_of, bound, convolution
from regard.models.painting.painter import Classes, PaintSizes, Pixels


class Discriminator(nn.Module):
    """Pixels → maps half as large each, some of which look at themselves → one number, large for what seems real.

    Every product has spectral norm 1. With classes a projection is added, Miyato and Koyama 2018, arXiv:1802.05637, eq. 4.
    """

    def __init__(self, options: GanOptions, sizes: PaintSizes) -> None:
        super().__init__()
        sides = sizes.sides(options.widths)[::-1]
        widths = list(options.widths)[::-1]
        self.first = convolution(sizes.channels, widths[0])
        self.blocks = nn.ModuleList(Down(high, low) for high, low in pairwise(widths))
        looking = sizes.looking(options.widths, options.attention_at)
        self.attention = nn.ModuleList(
            attention_of(side, width, looking, options.mechanism) for side, width in zip(sides, widths, strict=True)
        )
        self.last = nn.Linear(widths[-1], 1)
        self.projection = nn.Embedding(sizes.num_classes, widths[-1]) if sizes.num_classes else None
        bound(self)

    def forward(self, pixels: Pixels, classes: Classes | None = None) -> Float[Tensor, " batch"]:
        x = self.attention[0](self.first(pixels))
        for block, look in zip(self.blocks, self.attention[1:], strict=True):
            x = look(block(x))
        features = relu(x).sum((2, 3))
        score = self.last(features).squeeze(1)
        return score if self.projection is None else score + (self.projection(classes) * features).sum(1)
