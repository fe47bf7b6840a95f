"""What every image classifier is: pixels → a map of features → scores of classes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from regard.models.model import Batch, Model


@dataclass(frozen=True)
class ImageSizes:
    """What a classifier has to know of the pictures and their classes."""

    num_classes: int
    channels: int
    height: int
    width: int
    class_weights: tuple[float, ...] = ()
    """How much an error counts, class by class; empty is once each."""


class Classifier(Model):
    """A batch has normalised "pixels" and, where classes are known, "targets": how much of each class a picture has, in all 1.

    `head(features(pixels))` are the scores: whoever wants a map for one class takes the gradient of its score by the features.
    """

    head: nn.Module
    class_weights: Tensor | None

    def __init__(self, sizes: ImageSizes, label_smoothing: float) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        weights = torch.tensor(sizes.class_weights) if sizes.class_weights else None
        self.register_buffer("class_weights", weights, persistent=False)

    @abstractmethod
    def features(self, pixels: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features rows columns"]:
        """The last features that still have a place in the picture."""

    def forward(self, pixels: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """Scores of each class, before softmax."""
        return self.head(self.features(pixels))

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Cross-entropy, nats a picture, each class weighted by its own weight."""
        scores = self(batch["pixels"]).float()
        return cross_entropy(scores, batch["targets"], self.class_weights, label_smoothing=self.label_smoothing)

    def predict(self, batch: Batch) -> list[Float[Tensor, " classes"]]:
        """The probabilities of the classes, of each picture."""
        return list(self(batch["pixels"]).float().softmax(1))
