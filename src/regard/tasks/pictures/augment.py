"""Training pictures, changed anew each time: all that moves pixels is one affine map a picture, colours come after.

Policies: TrivialAugment, Müller and Hutter 2021, arXiv:2103.10158, table 1 (its wide space), and RandAugment, Cubuk et al.
2020, arXiv:1909.13719. Chance is torch's own, so that a resumed run draws what the run would have drawn.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from regard.models.options import AugmentOptions
from regard.tasks.pictures.colours import COLOURS
from regard.tasks.pictures.views import stacked

MOVES = "turn", "shear across", "shear down", "move across", "move down"
TURN, SHEAR, MOVE = math.radians(135), 0.99, 1.0
"""At strength 1: an angle, a slope, and half of a picture's side."""
RATIO = 4 / 3
"""Of the sides of what is cut out, at most."""
ERASED = 0.02, 0.33
"""Shares of a picture's area that are erased; Zhong et al. 2020, arXiv:1708.04896, section 5."""

Maps = Float[Tensor, "batch 2 3"]
"""From places in what is made, −1 to 1 along each side, to places in what it is made of."""


def augmented(
    pictures: Sequence[UInt8[Tensor, "channels height width"]], size: int, options: AugmentOptions
) -> Float[Tensor, "batch channels size size"]:
    """Numbers from 0 to 1, of pictures of any sizes."""
    changes = _drawn(len(pictures), options)
    moved = _moved(pictures, size, options, changes)
    for names, strengths in changes:
        for number, change in enumerate(COLOURS.values(), len(MOVES)):
            rows = (names == number).nonzero().squeeze(1)
            if len(rows):
                moved[rows] = change(moved[rows], strengths[rows].view(-1, 1, 1, 1)).clamp(0, 1)
    return _erased(moved, options.erase)


def _drawn(count: int, options: AugmentOptions) -> list[tuple[Tensor, Tensor]]:
    """Rounds of a policy: of each picture the number of a change, the last of which changes nothing, and its strength."""
    if options.policy == "none":
        return []
    rounds = 1 if options.policy == "trivial" else options.num_changes
    drawn = []
    for _ in range(rounds):
        names = torch.randint(len(MOVES) + len(COLOURS) + 1, (count,))
        sign = 1 - 2 * torch.randint(2, (count,)).float()
        drawn.append((names, sign * (torch.rand(count) if options.policy == "trivial" else options.magnitude)))
    return drawn


def _moved(
    pictures: Sequence[Tensor], size: int, options: AugmentOptions, changes: Sequence[tuple[Tensor, Tensor]]
) -> Float[Tensor, "batch channels size size"]:
    """Cut out, shifted, mirrored, and moved as the policy has it; those of one size at once."""
    alike = defaultdict(list)
    for place, picture in enumerate(pictures):
        alike[picture.shape].append(place)
    found = torch.empty(len(pictures), pictures[0].shape[0], size, size)
    for (_, height, width), places in alike.items():
        rows = torch.tensor(places)
        maps = _cut_out(len(rows), (height, width), size, options)
        if options.flip:
            maps[:, :, 0] *= 1 - 2 * torch.randint(2, (len(rows), 1)).float()
        for names, strengths in changes:
            maps = _composed(maps, _policy(names[rows], strengths[rows]))
        grid = affine_grid(maps, [len(rows), 1, size, size], align_corners=False)
        values = stacked([pictures[place] for place in places])
        found[rows] = grid_sample(values, grid, padding_mode="reflection", align_corners=False)
    return found


def _cut_out(count: int, sides: tuple[int, int], size: int, options: AugmentOptions) -> Maps:
    """A part of each picture: of one of the right size all of it, shifted by whole pixels; of another a random rectangle."""
    maps = torch.zeros(count, 2, 3)
    most = round(options.shift * size)
    if sides == (size, size):
        maps[:, 0, 0] = maps[:, 1, 1] = 1
        maps[:, :, 2] = torch.randint(-most, most + 1, (count, 2)) * (2 / size)
        return maps
    height, width = sides
    area = min(height, width) ** 2 * torch.empty(count).uniform_(options.area, 1)
    stretch = torch.empty(count).uniform_(-math.log(RATIO), math.log(RATIO)).mul(0.5 if options.area < 1 else 0).exp()
    wide, high = (area.sqrt() * stretch).clamp(max=width), (area.sqrt() / stretch).clamp(max=height)
    maps[:, 0, 0], maps[:, 1, 1] = wide / width, high / height
    maps[:, :, 2] = (1 - torch.stack([wide / width, high / height], 1)) * torch.empty(count, 2).uniform_(-1, 1)
    return maps


def _policy(names: Tensor, strengths: Tensor) -> Maps:
    """The moves among the changes that were drawn; of other changes, the map that leaves all where it is."""
    of = {name: strengths * (names == number) for number, name in enumerate(MOVES)}
    angle = TURN * of["turn"]
    maps = torch.stack(
        [angle.cos(), -angle.sin(), MOVE * of["move across"], angle.sin(), angle.cos(), MOVE * of["move down"]], 1
    )
    maps[:, 1] += SHEAR * of["shear across"]
    maps[:, 3] += SHEAR * of["shear down"]
    return maps.view(-1, 2, 3)


def _composed(outer: Maps, inner: Maps) -> Maps:
    """The map that goes through `inner` first."""
    linear = outer[:, :, :2] @ inner[:, :, :2]
    return torch.cat([linear, outer[:, :, :2] @ inner[:, :, 2:] + outer[:, :, 2:]], 2)


def _erased(pictures: Tensor, share: float) -> Tensor:
    """A rectangle of some pictures made grey."""
    if not share:
        return pictures
    count, _, height, width = pictures.shape
    rows = (torch.rand(count) < share).nonzero().squeeze(1)
    area, stretch = torch.empty(len(rows)).uniform_(*ERASED), torch.empty(len(rows)).uniform_(-1.2, 1.2).exp()
    sides = torch.stack([(area / stretch).sqrt(), (area * stretch).sqrt()], 1).clamp(max=1)
    pictures[rows] = pictures[rows].masked_fill(rectangles(sides, (height, width))[:, None], 0.5)
    return pictures


def rectangles(sides: Float[Tensor, "batch 2"], shape: tuple[int, int]) -> Tensor:
    """True in a rectangle of each (height, width), shares of the whole, at a random place in it: (batch, *shape)."""
    first = torch.rand(len(sides), 2) * (1 - sides)
    inside = [
        (places >= first[:, axis, None]) & (places < (first + sides)[:, axis, None])
        for axis, places in enumerate((torch.arange(n) + 0.5) / n for n in shape)
    ]
    return inside[0][:, :, None] & inside[1][:, None, :]


def mixed(
    pictures: Float[Tensor, "batch channels size size"], targets: Float[Tensor, "batch classes"], options: AugmentOptions
) -> tuple[Tensor, Tensor]:
    """Pictures and what they show, each mixed with another of the batch.

    Mixup: Zhang et al. 2018, arXiv:1710.09412, eq. 1. CutMix: Yun et al. 2019, arXiv:1905.04899, eq. 1-2.
    """
    kinds = [name for name in ("mixup", "cutmix") if getattr(options, name)]
    if not kinds:
        return pictures, targets
    kind = kinds[int(torch.randint(len(kinds), ()))]
    power = torch.tensor(float(getattr(options, kind)))
    share, other = torch.distributions.Beta(power, power).sample(), torch.randperm(len(pictures))
    if kind == "mixup":
        pictures = share * pictures + (1 - share) * pictures[other]
    else:
        side = (1 - share).sqrt().expand(1, 2)
        is_other = rectangles(side, (pictures.shape[2], pictures.shape[3]))[0]
        pictures, share = torch.where(is_other, pictures[other], pictures), 1 - is_other.float().mean()
    return pictures, share * targets + (1 - share) * targets[other]
