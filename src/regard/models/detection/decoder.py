"""Queries that look at one another and at the maps, and make their boxes better layer by layer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.attention.deformable import DeformableAttention
from regard.attention.masks import Mask, dense
from regard.attention.multihead import MultiHeadAttention
from regard.models.blocks import hide
from regard.models.detection.boxes import corners, moved, to_middles
from regard.models.detection.denoising import Queries
from regard.models.detection.extent import STRIDES, Extent
from regard.models.detection.heads import Perceptron, class_scores, hidden_unless
from regard.models.detection.targets import Answers
from regard.models.detection.waves import waves
from regard.models.options.detection import DetectorOptions
from regard.models.transformer import FeedForward

FINENESS, BASE = 100.0, 100.0
"""Radians of a picture's side, and how much slower the last wave is: lengths from a sixteenth of the side to six sides."""


class Decoder(nn.Module):
    """Layers, each with heads of its own; a box goes on to the next without its gradient; arXiv:2010.04159, appendix A.4."""

    def __init__(self, num_classes: int, options: DetectorOptions) -> None:
        super().__init__()
        d_model = options.d_model
        self.place = nn.Sequential(nn.Linear(2 * d_model, d_model), nn.ReLU(), nn.Linear(d_model, d_model))
        self.layers = nn.ModuleList(DecoderLayer(options) for _ in range(options.num_layers))
        self.scores = nn.ModuleList(class_scores(d_model, num_classes) for _ in self.layers)
        self.boxes = nn.ModuleList(Perceptron(d_model, d_model, d_model, 4) for _ in self.layers)

    def forward(self, queries: Queries, maps: list[Tensor], extent: Extent) -> list[Answers]:
        """The answers of each layer. Queries of a group below 0 have none."""
        states, boxes, groups = queries
        mask = dense((groups[:, :, None] == groups[:, None])[:, None])
        answers = []
        for layer, score, box in zip(self.layers, self.scores, self.boxes, strict=True):
            shares = to_middles(boxes / corners(extent.sizes)[:, None])
            place = self.place(waves(FINENESS * shares, 2 * states.shape[2], BASE).to(states.dtype))
            seen = Seen(to_middles(boxes / extent.side), maps, extent)
            states = layer(states, place, mask, seen)
            found = moved(boxes, box(states).float())
            answers.append(Answers(hidden_unless(groups >= 0, score(states)), found))
            boxes = found.detach()
        return answers


class Seen(NamedTuple):
    """Where queries look, in shares of the maps' sides, and at what."""

    boxes: Float[Tensor, "batch queries 4"]
    maps: list[Tensor]
    extent: Extent

    def inside(self) -> list[Tensor] | None:
        """Where each map is of the picture; None is everywhere."""
        kept = [self.extent.inside(stride).to(one.dtype) for stride, one in zip(STRIDES, self.maps, strict=True)]
        return kept if self.extent.is_padded else None


class DecoderLayer(nn.Module):
    """Attention of queries to one another, to the maps, and a feed-forward network, normalised after each; arXiv:2010.04159."""

    def __init__(self, options: DetectorOptions) -> None:
        super().__init__()
        d_model, self.dropout = options.d_model, options.dropout
        self.attention = MultiHeadAttention(d_model, options.num_heads)
        self.look = DeformableAttention(d_model, options.num_heads, len(STRIDES), options.num_points)
        self.feedforward = FeedForward(d_model, options.d_feedforward, options.dropout)
        self.attention_norm, self.look_norm, self.feedforward_norm = (nn.LayerNorm(d_model) for _ in range(3))

    def forward(
        self,
        x: Float[Tensor, "batch queries d_model"],
        place: Float[Tensor, "batch queries d_model"],
        mask: Mask,
        seen: Seen,
    ) -> Float[Tensor, "batch queries d_model"]:
        """`place` tells queries where they are."""
        x = self.attention_norm(x + self._dropped(self.attention(x + place, mask=mask)))
        x = self.look_norm(x + self._dropped(self.look(x + place, seen.boxes, seen.maps, seen.inside())))
        return self.feedforward_norm(x + self._dropped(self.feedforward(x)))

    def _dropped(self, x: Tensor) -> Tensor:
        return hide(x, self.dropout, self.training)


def joined(one: Queries, other: Queries) -> Queries:
    """The queries of both, one after the other."""
    return Queries(*(torch.cat(pair, 1) for pair in zip(one, other, strict=True)))
