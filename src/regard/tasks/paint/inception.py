"""The network whose features the Fréchet Inception distance is defined on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Features = Float[Tensor, "batch 2048"]
Map = Float[Tensor, "batch features rows columns"]
Kernel = int | tuple[int, int]
Steps = tuple[tuple[Any, ...], ...]
"""A chain of convolutions: of each its channels and its kernel, or two that read the same."""
POOLED = "branch_pool"
TRIPLE = (64, 1), (96, 3), (96, 3)


class Unit(nn.Module):
    """A convolution, its norm, relu."""

    def __init__(self, in_channels: int, channels: int, kernel: Kernel, stride: int = 1, padding: Kernel = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, padding, bias=False)
        self.bn: Any = nn.BatchNorm2d(channels, eps=1e-3)

    def forward(self, x: Map) -> Map:
        return self.bn(self.conv(x)).relu_()

    def fuse(self) -> None:
        """One convolution in place of both: nothing is learnt any more."""
        self.conv, self.bn = fuse_conv_bn_eval(self.conv, self.bn), nn.Identity()


class Mixed(nn.Module):
    """Chains of convolutions beside one another, their maps joined; the last chain reads a pooled map.

    With a stride of 2, which the last of each chain has, the pooled map is joined as it is.
    """

    def __init__(self, channels: int, pool: nn.Module, chains: dict[str, Steps], stride: int = 1) -> None:
        super().__init__()
        self.pool, self.chains = pool, dict[str, list[list[str]]]()
        for name, steps in chains.items():
            stages = list(_stages(name, channels, steps, stride))
            self.chains[name] = [list(stage) for stage in stages]
            for stage in stages:
                for one, unit in stage.items():
                    self.add_module(one, unit)

    def forward(self, x: Map) -> Map:
        pooled = self.pool(x)
        maps = [one for name in self.chains for one in self._end_of(name, pooled if name == POOLED else x)]
        return torch.cat(maps if POOLED in self.chains else [*maps, pooled], 1)

    def _end_of(self, name: str, x: Map) -> list[Map]:
        maps = [x]
        for names in self.chains[name]:
            maps = [self.get_submodule(one)(maps[0]) for one in names]
        return maps


def _stages(name: str, channels: int, steps: Steps, stride: int) -> Iterator[dict[str, Unit]]:
    """The convolutions of a chain by their names, those together that read the same."""
    widths = [channels, *(step[0] for step in steps)]
    for number, ((before, width), (_, *kernels)) in enumerate(zip(pairwise(widths), steps, strict=True), 1):
        here = f"{name}_{number}" if len(steps) > 1 else name
        names = [f"{here}a", f"{here}b"] if len(kernels) > 1 else [here]
        is_halved = stride > 1 and number == len(steps)
        yield {
            one: Unit(before, width, kernel, stride, 0) if is_halved else Unit(before, width, kernel, 1, _half(kernel))
            for one, kernel in zip(names, kernels, strict=True)
        }


def _half(kernel: Kernel) -> Kernel:
    return kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)


class Inception(nn.Sequential):
    """Inception v3 up to the mean of its last map; Szegedy et al. 2016, arXiv:1512.00567. Its names are torchvision's.

    As it was trained in 2015 and as the distance has it, other than torchvision's: a mean leaves out what is padded, and the
    last block pools by the largest.
    """

    def __init__(self) -> None:
        super().__init__()
        for name, layer in _layers():
            self.add_module(name, layer)

    def forward(self, x: Float[Tensor, "batch 3 299 299"]) -> Features:
        return super().forward(x).mean((2, 3))

    @property
    def units(self) -> dict[str, Unit]:
        """Its convolutions by their names, in order."""
        return {name: layer for name, layer in self.named_modules() if isinstance(layer, Unit)}


def _layers() -> Iterator[tuple[str, nn.Module]]:
    yield "Conv2d_1a_3x3", Unit(3, 32, 3, 2)
    yield "Conv2d_2a_3x3", Unit(32, 32, 3)
    yield "Conv2d_2b_3x3", Unit(32, 64, 3, padding=1)
    yield "maxpool1", nn.MaxPool2d(3, 2)
    yield "Conv2d_3b_1x1", Unit(64, 80, 1)
    yield "Conv2d_4a_3x3", Unit(80, 192, 3)
    yield "maxpool2", nn.MaxPool2d(3, 2)
    for letter, channels, pooled in (("b", 192, 32), ("c", 256, 64), ("d", 288, 64)):
        yield f"Mixed_5{letter}", _mixed_5(channels, pooled)
    yield "Mixed_6a", Mixed(288, nn.MaxPool2d(3, 2), {"branch3x3": ((384, 3),), "branch3x3dbl": TRIPLE}, stride=2)
    for letter, width in (("b", 128), ("c", 160), ("d", 160), ("e", 192)):
        yield f"Mixed_6{letter}", _mixed_6(width)
    sevens = (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3)
    yield "Mixed_7a", Mixed(768, nn.MaxPool2d(3, 2), {"branch3x3": ((192, 1), (320, 3)), "branch7x7x3": sevens}, stride=2)
    yield "Mixed_7b", _mixed_7(1280, _mean())
    yield "Mixed_7c", _mixed_7(2048, nn.MaxPool2d(3, 1, 1))


def _mean() -> nn.Module:
    return nn.AvgPool2d(3, 1, 1, count_include_pad=False)


def _mixed_5(channels: int, pooled: int) -> Mixed:
    chains = {
        "branch1x1": ((64, 1),),
        "branch5x5": ((48, 1), (64, 5)),
        "branch3x3dbl": TRIPLE,
        POOLED: ((pooled, 1),),
    }
    return Mixed(channels, _mean(), chains)


def _mixed_6(width: int) -> Mixed:
    wide, high = (1, 7), (7, 1)
    chains: dict[str, Steps] = {
        "branch1x1": ((192, 1),),
        "branch7x7": ((width, 1), (width, wide), (192, high)),
        "branch7x7dbl": ((width, 1), (width, high), (width, wide), (width, high), (192, wide)),
        POOLED: ((192, 1),),
    }
    return Mixed(768, _mean(), chains)


def _mixed_7(channels: int, pool: nn.Module) -> Mixed:
    wide, high = (1, 3), (3, 1)
    chains: dict[str, Steps] = {
        "branch1x1": ((320, 1),),
        "branch3x3": ((384, 1), (384, wide, high)),
        "branch3x3dbl": ((448, 1), (384, 3), (384, wide, high)),
        POOLED: ((192, 1),),
    }
    return Mixed(channels, pool, chains)
