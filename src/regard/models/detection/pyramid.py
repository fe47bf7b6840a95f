"""Maps of three sizes from a network that has learnt from other pictures."""

from __future__ import annotations

from dataclasses import asdict
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import relu6

from regard.models.detection.extent import STRIDES, Extent
from regard.models.options import PretrainedOptions
from regard.models.options.detection import BackboneOptions
from regard.models.pictures.mobile import PLANS, InvertedResidual, Plan
from regard.models.pictures.pretrained import PretrainedBody

Features = Float[Tensor, "batch _ _ _"]


class Pyramid(PretrainedBody):
    """The last map of each stride from 8 to 32. Norms keep the statistics they have: a batch of a detector is too small.

    No map depends on what a picture is padded with, or how far.
    """

    def __init__(self, options: BackboneOptions) -> None:
        super().__init__(PretrainedOptions(**asdict(options)))
        self.taps = _taps(PLANS[options.architecture])
        self.widths = [channels for _, channels in self.taps]
        self.layers = self.layers[: self.taps[-1][0] + 1]
        self.network = nn.Sequential(*self.layers)

    def forward(self, pixels: Float[Tensor, "batch 3 height width"], extent: Extent) -> list[Features]:
        """Maps with sides of an 8th, a 16th and a 32nd."""
        x = extent.cover(pixels).contiguous(memory_format=torch.channels_last)
        maps = []
        taps = {number for number, _ in self.taps}
        for number, layer in enumerate(self.layers):
            x = _residual(layer, x, extent) if isinstance(layer, InvertedResidual) else _active(layer, x, extent)
            if number in taps:
                maps.append(x)
        return maps


def _taps(plan: Plan) -> list[tuple[int, int]]:
    """Of each stride the number of its last layer, counted from the stem, and its channels."""
    strides = accumulate((stage.stride for stage in plan.stages), lambda one, other: one * other, initial=2)
    last = accumulate((stage.num_blocks for stage in plan.stages), initial=0)
    widths = (0, *(stage.channels for stage in plan.stages))
    found = {stride: (number, width) for stride, number, width in zip(strides, last, widths, strict=True)}
    return [found[stride] for stride in STRIDES]


def _residual(block: InvertedResidual, x: Features, extent: Extent) -> Features:
    """The block, with zeros beyond the pictures wherever a convolution may see them."""
    *inner, conv, norm = block.conv
    y = x
    for part in inner:
        y = _active(part, y, extent)
    y = _folded(conv, norm, y)
    return x + y if block.is_added else y


def _active(layer: Any, x: Features, extent: Extent) -> Features:
    """A convolution, its norm, relu6."""
    conv, norm, _ = layer
    y = _folded(conv, norm, x)
    if extent.is_padded and conv.groups == 1:
        y = y.mul_(extent.inside(extent.height // y.shape[2]))  # what follows looks around; not so behind depthwise ones
    return relu6(y, inplace=True)


def _folded(conv: Any, norm: Any, x: Features) -> Features:
    """norm(conv(x)) of a norm that keeps its statistics, as one convolution: a fifth less time than as two layers."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    changed = {"weight": conv.weight * scale[:, None, None, None], "bias": norm.bias - norm.running_mean * scale}
    return functional_call(conv, changed, (x,))
