"""Answers of every place of the maps, of which the best become queries."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from regard.models.detection.extent import Extent
from regard.models.detection.heads import Perceptron, class_scores, hidden_unless
from regard.models.pictures.heads import places_of

FIRST_SIDE = 2.0
"""Of the boxes before anything is learnt, the halves of their sides in strides."""
LARGEST = 4.0
"""Of the logarithm of a half of a side by that."""


class Places(NamedTuple):
    """All places of the maps, one map after the other, row by row."""

    middles: Float[Tensor, "places 2"]
    strides: Float[Tensor, " places"]
    inside: Bool[Tensor, "batch places"]

    @classmethod
    def of(cls, extent: Extent) -> Places:
        """Of pictures and their padding."""
        found = list(extent.places())
        strides = torch.cat([middles.new_full((len(middles),), stride) for middles, stride in found])
        inside = torch.cat([extent.inside(stride).flatten(1) for _, stride in found], 1)
        return cls(torch.cat([middles for middles, _ in found]), strides, inside)


class Dense(NamedTuple):
    """What each place answers."""

    features: Float[Tensor, "batch places d_model"]
    boxes: Float[Tensor, "batch places 4"]
    logits: Float[Tensor, "batch places classes"]
    """Several places of a thing have a high score: what the maps are taught by."""
    choices: Float[Tensor, "batch places classes"]
    """One place of a thing has: what queries are chosen by, so that they are not many for one thing."""

    def best(self, count: int) -> Int[Tensor, "batch queries"]:
        """The places that are surest of a class, the surest first."""
        surest = self.choices.amax(-1)
        return surest.topk(min(count, surest.shape[1])).indices


class DenseHead(nn.Module):
    """The same layers at each place; boxes by the distances of their sides; Tian et al. 2019 (FCOS), arXiv:1904.01355.

    Two scores, for several places of a box and for one: Wang et al. 2024 (YOLOv10), arXiv:2405.14458, section 3.1.
    """

    def __init__(self, d_model: int, num_classes: int) -> None:
        super().__init__()
        self.shared = nn.Sequential(nn.Linear(d_model, d_model), nn.LayerNorm(d_model), nn.ReLU())
        self.score, self.choose = class_scores(d_model, num_classes), class_scores(d_model, num_classes)
        self.box = Perceptron(d_model, d_model, d_model, 4)

    def forward(self, maps: list[Float[Tensor, "batch d_model _ _"]], places: Places) -> Dense:
        features = torch.cat([places_of(one) for one in maps], 1)
        shared = self.shared(features)
        logits, choices = (hidden_unless(places.inside, score(shared)) for score in (self.score, self.choose))
        reach = FIRST_SIDE * places.strides[:, None] * self.box(shared).float().clamp(max=LARGEST).exp()
        low, high = (places.middles + sign * part for sign, part in zip((-1, 1), reach.split(2, -1), strict=True))
        return Dense(features, torch.cat([low, high], -1), logits, choices)
