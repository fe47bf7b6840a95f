"""The two networks of a variational autoencoder: pictures → few numbers, numbers → pictures."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from regard.errors import InputError
from regard.models.options import VaeOptions
from regard.models.painting.blocks import Features, attention_of, convolution
from regard.models.painting.likelihood import Logistic
from regard.models.painting.painter import Classes, PaintSizes, Pixels

Latent = Float[Tensor, "batch d_latent"]
LEAST_STD = 1e-4
FIRST_SCALE, LEAST_LOG_SCALE = 0.1, -7.0
"""Of the logistic of a value: before it is learned, and what it stays above, so that one value cannot cost without end."""


class Posterior(NamedTuple):
    """A normal distribution of each number of each picture."""

    mean: Latent
    std: Latent

    def at(self, draw: Float[Tensor, "#batch d_latent"]) -> Latent:
        """The numbers that standard normal ones stand for."""
        return self.mean + self.std * draw

    def divergences(self) -> Latent:
        """Nats from the standard normal distribution to that of each number."""
        return 0.5 * (self.mean.square() + self.std.square() - 1) - self.std.log()


class Encoder(nn.Module):
    """Residual blocks whose maps become smaller; the last one is mixed into numbers."""

    def __init__(self, options: VaeOptions, sizes: PaintSizes) -> None:
        super().__init__()
        self.stem = convolution(sizes.channels, options.widths[-1])
        self.classes = ClassBias(sizes.num_classes, options.widths[-1])
        self.body = nn.Sequential(OrderedDict(stages(options, sizes, is_growing=False)))
        self.head = nn.Linear(options.widths[0] * smallest(options, sizes) ** 2, 2 * options.d_latent)

    def forward(self, pixels: Pixels, classes: Classes | None) -> Posterior:
        features = self.body(self.classes(self.stem(pixels), classes)).flatten(1)
        mean, spread = in_full(self.head, features).chunk(2, 1)
        return Posterior(mean, softplus(spread) + LEAST_STD)


class Decoder(nn.Module):
    """Numbers become the smallest map, and residual blocks larger ones: a distribution of each value of a picture."""

    def __init__(self, options: VaeOptions, sizes: PaintSizes) -> None:
        super().__init__()
        self.side = smallest(options, sizes)
        width = options.widths[0] * self.side**2
        self.first, self.classes = nn.Linear(options.d_latent, width), ClassBias(sizes.num_classes, width)
        self.body = nn.Sequential(OrderedDict(stages(options, sizes, is_growing=True)))
        self.last = convolution(options.widths[-1], sizes.channels * (2 if options.scale == "pixel" else 1))
        self.spread = nn.Parameter(torch.full((sizes.channels, 1, 1), math.log(FIRST_SCALE) - LEAST_LOG_SCALE))

    def forward(self, latent: Latent, classes: Classes | None) -> Logistic:
        features = self.classes(in_full(self.first, latent), classes)
        told = in_full(self.last, self.body(features.unflatten(1, (-1, self.side, self.side))))
        centre, spread = told.tensor_split([len(self.spread)], 1)
        spread = self.spread + spread if spread.numel() else self.spread.unsqueeze(0)
        return Logistic(centre, softplus(spread) + LEAST_LOG_SCALE)


class Residual(nn.Module):
    """conv(relu(norm(conv(relu(norm(x)))))) + short(x), on a map of half or twice the side; He et al. 2016, arXiv:1603.05027.

    The convolution that changes the channels works on the smaller map, at a quarter of the cost.
    """

    def __init__(self, in_channels: int, out_channels: int, *, is_growing: bool) -> None:
        super().__init__()
        self.norms = nn.ModuleList([norm(in_channels), norm(out_channels)])
        self.first = nn.Conv2d(in_channels, out_channels, 3, 1 if is_growing else 2, padding=1)
        self.second, self.short = convolution(out_channels, out_channels), nn.Conv2d(in_channels, out_channels, 1)
        self.grow = nn.Upsample(scale_factor=2.0) if is_growing else nn.Identity()
        self.shrink = nn.Identity() if is_growing else nn.AvgPool2d(2)

    def forward(self, x: Features) -> Float[Tensor, "batch features rows columns"]:
        inner = self.first(relu(self.norms[0](x)))
        inner = self.second(self.grow(relu(self.norms[1](inner))))
        return inner + self.grow(self.short(self.shrink(x)))


class ClassBias(nn.Module):
    """What a class adds to each channel; without classes, nothing."""

    def __init__(self, num_classes: int, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_classes, channels) if num_classes else None

    def forward(self, x: Float[Tensor, "batch channels *places"], classes: Classes | None) -> Tensor:
        if self.embedding is None:
            return x
        if classes is None:
            raise InputError("a model that minds classes needs that of each picture, got none. Name them, or train without.")
        return x + self.embedding(classes).unflatten(1, (-1, *(1 for _ in x.shape[2:])))


def stages(options: VaeOptions, sizes: PaintSizes, *, is_growing: bool) -> Iterator[tuple[str, nn.Module]]:
    """Blocks and attention by their names, from the smallest map to the largest or the other way round."""
    maps = list(zip(sizes.sides(options.widths), options.widths, strict=True))
    looking = sizes.looking(options.widths, options.attention_at)
    before = None
    for side, width in maps if is_growing else reversed(maps):
        if before:
            yield f"block{side}", Residual(before, width, is_growing=is_growing)
        yield f"attention{side}", attention_of(side, width, looking, options.mechanism)
        before = width
    yield from (("norm", norm(width)), ("relu", nn.ReLU()))


def smallest(options: VaeOptions, sizes: PaintSizes) -> int:
    """The side of the smallest map."""
    return sizes.sides(options.widths)[0]


def norm(channels: int) -> nn.GroupNorm:
    """Of each picture by itself, so that what is said of one does not depend on the batch.

    In 8 groups at most, of 4 channels at least: alone, a channel would lose its mean, and with it what a class adds.
    """
    return nn.GroupNorm(math.gcd(8, channels, max(1, channels // 4)), channels)


def in_full(layer: nn.Linear | nn.Conv2d, x: Tensor) -> Tensor:
    """What a layer makes of x in its own precision, whatever the autocast: numbers and pixels are not to be rounded."""
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.to(layer.weight.dtype))
