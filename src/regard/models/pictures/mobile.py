"""Small networks whose ImageNet weights are to be had: inverted residual blocks, without a head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of red, green and blue, of pixels from 0 to 1."""


class Stage(NamedTuple):
    """Blocks of the same width, of which the first has the stride."""

    expand: int
    channels: int
    num_blocks: int
    stride: int
    kernel_size: int = 3


@dataclass(frozen=True)
class Plan:
    """All that tells one network of this kind from another."""

    stages: tuple[Stage, ...]
    epsilon: float = 1e-5
    momentum: float = 0.1
    is_lopsided: bool = False
    """Is a picture padded as in TensorFlow?"""
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET


MOBILENET_V2 = Plan(
    (
        Stage(1, 16, 1, 1),
        Stage(6, 24, 2, 2),
        Stage(6, 32, 3, 2),
        Stage(6, 64, 4, 2),
        Stage(6, 96, 3, 1),
        Stage(6, 160, 3, 2),
        Stage(6, 320, 1, 1),
    )
)
"""Sandler et al. 2018, arXiv:1801.04381, table 2; names and order of its weights are torchvision's."""

EFFICIENTNET_LITE0 = Plan(
    (
        Stage(1, 16, 1, 1),
        Stage(6, 24, 2, 2),
        Stage(6, 40, 2, 2, 5),
        Stage(6, 80, 3, 2),
        Stage(6, 112, 3, 1, 5),
        Stage(6, 192, 4, 2, 5),
        Stage(6, 320, 1, 1),
    ),
    epsilon=1e-3,
    momentum=0.01,
    is_lopsided=True,
    normalisation=((127 / 255,) * 3, (128 / 255,) * 3),
)
"""EfficientNet-B0 (Tan and Le 2019, arXiv:1905.11946) without gates and with relu6, as its authors made it for phones."""

PLANS = {"mobilenet-v2": MOBILENET_V2, "efficientnet-lite0": EFFICIENTNET_LITE0}
STEM, WIDTH = 32, 1280
"""Channels of the first convolution, and of the last."""


class InvertedResidual(nn.Module):
    """Widen, convolve each channel by itself, narrow; added to x where the shape is kept."""

    def __init__(self, plan: Plan, in_channels: int, stage: Stage, stride: int) -> None:
        super().__init__()
        wide = in_channels * stage.expand
        widen = [conv_norm(plan, in_channels, wide, 1)] if stage.expand > 1 else []
        depthwise = conv_norm(plan, wide, wide, stage.kernel_size, stride, groups=wide)
        self.conv = nn.Sequential(*widen, depthwise, *list(conv_norm(plan, wide, stage.channels, 1))[:2])
        self.is_added = stride == 1 and in_channels == stage.channels

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features rows columns"]:
        return x + self.conv(x) if self.is_added else self.conv(x)


class LopsidedConv2d(nn.Conv2d):
    """A convolution whose odd row and column of padding stand below and right, as TensorFlow's SAME has it."""

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features rows columns"]:
        sides = zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True)
        missing = [max(0, (-(-side // stride) - 1) * stride + kernel - side) for side, kernel, stride in sides]
        return super().forward(pad(x, [part for one in missing for part in (one // 2, one - one // 2)]))


def mobile_network(plan: Plan) -> nn.Sequential:
    """The layers from pixels of three channels to a map of 1280, with a side of a 32nd."""
    return nn.Sequential(conv_norm(plan, 3, STEM, 3, 2), *_blocks(plan), conv_norm(plan, plan.stages[-1].channels, WIDTH, 1))


def _blocks(plan: Plan) -> Iterator[nn.Module]:
    widths = [STEM, *(stage.channels for stage in plan.stages)]
    for stage, (before, _) in zip(plan.stages, pairwise(widths), strict=True):
        for number in range(stage.num_blocks):
            yield InvertedResidual(plan, stage.channels if number else before, stage, 1 if number else stage.stride)


def conv_norm(
    plan: Plan, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, *, groups: int = 1
) -> nn.Sequential:
    """A convolution, its norm, relu6."""
    if plan.is_lopsided and stride > 1:
        conv: nn.Conv2d = LopsidedConv2d(in_channels, out_channels, kernel_size, stride, groups=groups, bias=False)
    else:
        conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)
    norm = nn.BatchNorm2d(out_channels, plan.epsilon, plan.momentum)
    return nn.Sequential(conv, norm, nn.ReLU6(inplace=True))
