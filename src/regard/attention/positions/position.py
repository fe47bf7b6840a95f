"""What every position scheme is: at most three places where it acts."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from regard.attention.positions.bias import Bias
from regard.catalog import POSITIONS, load


class Position(nn.Module):
    """Base class. Override what the scheme needs of `embed`, `turn` and `bias`; each does nothing by itself.

    `start` is the position of the first row given, so that a key-value cache can pass its offset.
    """

    @classmethod
    def for_heads(cls, head_dim: int, num_heads: int) -> Position:
        """One with its defaults, for so many heads of this width."""
        return cls()

    def embed(self, x: Float[Tensor, "batch length d_model"], start: int = 0) -> Float[Tensor, "batch length d_model"]:
        """Embeddings that say where they stand."""
        return x

    def turn(
        self, x: Float[Tensor, "batch heads length head_dim"], start: int = 0
    ) -> Float[Tensor, "batch heads length head_dim"]:
        """Queries or keys that say where they stand."""
        return x

    @property
    def bias(self) -> Bias | None:
        """What is added to the scores."""
        return None


def position_named(given: str | Position | None, head_dim: int, num_heads: int) -> Position:
    """A scheme by its name in the catalog or by import path; a module stays as it is, None becomes one that does nothing."""
    if isinstance(given, Position):
        return given
    return Position() if given is None else load(POSITIONS, given).for_heads(head_dim, num_heads)
