"""A small residual network, with gates or without."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, log2

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from regard.attention.gates import Block
from regard.catalog import GATES, load
from regard.errors import InputError
from regard.models.classifier import Classifier, ImageSizes
from regard.models.options import ClassifierOptions, ConvolutionalOptions
from regard.models.pictures.heads import Head, pool_named

LARGEST = 48
"""Rows and columns that the first stage gets at most."""


class ResidualBlock(nn.Module):
    """x + gate(conv(relu(norm(conv(relu(norm(x))))))); He et al. 2016, arXiv:1603.05027, fig. 4e.

    Where the block halves the sides or has other channels, x on the way past it is averaged over 2 × 2 places and mixed;
    He et al. 2019 (ResNet-D), arXiv:1812.01187.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, gate: str) -> None:
        super().__init__()
        self.norm, self.last_norm = nn.BatchNorm2d(in_channels), nn.BatchNorm2d(channels)
        self.conv, self.last_conv = convolution(in_channels, channels, stride), convolution(channels, channels)
        self.gate = gate_named(gate, channels)
        self.relu = nn.ReLU(inplace=True)
        pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        is_kept = stride == 1 and in_channels == channels
        self.past = nn.Identity() if is_kept else nn.Sequential(pool, nn.Conv2d(in_channels, channels, 1, bias=False))
        # A block begins as if it were not there. No norm stands last here, and behind one of scale 0 the relu would be dead.
        nn.init.zeros_(self.last_conv.weight)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features rows columns"]:
        ready = self.relu(self.norm(x))
        changed = self.last_conv(self.relu(self.last_norm(self.conv(ready))))
        return self.past(x if isinstance(self.past, nn.Identity) else ready) + self.gate(changed)


class ConvolutionalClassifier(Classifier):
    """Stages of residual blocks, each with half the sides of the one before.

    Pictures above 48 pixels are halved before, by convolutions of the first width.
    """

    def __init__(self, options: ClassifierOptions, sizes: ImageSizes) -> None:
        super().__init__(sizes, options.label_smoothing)
        chosen = options.convolutional
        width = chosen.widths[-1]
        layers = *stem(sizes, chosen.widths[0]), *stages(chosen), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.body = nn.Sequential(*layers)
        convert_conv2d_weight_memory_format(self.body, torch.channels_last)
        self.head = Head(pool_named(chosen.pool, width), width, sizes.num_classes, options.dropout)

    def features(self, pixels: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features rows columns"]:
        return self.body(pixels)


def stem(sizes: ImageSizes, width: int) -> Iterator[nn.Module]:
    """Convolutions that halve a large picture, and one that does not."""
    channels = sizes.channels
    for _ in range(max(0, ceil(log2(max(sizes.height, sizes.width) / LARGEST)))):
        yield nn.Sequential(convolution(channels, width, 2), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        channels = width
    yield convolution(channels, width)


def stages(options: ConvolutionalOptions) -> Iterator[nn.Module]:
    """The residual blocks, and the gates that stand between them."""
    channels = options.widths[0]
    inner = options.gate if options.gated == "blocks" else "none"
    for stage, width in enumerate(options.widths):
        for block in range(options.num_blocks):
            yield ResidualBlock(channels, width, 2 if stage and not block else 1, inner)
            channels = width
        is_last = stage == len(options.widths) - 1
        if options.gated == "stages" or (options.gated == "last" and is_last):
            yield gate_named(options.gate, width)


def gate_named(name: str, channels: int) -> nn.Module:
    """A gate by its name in the catalog or by import path; "none" lets everything pass."""
    if name == "none":
        return nn.Identity()
    kind = load(GATES, name)
    if not (isinstance(kind, type) and issubclass(kind, Block)):
        raise InputError(f"gate must name a class of regard.attention.gates.Block, got {name!r}.")
    return kind.for_channels(channels)


def convolution(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """3 × 3, without a bias, since a norm follows."""
    made = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
    nn.init.kaiming_normal_(made.weight, mode="fan_out", nonlinearity="relu")
    return made
