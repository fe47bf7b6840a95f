"""The discretised logistic: how probable an 8-bit value is; Salimans et al. 2017 (PixelCNN++), arXiv:1701.05517, eq. 2."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

HIGHEST = 255
HALF_STEP = 1 / HIGHEST
"""Half the way from one value to the next, where pixels go from −1 to 1."""


def levels_of(pixels: Float[Tensor, "*sides"]) -> Float[Tensor, "*sides"]:
    """The nearest 8-bit values, 0 to 255, of pixels from −1 to 1."""
    return ((pixels + 1) * (HIGHEST / 2)).round().clamp(0, HIGHEST)


class Logistic(NamedTuple):
    """A logistic distribution of the value of each channel of each pixel, before it is rounded; pixels go from −1 to 1."""

    centre: Float[Tensor, "batch channels height width"]
    log_scale: Float[Tensor, "#batch channels #height #width"]

    @property
    def median(self) -> Float[Tensor, "batch channels height width"]:
        """What values lie above as often as below: a picture without the noise that the distribution allows for."""
        return self.centre.clamp(-1, 1)

    def log_probability(self, levels: Float[Tensor, "batch channels height width"]) -> Float[Tensor, " batch"]:
        """Nats of a picture's values from 0 to 255: each takes what lies nearest to it, the first and the last the tails.

        With σ(a) − σ(b) = σ(a) σ(−b) (1 − exp(b − a)) nothing cancels, however far a value lies from the centre.
        """
        precision = torch.exp(-self.log_scale)
        distance = levels * (2 / HIGHEST) - 1 - self.centre
        below, above = logsigmoid((distance + HALF_STEP) * precision), logsigmoid((HALF_STEP - distance) * precision)
        step = torch.log(-torch.expm1(-2 * HALF_STEP * precision))
        is_first, is_last = levels == 0, levels == HIGHEST
        nats = below.masked_fill(is_last, 0) + above.masked_fill(is_first, 0) + step.masked_fill(is_first | is_last, 0)
        return nats.flatten(1).sum(1)
