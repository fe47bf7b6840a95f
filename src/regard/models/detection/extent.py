"""What of a batch of padded pictures is picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from regard.errors import InputError

STRIDES = 8, 16, 32
"""Pixels of a side that a cell of each map stands for."""


@dataclass(frozen=True)
class Extent:
    """The pictures fill `sizes` (height, width) of the canvas, from its upper left corner on."""

    sizes: Int[Tensor, "batch 2"]
    height: int
    width: int
    is_padded: bool
    """False where all fill it, and nothing needs to be covered."""
    _known: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What `inside` found: many layers ask for the same."""

    @classmethod
    def of(cls, pixels: Float[Tensor, "batch channels height width"], sizes: Int[Tensor, "batch 2"]) -> Extent:
        """Raises InputError unless maps of all strides fit the canvas."""
        height, width = pixels.shape[2:]
        if height % STRIDES[-1] or width % STRIDES[-1]:
            raise InputError(f"pictures must be padded to multiples of {STRIDES[-1]} pixels, got {height}×{width}.")
        is_padded = torch.compiler.is_compiling() or bool((sizes != sizes.new_tensor([height, width])).any())
        return cls(sizes, height, width, is_padded)

    @property
    def side(self) -> Float[Tensor, " 4"]:
        """Width and height of the canvas, twice: what boxes in pixels are divided by to be shares of it."""
        return torch.tensor([self.width, self.height] * 2, dtype=torch.float32, device=self.sizes.device)

    def inside(self, stride: int) -> Bool[Tensor, "batch 1 rows columns"]:
        """Cells of a map that have something of the picture."""
        if stride not in self._known:
            rows, columns = (torch.arange(0, side, stride, device=self.sizes.device) for side in (self.height, self.width))
            height, width = self.sizes[:, :, None, None, None].unbind(1)
            self._known[stride] = (rows[:, None] < height) & (columns < width)
        return self._known[stride]

    def places(self) -> Iterator[tuple[Tensor, int]]:
        """Of each map the middles (x, y) of its cells in pixels, row by row, and its stride."""
        for stride in STRIDES:
            y, x = (torch.arange(0, side, stride, device=self.sizes.device) + stride / 2 for side in (self.height, self.width))
            yield torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1), stride

    def cover(self, x: Float[Tensor, "batch channels rows columns"]) -> Float[Tensor, "batch channels rows columns"]:
        """Zeros where no picture is, so that a convolution sees there what it sees beyond the canvas."""
        return x * self.inside(self.height // x.shape[2]).to(x.dtype) if self.is_padded else x
