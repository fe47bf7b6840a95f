"""Changes of pictures that gradients pass, for real and painted ones alike, so that few pictures are not learnt by heart.

DiffAugment: Zhao et al. 2020, arXiv:2006.10738, section 4: colour, translation, cutout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from regard.models.painting.painter import Pixels

MOVED, CUT = 1 / 8, 1 / 2
"""Shares of a side: how far a picture moves at most, and how long the sides are of what is cut out."""


def changed(pixels: Pixels, names: Sequence[str]) -> Pixels:
    """Each picture by chance of its own."""
    for name in names:
        pixels = CHANGES[name](pixels)
    return pixels


def _colour(pixels: Pixels) -> Pixels:
    """Brightness by up to half of the range, colours up to twice as strong, contrast by half."""
    pixels = pixels + _uniform(pixels, -0.5, 0.5)
    grey = pixels.mean(1, keepdim=True)
    pixels = grey + (pixels - grey) * _uniform(pixels, 0, 2)
    mean = pixels.mean((1, 2, 3), keepdim=True)
    return mean + (pixels - mean) * _uniform(pixels, 0.5, 1.5)


def _move(pixels: Pixels) -> Pixels:
    """By whole pixels, black (−1 is not: 0) where nothing was."""
    side = pixels.shape[2]
    most = round(side * MOVED)
    places = torch.arange(side, device=pixels.device)
    down, right = (torch.randint(0, 2 * most + 1, (len(pixels), 1), device=pixels.device) for _ in range(2))
    rows, columns = places + down, places + right
    batch = torch.arange(len(pixels), device=pixels.device)[:, None, None]
    padded = pad(pixels, [most] * 4).permute(0, 2, 3, 1)
    return padded[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _cut(pixels: Pixels) -> Pixels:
    """A square made grey, which may reach over the edge."""
    side = pixels.shape[2]
    length = round(side * CUT)
    places = torch.arange(side, device=pixels.device)
    first = torch.randint(0, side + 1 - length % 2, (2, len(pixels), 1), device=pixels.device) - length // 2
    inside = (places >= first) & (places < first + length)
    return pixels * ~(inside[0][:, None, :, None] & inside[1][:, None, None, :])


def _uniform(pixels: Pixels, low: float, high: float) -> Tensor:
    return torch.empty(len(pixels), 1, 1, 1, device=pixels.device).uniform_(low, high)


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {"colour": _colour, "move": _move, "cut": _cut}
