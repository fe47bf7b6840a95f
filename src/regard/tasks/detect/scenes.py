"""Pictures with boxes as a detector sees them: one longer side, boxes in its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from regard.data.boxes import Box, Scene
from regard.data.pictures import Picture, pixels
from regard.errors import InputError
from regard.models.options import SceneOptions
from regard.tasks.pictures.views import MOST_BYTES, View, in_threads, resized, to_tensor

if TYPE_CHECKING:
    import numpy as np

LARGEST = 416
"""Pixels of the longer side where nobody says how many."""
CHANNELS = 3


@dataclass(frozen=True)
class SceneView:
    """A scene with its pixels, or without where they are decoded anew each time or cannot be."""

    scene: Scene
    values: UInt8[Tensor, "3 height width"] | None = None
    is_training: bool = False
    error: str = ""
    number: int = 0
    """Among its input, from 1."""

    @property
    def picture(self) -> Picture:
        """Where the pixels come from."""
        return self.scene.picture

    @property
    def boxes(self) -> tuple[Box, ...]:
        """What is to be found, in pixels of the picture as it was."""
        return self.scene.boxes


@dataclass(frozen=True)
class SceneViewer:
    """How pictures are brought to one longer side; a run remembers it."""

    size: int

    @classmethod
    def fit(cls, scenes: Sequence[Scene], options: SceneOptions) -> SceneViewer:
        """Where the options leave it open, the median of the pictures' longer sides."""
        longer = sorted(max(scene.width, scene.height) for scene in scenes)
        return cls(options.size or min(LARGEST, longer[len(longer) // 2]))

    def sides(self, width: int, height: int) -> tuple[int, int]:
        """Height and width of a picture of this size, as it is seen."""
        across, down = (max(1, round(side * self.size / max(height, width))) for side in (width, height))
        return down, across

    def view(self, picture: Picture) -> UInt8[Tensor, "3 height width"]:
        """Its pixels. Raises InputError that names the picture."""
        return self._seen(pixels(picture))

    def _seen(self, values: np.ndarray) -> UInt8[Tensor, "3 height width"]:
        height, width = values.shape[:2]
        return to_tensor(resized(values, *self.sides(width, height)), CHANNELS)

    def views(self, scenes: Sequence[Scene], *, is_training: bool) -> list[SceneView]:
        """All of them, decoded at once as long as there is memory."""
        at_most = MOST_BYTES // (CHANNELS * self.size**2)
        decoded = in_threads(lambda scene: self.view(scene.picture), scenes[:at_most])
        kept = [SceneView(scene, values, is_training) for scene, values in zip(scenes, decoded, strict=False)]
        return kept + [SceneView(scene, None, is_training) for scene in scenes[at_most:]]

    def tolerant(self, views: Sequence[View]) -> list[SceneView]:
        """Scenes of pictures of which nothing is known; one whose picture cannot be decoded says why."""
        return in_threads(self._tolerant, views)

    def _tolerant(self, view: View) -> SceneView:
        try:
            values = pixels(view.picture)
        except InputError as error:
            return SceneView(Scene(view.picture, 1, 1, ()), error=error.message, number=view.number)
        height, width = values.shape[:2]
        return SceneView(Scene(view.picture, width, height, ()), self._seen(values), number=view.number)

    def values_of(self, view: SceneView) -> UInt8[Tensor, "3 height width"]:
        """Its pixels, decoded now where they are not kept; grey where it cannot be."""
        if view.error:
            return torch.full((CHANNELS, self.size, self.size), 128, dtype=torch.uint8)
        return self.view(view.picture) if view.values is None else view.values


@dataclass(frozen=True)
class Sample:
    """What of a scene goes into a batch."""

    pixels: Float[Tensor, "3 height width"]
    """From 0 to 1."""
    boxes: Float[Tensor, "boxes 4"]
    """xmin, ymin, xmax, ymax in these pixels."""
    classes: Int[Tensor, " boxes"]

    def with_boxes(self, boxes: Tensor, classes: Tensor) -> Sample:
        """With other boxes."""
        return replace(self, boxes=boxes, classes=classes)
