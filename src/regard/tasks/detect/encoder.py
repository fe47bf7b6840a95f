"""Scenes as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from regard.data.boxes import Scene
from regard.models.detection.detector import Found
from regard.models.detection.targets import IGNORED, NONE
from regard.models.options import SceneAugmentOptions, SceneOptions
from regard.models.pictures import Normalisation
from regard.tasks.detect.augment import augmented
from regard.tasks.detect.detection import Detection, Detections
from regard.tasks.detect.scenes import Sample, SceneView, SceneViewer

MULTIPLE = 32
"""Of the sides of what a model reads."""
USUAL_THRESHOLD = 0.5


class SceneEncoder:
    """What a detector learnt of its data: the pictures' size, the classes, and from which confidence on boxes are told."""

    def __init__(
        self,
        viewer: SceneViewer,
        names: Sequence[str],
        normalisation: Normalisation,
        options: SceneAugmentOptions,
        threshold: float = USUAL_THRESHOLD,
    ) -> None:
        self.viewer, self.names, self.normalisation, self.options = viewer, list(names), normalisation, options
        self.numbers = {name: number for number, name in enumerate(names)}
        self.mean, self.deviation = (torch.tensor(one).view(-1, 1, 1) for one in normalisation)
        self.threshold = threshold

    @classmethod
    def fit(
        cls, scenes: Sequence[Scene], views: SceneOptions, normalisation: Normalisation, options: SceneAugmentOptions
    ) -> SceneEncoder:
        """Classes in the order of their names."""
        names = sorted({box.label for scene in scenes for box in scene.boxes})
        return cls(SceneViewer.fit(scenes, views), names, normalisation, options)

    @classmethod
    def load(cls, kept: dict[str, Any], options: SceneAugmentOptions) -> SceneEncoder:
        """Again, from its `to_json`."""
        mean, deviation = kept["normalisation"]
        normalisation = (tuple(mean), tuple(deviation))
        return cls(SceneViewer(**kept["viewer"]), kept["names"], normalisation, options, kept["threshold"])

    def to_json(self) -> dict[str, Any]:
        """All it knows, as plain values."""
        return {
            "viewer": asdict(self.viewer),
            "names": self.names,
            "normalisation": self.normalisation,
            "threshold": self.threshold,
        }

    def length(self, view: SceneView) -> int:
        """One each."""
        return 1

    def collate(self, views: Sequence[SceneView]) -> dict[str, Tensor]:
        """A batch, padded below and at the right; training pictures are changed on the way."""
        samples = [self.sample(view) for view in views]
        if all(view.is_training for view in views):
            samples = augmented(samples, self.options)
        sizes = torch.tensor([sample.pixels.shape[1:] for sample in samples])
        height, width = (canvas_of(int(side)) for side in sizes.amax(0))
        most = max(len(sample.boxes) for sample in samples)
        return {
            "pixels": torch.stack([_padded((one.pixels - self.mean) / self.deviation, height, width) for one in samples]),
            "sizes": sizes,
            "boxes": torch.stack([pad(one.boxes, (0, 0, 0, most - len(one.boxes))) for one in samples]),
            "classes": torch.stack([pad(one.classes, (0, most - len(one.classes)), value=NONE) for one in samples]),
        }

    def sample(self, view: SceneView) -> Sample:
        """Its pixels and boxes as numbers; a class that is not known is neither right nor wrong to find."""
        pixels = self.viewer.values_of(view).float() / 255
        scale = self._scale(view)
        corners = [(box.xmin, box.ymin, box.xmax, box.ymax) for box in view.boxes]
        classes = [IGNORED if box.is_crowd else self.numbers.get(box.label, IGNORED) for box in view.boxes]
        return Sample(pixels, torch.tensor(corners).view(-1, 4) * scale.repeat(2), torch.tensor(classes, dtype=torch.long))

    def detections(self, view: SceneView, found: Found, threshold: float) -> Detections:
        """In pixels of the picture as it was."""
        if view.error:
            return Detections((), threshold)
        boxes = found.boxes.cpu().float() / self._scale(view).repeat(2)
        rows = zip(found.classes.tolist(), found.scores.tolist(), boxes.tolist(), strict=True)
        told = (Detection(self.names[kind], sure, x0, y0, x1, y1, kind) for kind, sure, (x0, y0, x1, y1) in rows)
        return Detections(tuple(told), threshold)

    def _scale(self, view: SceneView) -> Tensor:
        """Pixels seen for each of the picture's own, across and down."""
        height, width = self.viewer.sides(view.scene.width, view.scene.height)
        return torch.tensor([width / view.scene.width, height / view.scene.height])


def canvas_of(side: int) -> int:
    """The least side that a model reads, in which a picture's fits."""
    return -(-side // MULTIPLE) * MULTIPLE


def _padded(pixels: Tensor, height: int, width: int) -> Tensor:
    return pad(pixels, (0, width - pixels.shape[2], 0, height - pixels.shape[1]))
