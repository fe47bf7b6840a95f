"""Pictures and noise as tensors, classes as numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regard.data.pictures import Picture
from regard.errors import InputError
from regard.models.options import PainterOptions, usual_widths
from regard.models.painting import PaintSizes
from regard.tasks.paint.request import Request
from regard.tasks.pictures.views import Viewer, stacked

LARGEST, SMALLEST = 128, 16
"""Pixels of a side that are painted where nobody says how many."""


@dataclass(frozen=True)
class PaintEncoder:
    """What a painter learnt of the pictures it is to paint like: their size, and their classes where it minds them."""

    viewer: Viewer
    classes: tuple[str, ...]
    """None where it does not."""
    d_latent: int
    is_mirrored: bool = False
    """Are half of the training pictures mirrored?"""

    @classmethod
    def fit(cls, pictures: Sequence[Picture], options: PainterOptions, views: Any) -> PaintEncoder:
        """What the options leave open is as the pictures are; a side is a multiple of what the maps need."""
        chosen = getattr(options, options.name)
        viewer = Viewer.fit(pictures, views.plain)
        side = viewer.size
        if not views.size:
            side = min(LARGEST, max(SMALLEST, side))
            side = _multiple(side, 2 ** (len(chosen.widths or usual_widths(side)) - 1))
        return cls(Viewer(side, viewer.channels, 1.0), _classes(pictures, options), chosen.d_latent, views.mirror)

    @classmethod
    def load(cls, kept: dict[str, Any], *, is_mirrored: bool) -> PaintEncoder:
        """Again, from its `to_json`."""
        return cls(Viewer(**kept["viewer"]), tuple(kept["classes"]), kept["d_latent"], is_mirrored)

    def to_json(self) -> dict[str, Any]:
        """All it knows, as plain values."""
        return {"viewer": asdict(self.viewer), "classes": list(self.classes), "d_latent": self.d_latent}

    @property
    def sizes(self) -> PaintSizes:
        """What a model is built for."""
        return PaintSizes(self.viewer.channels, self.viewer.size, len(self.classes))

    def length(self, request: Request) -> int:
        """One each."""
        return 1

    def label_of(self, request: Request) -> str | None:
        """The class that is painted: the one asked for, or each in its turn; None where the run minds no classes."""
        if not self.classes:
            return None
        return self.classes[request.number % len(self.classes)] if request.label is None else request.label

    def error_of(self, request: Request) -> str:
        """Why a request cannot be met."""
        known = ", ".join(self.classes)
        if request.error or request.label in self.classes:
            return request.error
        if request.label is not None and self.classes:
            return f"the class must be one that the run knows ({known}), got {request.label}."
        if request.label is not None:
            return f"this run paints without classes, got {request.label}. Leave the class out."
        if request.view is not None and self.classes:
            return f"to judge it, it must be in a folder named like its class ({known})."
        return ""

    def noise_of(self, seed: int) -> Float[Tensor, " d_latent"]:
        """What a picture is painted from: the same from the same seed."""
        return torch.randn(self.d_latent, generator=torch.Generator().manual_seed(seed))

    def collate(self, requests: Sequence[Request]) -> dict[str, Tensor]:
        """Pixels where all have some, noise where all have a seed, and classes."""
        batch: dict[str, Tensor] = {}
        if all(request.view is not None for request in requests):
            pixels = stacked([request.original for request in requests])
            batch["pixels"] = 2 * self._mirrored(pixels, requests) - 1
        if any(request.view is None or request.seed is not None for request in requests):
            batch["noise"] = torch.stack([self.noise_of(request.number) for request in requests])
        if any(request.to is not None for request in requests):
            ends = [request.number if request.to is None else request.to for request in requests]
            batch["to"] = torch.stack([self.noise_of(end) for end in ends])
            batch["share"] = torch.tensor([request.share for request in requests])
        if self.classes:
            numbers = {label: number for number, label in enumerate(self.classes)}
            batch["classes"] = torch.tensor([numbers.get(self.label_of(request) or "", 0) for request in requests])
        return batch

    def _mirrored(self, pixels: Tensor, requests: Sequence[Request]) -> Tensor:
        if not (self.is_mirrored and all(request.is_training for request in requests)):
            return pixels
        is_turned = torch.rand(len(pixels), 1, 1, 1) < 0.5
        return torch.where(is_turned, pixels.flip(3), pixels)


def _multiple(side: int, factor: int) -> int:
    """The nearest multiple, the larger of two."""
    return max(2, (2 * side + factor) // (2 * factor)) * factor


def _classes(pictures: Sequence[Picture], options: PainterOptions) -> tuple[str, ...]:
    """Those that are painted by; none where the options say so or there are not two."""
    counts = Counter(picture.label for picture in pictures if picture.label is not None)
    if options.classes == "yes" and len(counts) < 2:
        got = f"got {next(iter(counts))} alone" if counts else "got none"
        raise InputError(
            f"to paint by class there must be pictures of two classes or more, in folders named like them, {got}. Add some, or "
            "leave out --model.classes yes."
        )
    return () if options.classes == "no" or len(counts) < 2 else tuple(sorted(counts))
