"""Spoilt boxes that the decoder shall restore or refuse; Zhang et al. 2023 (DINO), arXiv:2203.03605, section 3.3."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from regard.models.detection.boxes import clipped, to_middles
from regard.models.detection.targets import Pairs, Targets
from regard.models.options.detection import DetectorOptions


class Queries(NamedTuple):
    """What the decoder begins with. Those of one group look at one another, and at no other."""

    states: Float[Tensor, "batch queries d_model"]
    boxes: Float[Tensor, "batch queries 4"]
    groups: Int[Tensor, "batch queries"]


class Denoising(nn.Module):
    """Queries made of the true boxes: each group has every box of a picture twice, spoilt a little and spoilt too much.

    With queries that found a box by themselves they share no group: these would otherwise see the answers.
    """

    def __init__(self, num_classes: int, options: DetectorOptions) -> None:
        super().__init__()
        self.count, self.label_noise, self.box_noise = options.num_denoising, options.label_noise, options.box_noise
        self.states = nn.Embedding(num_classes, options.d_model)

    def forward(self, targets: Targets) -> tuple[Queries, Pairs]:
        """The queries, and the boxes that those spoilt a little belong to. Groups are numbered from 1."""
        most = targets.classes.shape[1]
        num_groups = max(1, self.count // (2 * most)) if self.count else 0
        classes, boxes = (one.repeat(1, 2 * num_groups, *[1] * (one.dim() - 2)) for one in (targets.classes, targets.boxes))
        place = torch.arange(classes.shape[1], device=classes.device)
        is_little = place // most % 2 == 0
        groups = torch.where(classes >= 0, 1 + place // (2 * most), -1)
        pictures, answers = ((classes >= 0) & is_little).nonzero().unbind(1)
        queries = Queries(self.states(self._relabelled(classes)), self._spoilt(boxes, is_little, targets.sizes), groups)
        return queries, Pairs(pictures, answers, answers % most)

    def _relabelled(self, classes: Int[Tensor, "batch queries"]) -> Int[Tensor, "batch queries"]:
        """Some have another class, or by chance the same."""
        is_other = torch.rand(classes.shape, device=classes.device) < self.label_noise
        return torch.where(is_other, torch.randint_like(classes, self.states.num_embeddings), classes).clamp(min=0)

    def _spoilt(
        self, boxes: Float[Tensor, "batch queries 4"], is_little: Tensor, sizes: Tensor
    ) -> Float[Tensor, "batch queries 4"]:
        """Each side moved by 0 to 1 times the noise, or by 1 to 2 times."""
        half = (to_middles(boxes)[..., 2:] / 2).repeat(1, 1, 2)
        share = torch.rand_like(boxes) + (~is_little)[:, None]
        sign = 1 - 2 * torch.randint_like(boxes, 2)
        one, other = clipped(boxes + sign * share * self.box_noise * half, sizes).split(2, -1)
        return torch.cat([one.minimum(other), one.maximum(other)], -1)
