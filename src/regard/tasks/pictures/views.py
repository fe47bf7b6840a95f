"""Pictures as a model sees them: one size, one number of channels, as bytes until they are needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from regard.data.pictures import Picture, pixels
from regard.errors import InputError
from regard.models.options import ViewOptions

if TYPE_CHECKING:
    import numpy as np

One = TypeVar("One")
Made = TypeVar("Made")
LARGEST = 224
"""Pixels of a side that a model sees where nobody says how many."""
ROOM = 1.15
"""Of a photo to be cut from, its shorter side in sides of what is cut out."""
LONG = 2.0
"""Sides of a photo are at most so unlike; of a longer one the middle is kept."""
MOST_BYTES = 4 * 2**30
"""Of pictures that are kept in memory while training; others are decoded again each time."""
NUM_THREADS = 4


@dataclass(frozen=True)
class View:
    """A picture, decoded and brought to its size; or the reason why it cannot be."""

    picture: Picture
    values: UInt8[Tensor, "channels height width"] | None = None
    """None where it is decoded anew each time, or cannot be."""
    is_training: bool = False
    """Is it to be changed before a model sees it?"""
    error: str = ""
    number: int = 0
    """Among its input, from 1."""

    @property
    def line(self) -> int:
        """Where it is in its input."""
        return self.picture.line or self.number


@dataclass(frozen=True)
class Viewer:
    """How pictures are brought to one size; a run remembers it."""

    size: int
    channels: int
    seen: float

    @classmethod
    def fit(cls, pictures: Sequence[Picture], options: ViewOptions) -> Viewer:
        """What the options leave open is as the pictures that were read are: median of shorter sides, grey if all are."""
        shorter = sorted(min(picture.size) for picture in pictures if picture.size)
        size = options.size or min(LARGEST, shorter[len(shorter) // 2])
        return cls(size, options.channels or max(picture.channels or 1 for picture in pictures), options.seen)

    def view(self, picture: Picture, *, is_training: bool = False) -> UInt8[Tensor, "channels height width"]:
        """Its pixels: size × size, or with room to cut from while training. Raises InputError that names the picture."""
        values = pixels(picture)
        width, height = values.shape[1], values.shape[0]
        if (height, width) != (self.size, self.size):
            side = self.size * ROOM if is_training else self.size / self.seen
            values = _of_shorter_side(values, math.ceil(side))
            kept = math.ceil(side * LONG) if is_training else self.size
            values = _middle(values, kept, kept)
        return to_tensor(values, self.channels)

    def views(self, pictures: Sequence[Picture], *, is_training: bool) -> list[View]:
        """All of them, decoded at once as long as there is memory."""
        side = self.size * (ROOM if is_training else 1)
        at_most = int(MOST_BYTES / (self.channels * side * side * (1.3 if is_training else 1)))
        decoded = in_threads(lambda picture: self.view(picture, is_training=is_training), pictures[:at_most])
        kept = [View(picture, values, is_training) for picture, values in zip(pictures, decoded, strict=False)]
        return kept + [View(picture, None, is_training) for picture in pictures[at_most:]]

    def tolerant(self, views: Sequence[View]) -> list[View]:
        """The views with their pixels; one whose picture cannot be decoded says why."""
        return in_threads(self._tolerant, views)

    def _tolerant(self, view: View) -> View:
        try:
            return replace(view, values=self.view(view.picture))
        except InputError as error:
            return replace(view, error=error.message)

    def values_of(self, view: View) -> UInt8[Tensor, "channels height width"]:
        """Its pixels, decoded now where they are not kept; grey where it cannot be."""
        if view.error:
            return torch.full((self.channels, self.size, self.size), 128, dtype=torch.uint8)
        return self.view(view.picture, is_training=view.is_training) if view.values is None else view.values

    def values_of_all(self, views: Sequence[View]) -> list[UInt8[Tensor, "channels height width"]]:
        """The same of each; those that are not kept are decoded side by side."""
        is_kept = all(view.values is not None for view in views)
        return list(map(self.values_of, views)) if is_kept else in_threads(self.values_of, views)


def _of_shorter_side(values: np.ndarray, shorter: int) -> np.ndarray:
    """Resized so that its shorter side has so many pixels."""
    most = math.ceil(LONG * min(values.shape[:2]))  # what is cut off later need not be resized
    values = _middle(values, most, most)
    scale = shorter / min(values.shape[:2])
    return resized(values, max(shorter, round(values.shape[0] * scale)), max(shorter, round(values.shape[1] * scale)))


def resized(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Of another size; smaller pictures hold means of what was there."""
    import numpy as np
    from PIL import Image

    image = Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values)
    made = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0))
    return made[:, :, None] if made.ndim == 2 else made


def to_tensor(values: np.ndarray, channels: int) -> UInt8[Tensor, "channels height width"]:
    """Grey as colour, or colour as grey, where that is what is wanted."""
    import numpy as np
    from PIL import Image

    if values.shape[2] < channels:
        values = np.repeat(values, channels, 2)
    elif values.shape[2] > channels:
        values = np.array(Image.fromarray(values).convert("L"))[:, :, None]
    return torch.from_numpy(values.copy()).permute(2, 0, 1).contiguous()


def in_threads(work: Callable[[One], Made], many: Sequence[One]) -> list[Made]:
    """What `work` makes of each, in their order; decoding leaves Python's lock most of the time."""
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        return list(pool.map(work, many))


def _middle(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Its middle, at most so large."""
    top, left = max(0, (values.shape[0] - height) // 2), max(0, (values.shape[1] - width) // 2)
    return values[top : top + height, left : left + width]


def stacked(values: Sequence[UInt8[Tensor, "channels size size"]]) -> Float[Tensor, "batch channels size size"]:
    """Pictures of one size as numbers from 0 to 1."""
    return torch.stack(list(values)).float() / 255
