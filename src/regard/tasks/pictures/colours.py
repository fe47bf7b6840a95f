"""Changes of colour, of many pictures at once: numbers from 0 to 1, and a strength from −1 to 1 for each picture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

Pictures = Float[Tensor, "batch channels height width"]
Strength = Float[Tensor, "batch 1 1 1"]
MOST = 0.99
LEVELS = 256
FEWEST_BITS = 2
LUMINANCE = 0.299, 0.587, 0.114
"""Of red, green and blue; ITU-R BT.601."""


def brightness(x: Pictures, strength: Strength) -> Pictures:
    """Towards black, or away from it."""
    return x * (1 + MOST * strength)


def contrast(x: Pictures, strength: Strength) -> Pictures:
    """Towards the mean grey, or away from it."""
    return _blended(x, grey(x).mean((2, 3), keepdim=True), strength)


def colour(x: Pictures, strength: Strength) -> Pictures:
    """Towards grey, or away from it."""
    return _blended(x, grey(x), strength)


def sharpness(x: Pictures, strength: Strength) -> Pictures:
    """Towards a blurred picture, or away from it."""
    return _blended(x, avg_pool2d(pad(x, (1, 1, 1, 1), "replicate"), 3, 1), strength)


def posterize(x: Pictures, strength: Strength) -> Pictures:
    """Fewer bits for each number."""
    step = 2.0 ** ((8 - FEWEST_BITS) * strength.abs()).round()
    return (x * (LEVELS - 1) / step).floor() * step / (LEVELS - 1)


def solarize(x: Pictures, strength: Strength) -> Pictures:
    """What is brighter than a threshold is inverted."""
    return torch.where(x > 1 - strength.abs(), 1 - x, x)


def auto_contrast(x: Pictures, strength: Strength) -> Pictures:
    """Each channel stretched from 0 to 1."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return torch.where(high > low, (x - low) / (high - low).clamp(min=1e-6), x)


def equalize(x: Pictures, strength: Strength) -> Pictures:
    """Each number becomes the share of the numbers of its channel that are not larger."""
    values = (x * (LEVELS - 1)).round().long().flatten(2)
    counts = torch.zeros(*values.shape[:2], LEVELS).scatter_add_(2, values, torch.ones_like(values, dtype=torch.float))
    return (counts.cumsum(2) / values.shape[2]).gather(2, values).view_as(x)


def grey(x: Pictures) -> Float[Tensor, "batch 1 height width"]:
    """How bright each place is."""
    if x.shape[1] == 1:
        return x
    return (x * torch.tensor(LUMINANCE).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _blended(x: Pictures, other: Tensor, strength: Strength) -> Pictures:
    return other + (x - other) * (1 + MOST * strength)


COLOURS: dict[str, Callable[[Pictures, Strength], Pictures]] = {
    "brightness": brightness,
    "contrast": contrast,
    "colour": colour,
    "sharpness": sharpness,
    "posterize": posterize,
    "solarize": solarize,
    "auto contrast": auto_contrast,
    "equalize": equalize,
}
