"""A number added to each score, as a function of positions, so that it is never written out whole."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.errors import InputError


class Bias(nn.Module):
    """Base class. A subclass writes `at`, and sets `num_heads` where it was made for so many."""

    num_heads: int | None = None
    """Heads it was made for; None serves any number."""

    def at(self, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """The numbers for index tensors that broadcast to (batch, heads, queries, keys); sides may stay of size 1."""
        raise NotImplementedError

    def require(self, num_heads: int) -> None:
        """Raise InputError where it was made for another number of heads."""
        if self.num_heads not in (None, num_heads):
            raise InputError(f"{type(self).__name__} was made for {self.num_heads} heads, got {num_heads}.")

    def write(
        self,
        num_heads: int,
        rows: range,
        keys: range,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Float[Tensor, "1 heads rows keys"]:
        """Write a rectangle out for heads 0 … num_heads − 1."""
        self.require(num_heads)
        head, query, key = (
            torch.arange(part.start, part.stop, device=device).view([-1 if i == axis else 1 for i in range(4)])
            for axis, part in enumerate((range(num_heads), rows, keys), 1)
        )
        return self.at(head, query, key).to(dtype).expand(1, num_heads, len(rows), len(keys))
