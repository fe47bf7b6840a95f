"""What a normaliser is."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from regard.catalog import NORMALIZERS, load


class Normalizer(nn.Module):
    """Turns the scores of a row into weights; what is not allowed gets exactly zero. A subclass writes `forward`."""

    sums_to_one = True
    """Does each row of weights sum to one, where any key is permitted?"""

    @classmethod
    def for_heads(cls, num_heads: int) -> Normalizer:
        """One with its defaults, for this number of heads."""
        return cls()

    def forward(
        self, scores: Float[Tensor, "batch heads rows keys"], allowed: Bool[Tensor, "#batch #heads rows keys"]
    ) -> Float[Tensor, "batch heads rows keys"]:
        raise NotImplementedError


def normalizer(given: str | Normalizer, num_heads: int = 1) -> Normalizer:
    """A normaliser by its name in the catalog or by import path; a module is returned as it is."""
    return given if isinstance(given, Normalizer) else load(NORMALIZERS, given).for_heads(num_heads)
