"""Pixels → maps → queries → what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from regard.models.detection.assignment import dense_loss
from regard.models.detection.boxes import clipped
from regard.models.detection.decoder import Decoder, DecoderLayer, joined
from regard.models.detection.denoising import Denoising, Queries
from regard.models.detection.dense import Dense, DenseHead, Places
from regard.models.detection.encoder import Encoder
from regard.models.detection.extent import Extent
from regard.models.detection.losses import set_loss
from regard.models.detection.matching import best_pairs
from regard.models.detection.pyramid import Pyramid
from regard.models.detection.targets import Answers, Targets
from regard.models.model import Batch, Model
from regard.models.options.detection import DetectorOptions


@dataclass(frozen=True)
class DetectorSizes:
    """What a detector has to know of the data."""

    num_classes: int


class Found(NamedTuple):
    """What is in a picture, or in each of a batch, the surest first."""

    scores: Float[Tensor, "*batch found"]
    classes: Int[Tensor, "*batch found"]
    boxes: Float[Tensor, "*batch found 4"]
    """xmin, ymin, xmax, ymax in pixels of the picture that the model was given, which they do not leave."""
    queries: Int[Tensor, "*batch found"]
    """Who found it."""


class View(NamedTuple):
    """A batch on the way to the decoder."""

    maps: list[Tensor]
    extent: Extent
    places: Places
    dense: Dense
    queries: Queries


class Detector(Model):
    """A set of queries, each for one thing: nothing is found twice, and nothing has to be removed afterwards.

    A batch has "pixels" (batch, 3, height, width), normalised and padded below and at the right to multiples of 32, and "sizes"
    (batch, 2), height and width of the picture in it. Where it is known what is to be found there are "boxes" (batch, most, 4):
    xmin, ymin, xmax, ymax in these pixels; and "classes" (batch, most): -1 where there is no box, -2 where what is found in one
    is neither right nor wrong. What pictures are padded with, and what else is in a batch, changes no answer.
    """

    def __init__(self, options: DetectorOptions, sizes: DetectorSizes) -> None:
        super().__init__()
        self.num_queries = options.num_queries
        self.pyramid = Pyramid(options.backbone)
        self.encoder = Encoder(self.pyramid.widths, options)
        self.dense = DenseHead(options.d_model, sizes.num_classes)
        self.begin = nn.Sequential(nn.Linear(options.d_model, options.d_model), nn.LayerNorm(options.d_model))
        self.denoising = Denoising(sizes.num_classes, options)
        self.decoder = Decoder(sizes.num_classes, options)

    def forward(self, pixels: Float[Tensor, "batch 3 height width"], sizes: Int[Tensor, "batch 2"]) -> Answers:
        """Of the last layer, a query an answer."""
        view = self._view(pixels, sizes)
        return self.decoder(view.queries, view.maps, view.extent)[-1]

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Of all places, of each layer's answers, and of restoring spoilt boxes; each by the number of boxes."""
        targets, view = Targets.of(batch), self._view(batch["pixels"], batch["sizes"])
        spoilt, pairs = self.denoising(targets)
        layers = self.decoder(joined(view.queries, spoilt), view.maps, view.extent)
        total = dense_loss(view.dense, view.places, targets)
        for free, restored in (_cut(layer, view.queries.groups.shape[1]) for layer in layers):
            total = total + set_loss(free, best_pairs(free, targets), targets) + set_loss(restored, pairs, targets)
        return total

    def predict(self, batch: Batch) -> list[Found]:
        """At most `num_queries` a picture."""
        pictures = zip(*self.ranked(batch["pixels"], batch["sizes"]), strict=True)
        return [Found(*(part[one.scores > 0] for part in one)) for one in (Found(*parts) for parts in pictures)]

    def ranked(self, pixels: Float[Tensor, "batch 3 height width"], sizes: Int[Tensor, "batch 2"]) -> Found:
        """The surest `num_queries` answers of each picture; those with a score of 0 are none. A query may have several."""
        logits, boxes = self(pixels, sizes)
        num_classes = logits.shape[2]
        scores, places = logits.flatten(1).topk(min(self.num_queries, logits.shape[1] * num_classes))
        queries = places // num_classes
        boxes = clipped(boxes, sizes).gather(1, queries[:, :, None].expand(-1, -1, 4))
        return Found(scores.sigmoid(), places % num_classes, boxes, queries)

    @torch.no_grad()
    def attended(self, batch: Batch) -> list[tuple[Found, Float[Tensor, "found samples 3"]]]:
        """What `predict` says, and of each thing where its query looked in the last layer: x and y in pixels, and weights.

        Weights are 1 in all for a query. Both are of one pass: in another precision queries come in another order.
        """
        look, calls = cast(DecoderLayer, self.decoder.layers[-1]).look, list[tuple[Any, ...]]()
        handle = look.register_forward_pre_hook(lambda _, given: calls.append(given))
        try:
            found = self.predict(batch)
        finally:
            handle.remove()
        places, weights = look.samples(*calls[0])
        side = places.new_tensor(batch["pixels"].shape[:1:-1])
        samples = torch.cat([places * side, weights[..., None] / weights.shape[2]], -1).flatten(2, 4)
        return [(one, looked[one.queries]) for one, looked in zip(found, samples, strict=True)]

    def load_pretrained(self) -> None:
        """Take the weights that the options name."""
        self.pyramid.load_pretrained()

    def _view(self, pixels: Tensor, sizes: Tensor) -> View:
        extent = Extent.of(pixels, sizes)
        maps = self.encoder(self.pyramid(pixels, extent), extent)
        places = Places.of(extent)
        dense = self.dense(maps, places)
        return View(maps, extent, places, dense, self._queries(dense, places))

    def _queries(self, dense: Dense, places: Places) -> Queries:
        """The surest places. Boxes and states are learnt where they are made: no gradient goes back through a query."""
        best = dense.best(self.num_queries)
        states, boxes = (
            one.detach().gather(1, best[:, :, None].expand(-1, -1, one.shape[2])) for one in (dense.features, dense.boxes)
        )
        return Queries(self.begin(states), boxes, places.inside.gather(1, best).long() - 1)


def _cut(answers: Answers, count: int) -> tuple[Answers, Answers]:
    """Those of the first queries, and those of the others."""
    first, others = zip(*((one[:, :count], one[:, count:]) for one in answers), strict=True)
    return Answers(*first), Answers(*others)
