"""What there is to be found in a batch."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from regard.models.detection.boxes import holds, to_middles
from regard.models.model import Batch

NONE, IGNORED = -1, -2
"""The class where there is no box, and of a box in which nothing is found or missed."""


class Answers(NamedTuple):
    """Of one layer, a query an answer; a logit of HIDDEN is none."""

    logits: Float[Tensor, "batch queries classes"]
    boxes: Float[Tensor, "batch queries 4"]


class Pairs(NamedTuple):
    """Which answer belongs to which box: numbers of the picture, of its answer and of its box."""

    pictures: Int[Tensor, " pairs"]
    answers: Int[Tensor, " pairs"]
    boxes: Int[Tensor, " pairs"]


class Targets(NamedTuple):
    """Boxes and their classes; those that are none or ignored have a class below 0."""

    boxes: Float[Tensor, "batch most 4"]
    classes: Int[Tensor, "batch most"]
    sizes: Int[Tensor, "batch 2"]

    @classmethod
    def of(cls, batch: Batch) -> Targets:
        """Of a batch that a model is given; with room for one box at least."""
        missing = 0 if batch["classes"].shape[1] else 1
        boxes, classes = pad(batch["boxes"].float(), (0, 0, 0, missing)), pad(batch["classes"], (0, missing), value=NONE)
        return cls(boxes, classes, batch["sizes"])

    @property
    def is_real(self) -> Bool[Tensor, "batch most"]:
        """Which are to be found."""
        return self.classes >= 0

    def ignored(self, boxes: Float[Tensor, "#batch answers 4"]) -> Bool[Tensor, "batch answers"]:
        """Whether the middle of an answer lies in an ignored box."""
        inside = holds(self.boxes, to_middles(boxes)[..., :2])
        return (inside & (self.classes == IGNORED)[:, :, None]).any(1)
