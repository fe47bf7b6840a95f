"""How wrong answers are that were paired with boxes."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from regard.models.detection.boxes import corners, generalised_iou, iou
from regard.models.detection.targets import Answers, Pairs, Targets

ALPHA, GAMMA = 0.75, 1.0
"""How much answers that fit nothing count, α p^γ; Zhang et al. 2021, arXiv:2008.13367, section 3.2, where γ is 2.

With 2, a second answer for a thing, whose p is middling, is hardly pushed down; with 1 fewer were left on 200 pictures.
"""
CLASS_WEIGHT, SIDE_WEIGHT, OVERLAP_WEIGHT = 1.0, 5.0, 2.0
"""Of the parts of a loss; Zhao et al. 2024, arXiv:2304.08069, appendix."""


def varifocal(
    logits: Float[Tensor, "batch answers classes"],
    wanted: Float[Tensor, "batch answers classes"],
    counted: Bool[Tensor, "batch answers"],
) -> Float[Tensor, ""]:
    """Cross-entropy of scores with how well answers fit, summed; what fits weighs as much, what does not α p^γ; eq. 2."""
    weights = torch.where(wanted > 0, wanted, ALPHA * logits.detach().sigmoid() ** GAMMA) * counted[:, :, None]
    return binary_cross_entropy_with_logits(logits, wanted, weights, reduction="sum")


def box_loss(
    boxes: Float[Tensor, "pairs 4"], pairs: Pairs, targets: Targets, weights: Float[Tensor, " pairs"]
) -> Float[Tensor, ""]:
    """Distances of the sides in shares of the picture's, and 1 − generalised IoU, summed."""
    wanted = targets.boxes[pairs.pictures, pairs.boxes]
    sides = ((boxes - wanted) / corners(targets.sizes)[pairs.pictures]).abs().sum(-1)
    overlap = 1 - generalised_iou(boxes, wanted)
    return (weights * (SIDE_WEIGHT * sides + OVERLAP_WEIGHT * overlap)).sum()


def set_loss(answers: Answers, pairs: Pairs, targets: Targets) -> Float[Tensor, ""]:
    """Of answers that have one box each or none, by the number of those that have: a score shall be the IoU with the box."""
    logits, boxes = answers
    found = boxes[pairs.pictures, pairs.answers]
    quality = iou(found.detach(), targets.boxes[pairs.pictures, pairs.boxes])
    wanted = torch.zeros_like(logits)
    wanted[pairs.pictures, pairs.answers, targets.classes[pairs.pictures, pairs.boxes]] = quality
    counted = ~targets.ignored(boxes.detach())
    counted[pairs.pictures, pairs.answers] = True
    wrong = CLASS_WEIGHT * varifocal(logits, wanted, counted) + box_loss(found, pairs, targets, torch.ones_like(quality))
    return wrong / max(1, len(quality))
