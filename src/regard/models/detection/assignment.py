"""Several places for each box, those that fit it best; Feng et al. 2021 (TOOD), arXiv:2108.07755, section 3.3."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.models.detection.boxes import iou, to_middles
from regard.models.detection.dense import Dense, Places
from regard.models.detection.losses import CLASS_WEIGHT, box_loss, varifocal
from regard.models.detection.targets import Pairs, Targets

NUM_PLACES = 10
"""Of a box, at most."""
OVERLAP_POWER = 6.0
"""How much more than the score an overlap counts: t = score · IoU⁶, eq. 4."""
TINY = 1e-9


def dense_loss(dense: Dense, places: Places, targets: Targets) -> Float[Tensor, ""]:
    """Of all places, for several of a box and for one, each by the sum of what is wanted of their scores."""
    several = _loss(dense.logits, dense.boxes, places, targets, NUM_PLACES)
    return several + _loss(dense.choices, dense.boxes, places, targets, 1)


def _loss(logits: Tensor, boxes: Tensor, places: Places, targets: Targets, num_places: int) -> Float[Tensor, ""]:
    pairs, quality = aligned(logits.detach(), boxes.detach(), places, targets, num_places)
    wanted = torch.zeros_like(logits)
    wanted[pairs.pictures, pairs.answers, targets.classes[pairs.pictures, pairs.boxes]] = quality
    counted = places.inside & ~targets.ignored(torch.cat([places.middles, places.middles], -1)[None])
    counted[pairs.pictures, pairs.answers] = True
    wrong = box_loss(boxes[pairs.pictures, pairs.answers], pairs, targets, quality)
    return (CLASS_WEIGHT * varifocal(logits, wanted, counted) + wrong) / quality.sum().clamp(min=1)


def aligned(
    logits: Float[Tensor, "batch places classes"],
    found: Float[Tensor, "batch places 4"],
    places: Places,
    targets: Targets,
    num_places: int,
) -> tuple[Pairs, Float[Tensor, " pairs"]]:
    """The places of each box, and what their scores shall be: 0 to the largest IoU of the box, as t is to its largest."""
    overlap = iou(targets.boxes[:, :, None], found[:, None])
    classes = targets.classes.clamp(min=0)[:, :, None].expand(overlap.shape)
    fit = logits.sigmoid().mT.gather(1, classes) * overlap**OVERLAP_POWER * _candidates(places, targets)
    best = fit.topk(min(num_places, fit.shape[2]))
    chosen = torch.zeros_like(fit).scatter_(2, best.indices, 1.0) * (fit > 0)
    owner = torch.where(chosen > 0, overlap, -1.0).argmax(1, keepdim=True)  # of a place that several boxes would have
    chosen = chosen * torch.zeros_like(chosen).scatter_(1, owner, 1.0)
    largest_fit = (fit * chosen).amax(2, keepdim=True).clamp(min=torch.finfo(fit.dtype).tiny)
    quality = fit / largest_fit * (overlap * chosen).amax(2, keepdim=True)
    pictures, boxes, answers = chosen.nonzero().unbind(1)
    return Pairs(pictures, answers, boxes), quality[pictures, boxes, answers].clamp(min=TINY)


def _candidates(places: Places, targets: Targets) -> Bool[Tensor, "batch most places"]:
    """Places whose middle lies in a box; those within a stride of the middle of one that is too small to hold any."""
    middle, side = (part[:, :, None] for part in to_middles(targets.boxes).split(2, -1))
    reach = (side / 2).maximum(places.strides[:, None])
    near = ((places.middles - middle).abs() <= reach).all(-1)
    return near & places.inside[:, None] & targets.is_real[:, :, None]
