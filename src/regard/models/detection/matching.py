"""The best pairs of answers and boxes, one to one; Carion et al. 2020 (DETR), arXiv:2005.12872, eq. 1."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from regard.models.detection.boxes import corners, generalised_iou
from regard.models.detection.losses import OVERLAP_WEIGHT, SIDE_WEIGHT
from regard.models.detection.targets import Answers, Pairs, Targets

CLASS_COST, ALPHA, GAMMA = 2.0, 0.25, 2.0
"""Of focal loss; Zhu et al. 2021, arXiv:2010.04159, appendix A.4."""


@torch.no_grad()
def best_pairs(answers: Answers, targets: Targets) -> Pairs:
    """Of all ways to give each box an answer of its own the cheapest, by class, sides and overlap."""
    from scipy.optimize import linear_sum_assignment

    costs = _costs(answers, targets).nan_to_num().cpu()
    found = []
    for picture, real in enumerate(targets.is_real.cpu()):
        boxes = real.nonzero().squeeze(1)
        rows, columns = linear_sum_assignment(costs[picture][:, boxes].numpy())
        found += [(picture, row, box) for row, box in zip(rows.tolist(), boxes[columns].tolist(), strict=True)]
    return Pairs(*torch.tensor(found, dtype=torch.long, device=targets.classes.device).view(-1, 3).unbind(1))


def _costs(answers: Answers, targets: Targets) -> Float[Tensor, "batch answers boxes"]:
    scale = corners(targets.sizes)[:, None]
    sides = torch.cdist(answers.boxes / scale, targets.boxes / scale, p=1)
    overlap = generalised_iou(answers.boxes[:, :, None], targets.boxes[:, None])
    classes = targets.classes.clamp(min=0)[:, None].expand(sides.shape)
    return CLASS_COST * _class_costs(answers.logits).gather(2, classes) + SIDE_WEIGHT * sides - OVERLAP_WEIGHT * overlap


def _class_costs(logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """What focal loss would gain."""
    p = logits.sigmoid()
    return -ALPHA * (1 - p) ** GAMMA * logsigmoid(logits) + (1 - ALPHA) * p**GAMMA * logsigmoid(-logits)
