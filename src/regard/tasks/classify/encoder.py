"""Pictures as tensors, classes as numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from regard.data.pictures import Picture
from regard.models.classifier import ImageSizes
from regard.models.options import AugmentOptions, ViewOptions
from regard.models.pictures import Normalisation
from regard.tasks.pictures.augment import augmented, mixed
from regard.tasks.pictures.views import View, Viewer, stacked


class PictureEncoder:
    """What a classifier learnt of its pictures: their size, their classes and how many there were of each."""

    def __init__(self, viewer: Viewer, classes: dict[str, int], normalisation: Normalisation, options: AugmentOptions) -> None:
        self.viewer, self.classes, self.normalisation, self.options = viewer, classes, normalisation, options
        self.names = list(classes)
        self.numbers = {name: number for number, name in enumerate(classes)}
        self.mean, self.deviation = (torch.tensor(one).view(-1, 1, 1) for one in normalisation)

    @classmethod
    def fit(
        cls, pictures: Sequence[Picture], views: ViewOptions, normalisation: Normalisation, options: AugmentOptions
    ) -> PictureEncoder:
        """Classes in the order of their names."""
        counts = Counter(picture.label or "" for picture in pictures)
        channels = views.channels or (3 if len(normalisation[0]) == 3 else 0)
        viewer = Viewer.fit(pictures, ViewOptions(views.size, channels, views.seen))
        return cls(viewer, dict(sorted(counts.items())), normalisation, options)

    @classmethod
    def load(cls, kept: dict[str, Any], options: AugmentOptions) -> PictureEncoder:
        """Again, from its `to_json`."""
        mean, deviation = kept["normalisation"]
        return cls(Viewer(**kept["viewer"]), kept["classes"], (tuple(mean), tuple(deviation)), options)

    def to_json(self) -> dict[str, Any]:
        """All it knows, as plain values."""
        return {"viewer": asdict(self.viewer), "classes": self.classes, "normalisation": self.normalisation}

    def sizes(self, *, is_balanced: bool) -> ImageSizes:
        """What a model is built for; balanced, an error counts by how rare its class is, in the mean once."""
        side, weights = self.viewer.size, tuple[float, ...]()
        if is_balanced:
            mean = sum(self.classes.values()) / len(self.classes)
            weights = tuple(mean / count for count in self.classes.values())
        return ImageSizes(len(self.classes), self.viewer.channels, side, side, weights)

    def length(self, view: View) -> int:
        """One each."""
        return 1

    def normalised(self, pictures: Tensor) -> Tensor:
        """Numbers from 0 to 1 as the model expects them."""
        return (pictures - self.mean) / self.deviation

    def collate(self, views: Sequence[View]) -> dict[str, Tensor]:
        """A batch; training pictures are changed and mixed on the way."""
        values = self.viewer.values_of_all(views)
        is_training = all(view.is_training for view in views)
        pictures = augmented(values, self.viewer.size, self.options) if is_training else stacked(values)
        batch = {}
        if all(view.picture.label in self.numbers for view in views):
            numbers = torch.tensor([self.numbers[view.picture.label or ""] for view in views])
            targets = torch.nn.functional.one_hot(numbers, len(self.names)).float()
            if is_training:
                pictures, targets = mixed(pictures, targets, self.options)
            batch["targets"] = targets
        return {"pixels": self.normalised(pictures), **batch}
