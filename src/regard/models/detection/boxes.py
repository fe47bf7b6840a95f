"""Boxes as numbers: (xmin, ymin, xmax, ymax) in pixels, from the upper left corner of a picture."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Boxes = Float[Tensor, "*#shape 4"]
SMALLEST = 1e-2
"""Pixels that a side has at least, where it is divided by."""
LARGEST_STEP = 3.0
"""Of the logarithm of a side."""


def iou(one: Boxes, other: Boxes) -> Float[Tensor, "*#shape"]:
    """Area that two boxes share, of the area of both; the shapes before the last side are broadcast."""
    shared, union = _areas(one, other)
    return shared / union


def generalised_iou(one: Boxes, other: Boxes) -> Float[Tensor, "*#shape"]:
    """IoU − the share of the smallest box around both that neither covers; Rezatofighi et al. 2019, arXiv:1902.09630."""
    shared, union = _areas(one, other)
    around = _area(torch.cat([torch.minimum(one, other)[..., :2], torch.maximum(one, other)[..., 2:]], -1))
    return shared / union - (around - union) / around.clamp(min=SMALLEST**2)


def from_middles(boxes: Boxes) -> Boxes:
    """Of (x, y, width, height), x and y of their middles."""
    middle, side = boxes.split(2, -1)
    return torch.cat([middle - side / 2, middle + side / 2], -1)


def to_middles(boxes: Boxes) -> Boxes:
    """(x, y, width, height), x and y of their middles."""
    low, high = boxes.split(2, -1)
    return torch.cat([(low + high) / 2, high - low], -1)


def moved(boxes: Boxes, steps: Boxes) -> Boxes:
    """Middles moved by shares of the sides, and sides by factors e^step; Girshick et al. 2014, arXiv:1311.2524, eq. 1-4."""
    middle, side = to_middles(boxes).split(2, -1)
    side = side.clamp(min=SMALLEST)
    along, growth = steps.split(2, -1)
    growth = growth.clamp(-LARGEST_STEP, LARGEST_STEP)
    return from_middles(torch.cat([middle + along * side, side * growth.exp()], -1))


def clipped(boxes: Float[Tensor, "batch boxes 4"], sizes: Tensor) -> Float[Tensor, "batch boxes 4"]:
    """What of the boxes lies in the pictures, which are of `sizes` (height, width)."""
    return boxes.clamp(min=0).minimum(corners(sizes)[:, None].to(boxes.dtype))


def corners(sizes: Tensor) -> Tensor:
    """Of (height, width): (width, height, width, height), what boxes in pixels are divided by."""
    return sizes.flip(-1).repeat(*[1] * (sizes.dim() - 1), 2)


def holds(
    boxes: Float[Tensor, "batch boxes 4"], points: Float[Tensor, "#batch points 2"]
) -> Bool[Tensor, "batch boxes points"]:
    """Which points lie in which boxes."""
    low, high = boxes[:, :, None, :2], boxes[:, :, None, 2:]
    return ((points[:, None] >= low) & (points[:, None] <= high)).all(-1)


def _areas(one: Boxes, other: Boxes) -> tuple[Tensor, Tensor]:
    """Of what is shared, and of both together."""
    shared = _area(torch.cat([torch.maximum(one, other)[..., :2], torch.minimum(one, other)[..., 2:]], -1))
    return shared, (_area(one) + _area(other) - shared).clamp(min=SMALLEST**2)


def _area(boxes: Boxes) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)
