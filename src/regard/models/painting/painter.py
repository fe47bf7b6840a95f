"""What every model that paints is: noise, and a class where it knows classes → a picture."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cosine_similarity

from regard.errors import InputError
from regard.models.model import Batch, Model

Pixels = Float[Tensor, "batch channels size size"]
"""Numbers from −1 to 1."""
Noise = Float[Tensor, "batch d_latent"]
Classes = Int[Tensor, " batch"]
SMALL_ANGLE = 1e-4
"""Below it an arc is a line."""


@dataclass(frozen=True)
class PaintSizes:
    """What a painter has to know of the pictures."""

    channels: int
    size: int
    num_classes: int = 0
    """0 is without classes."""

    def sides(self, widths: Sequence[int]) -> tuple[int, ...]:
        """Of the maps, from the smallest on: each half of the next, the last as large as the picture. Raises InputError."""
        smallest, rest = divmod(self.size, 2 ** (len(widths) - 1))
        if rest or smallest < 2:
            factor = 2 ** (len(widths) - 1)
            near = max(2, round(self.size / factor)) * factor
            raise InputError(
                f"with {len(widths)} widths the side of pictures must be a multiple of {factor}, {2 * factor} at least, got "
                f"{self.size}. Give --views.size {near}, or another number of widths."
            )
        return tuple(smallest * 2**stage for stage in range(len(widths)))

    def looking(self, widths: Sequence[int], attention_at: Sequence[int]) -> tuple[int, ...]:
        """Sides of the maps that look at themselves: of each that is asked for, the largest that there is up to it."""
        sides = self.sides(widths)
        if few := [side for side in attention_at if side < sides[0]]:
            known = ", ".join(map(str, sides))
            raise InputError(
                f"attention_at must be sides of maps, which are {known}; got {few[0]}, below the smallest. Name one "
                "of them, or give one more width."
            )
        return tuple(max(side for side in sides if side <= asked) for asked in attention_at)


@dataclass(frozen=True)
class Painted:
    """What a painter makes of an example; what was not asked for is None."""

    picture: Float[Tensor, "channels size size"] | None = None
    """Painted from noise, −1 to 1."""
    copy: Float[Tensor, "channels size size"] | None = None
    """Of a vae: the picture that it was given, written down and painted again."""
    bits_per_dimension: float | None = None
    """Of a vae: what the picture that it was given costs, at most; a dimension is a pixel's channel of 8 bits."""
    realness: float | None = None
    """Of a gan: what the discriminator says of the picture that it was given, above 0 is real."""


class Painter(Model):
    """A batch has "noise" where pictures are to be painted, "pixels" where there are some, "classes" where they are known."""

    d_latent: int

    def __init__(self, sizes: PaintSizes) -> None:
        super().__init__()
        self.sizes = sizes

    @abstractmethod
    def render(self, codes: Noise, classes: Classes | None = None) -> Pixels:
        """Pictures from the numbers that the model paints from."""

    def codes_of(self, noise: Noise, classes: Classes | None = None) -> Noise:
        """These numbers, from independent normal ones: the noise itself, unless the model knows what pictures are like."""
        return noise

    def paint(self, noise: Noise, classes: Classes | None = None) -> Pixels:
        """Pictures from noise, that is from independent normal numbers."""
        return self.render(self.codes_of(noise, classes), classes)

    def walk(self, batch: Batch) -> Pixels:
        """Pictures on the way from "noise" to the noise "to", as far as "share" says."""
        classes = batch.get("classes")
        first, last = self.codes_of(batch["noise"], classes), self.codes_of(batch["to"], classes)
        return self.render(between(first, last, batch["share"]), classes)

    @abstractmethod
    def judge(self, pixels: Pixels, classes: Classes | None = None) -> list[Painted]:
        """What the model says of pictures; each by itself, whatever else is in the batch."""

    @abstractmethod
    def observe(self, pixels: Pixels, classes: Classes | None = None) -> Tensor:
        """Look at pictures, as real ones are looked at; of use to whoever watches the attention meanwhile."""

    def predict(self, batch: Batch) -> list[Painted]:
        """A picture from each noise, and what there is to say of each picture."""
        classes = batch.get("classes")
        judged = self.judge(batch["pixels"], classes) if "pixels" in batch else []
        painted = list(self.painted(batch).float()) if "noise" in batch else []
        if not judged:
            return [Painted(picture) for picture in painted]
        pictures = painted or [None] * len(judged)
        return [
            Painted(picture, one.copy, one.bits_per_dimension, one.realness)
            for picture, one in zip(pictures, judged, strict=True)
        ]

    def estimate(self, batch: Batch) -> list[Painted]:
        """Pictures alone."""
        return [Painted(picture) for picture in self.painted(batch).float()]

    def painted(self, batch: Batch) -> Pixels:
        """A picture from each noise, or on the way to another."""
        return self.walk(batch) if "to" in batch else self.paint(batch["noise"], batch.get("classes"))


def between(one: Noise, other: Noise, share: Float[Tensor, " batch"]) -> Noise:
    """On the arc from one to another, as long as they are; White 2016, arXiv:1609.04468, section 2.1."""
    angle = cosine_similarity(one, other, dim=1).clamp(-1, 1).arccos().unsqueeze(1)
    share, sine = share.unsqueeze(1), angle.sin()
    arc = (((1 - share) * angle).sin() * one + (share * angle).sin() * other) / sine.clamp(min=SMALL_ANGLE)
    return torch.where(sine < SMALL_ANGLE, one + share * (other - one), arc)
