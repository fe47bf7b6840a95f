"""Training scenes, changed anew each time: one affine map that boxes follow, colours, and four pictures in one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from regard.models.detection.targets import IGNORED
from regard.models.options import SceneAugmentOptions
from regard.tasks.detect.scenes import Sample
from regard.tasks.pictures.colours import COLOURS

GREY = 0.5
LEAST_VISIBLE = 0.4
"""Share of a box that must still be seen for it to be looked for; of less, it is neither right nor wrong to find it."""
SMALLEST = 1.0
"""Pixels of a side."""
CHANGED = "brightness", "contrast", "colour"


def augmented(samples: Sequence[Sample], options: SceneAugmentOptions) -> list[Sample]:
    """Each moved and coloured, some replaced by four of them in one."""
    moved = [_coloured(_moved(sample, options), options.colour) for sample in samples]
    is_mosaic = torch.rand(len(samples)) < options.mosaic
    return [
        mosaic(_four(moved, place)) if is_mosaic[place] and min(one.pixels.shape[1:]) > 1 else one
        for place, one in enumerate(moved)
    ]


def _four(samples: Sequence[Sample], first: int) -> list[Sample]:
    others = torch.randint(len(samples), (3,)).tolist()
    return [samples[place] for place in (first, *others)]


def _moved(sample: Sample, options: SceneAugmentOptions) -> Sample:
    """Made larger or smaller, stretched, mirrored, and put somewhere."""
    zoom = _between(-math.log(options.zoom), math.log(options.zoom)).exp()
    stretch = _between(-math.log(options.stretch), math.log(options.stretch)).mul(0.5).exp()
    size = torch.stack([zoom * stretch, zoom / stretch])  # of the picture, in canvases, across and down
    mirror = torch.tensor([_sign(options.flip), _sign(options.turn)])
    shift = (1 - 1 / size) * (2 * torch.rand(2) - 1)
    return moved(sample, mirror / size, shift)


def _between(low: float, high: float) -> Tensor:
    return torch.empty(()).uniform_(low, high)


def _sign(is_asked: bool) -> float:
    return 1.0 - 2.0 * float(is_asked and torch.rand(()) < 0.5)


def moved(sample: Sample, scale: Tensor, shift: Tensor) -> Sample:
    """What stands at u, from −1 to 1 along each side (across, down), stood at scale · u + shift; with grey around."""
    _, height, width = sample.pixels.shape
    maps = torch.zeros(1, 2, 3)
    maps[0, 0, 0], maps[0, 1, 1], maps[0, :, 2] = scale[0], scale[1], shift
    grid = affine_grid(maps, [1, 1, height, width], align_corners=False)
    pixels = grid_sample(sample.pixels[None] - GREY, grid, align_corners=False)[0] + GREY
    sides = torch.tensor([width, height], dtype=torch.float)
    corners = (sample.boxes.view(-1, 2, 2) / sides * 2 - 1 - shift) / scale
    corners = (corners.sort(1).values + 1) / 2 * sides
    return _visible(Sample(pixels, corners.flatten(1), sample.classes))


def _visible(sample: Sample) -> Sample:
    """Boxes cut at the sides of the picture; those that are hardly seen are not to be looked for."""
    _, height, width = sample.pixels.shape
    limits = torch.tensor([width, height, width, height], dtype=torch.float)
    cut = sample.boxes.clamp(min=0).minimum(limits)
    area, before = (((one[:, 2:] - one[:, :2]).clamp(min=0)).prod(1) for one in (cut, sample.boxes))
    classes = torch.where(area < LEAST_VISIBLE * before, IGNORED, sample.classes)
    is_kept = (cut[:, 2:] - cut[:, :2] >= SMALLEST).all(1)
    return sample.with_boxes(cut[is_kept], classes[is_kept])


def mosaic(samples: Sequence[Sample]) -> Sample:
    """Four pictures side by side in the place of the first, which has two pixels or more in each direction."""
    _, height, width = samples[0].pixels.shape
    rows, columns = (height // 2, height - height // 2), (width // 2, width - width // 2)
    pixels, boxes = torch.empty_like(samples[0].pixels), []
    for place, sample in enumerate(samples):
        down, across = divmod(place, 2)
        top, left, high, wide = down * rows[0], across * columns[0], rows[down], columns[across]
        small = interpolate(sample.pixels[None], (high, wide), mode="bilinear", antialias=True)[0]
        pixels[:, top : top + high, left : left + wide] = small
        scale = torch.tensor([wide / sample.pixels.shape[2], high / sample.pixels.shape[1]] * 2)
        boxes.append(sample.boxes * scale + torch.tensor([left, top] * 2))
    return _visible(Sample(pixels, torch.cat(boxes), torch.cat([sample.classes for sample in samples])))


def _coloured(sample: Sample, most: float) -> Sample:
    pixels = sample.pixels[None]
    for name in CHANGED if most else ():
        pixels = COLOURS[name](pixels, most * (2 * torch.rand(1, 1, 1, 1) - 1)).clamp(0, 1)
    return Sample(pixels[0], sample.boxes, sample.classes)
