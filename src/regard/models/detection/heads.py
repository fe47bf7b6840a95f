"""From states to scores of classes and to boxes."""

from __future__ import annotations

import math
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

RARE = 0.01
"""Probability of each class before anything is learnt; Lin et al. 2017, arXiv:1708.02002, section 3.3."""
HIDDEN = -1e4
"""A score of what is no answer."""


class Perceptron(nn.Sequential):
    """Linear layers of these widths with relu between them, the last of which begins as zeros."""

    def __init__(self, *widths: int) -> None:
        *inner, last = (nn.Linear(*pair) for pair in pairwise(widths))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        super().__init__(*(part for layer in inner for part in (layer, nn.ReLU())), last)


def class_scores(d_model: int, num_classes: int) -> nn.Linear:
    """Logits of classes, each of which is rare at first."""
    made = nn.Linear(d_model, num_classes)
    nn.init.constant_(made.bias, math.log(RARE / (1 - RARE)))
    return made


def hidden_unless(kept: Tensor, logits: Float[Tensor, "batch answers classes"]) -> Float[Tensor, "batch answers classes"]:
    """Logits in single precision, and no score where nothing is to be found."""
    return logits.float().masked_fill(~kept[:, :, None], HIDDEN)
