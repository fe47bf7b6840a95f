"""Batches of like length, in an order that a seed decides and a checkpoint can restore."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch


class Batches:
    """An iterable of batches for a training loop; each pass is a new order, drawn from (seed, pass).

    `state_dict` says which pass it is in and how many batches of it were given, so that a resumed run sees just the
    batches that were left.
    """

    def __init__(
        self,
        examples: Sequence[Any],
        collate: Callable[[list[Any]], Any],
        batch_size: int,
        *,
        length: Callable[[Any], int],
        seed: int | None = None,
        batch_tokens: int = 0,
    ) -> None:
        """With `batch_tokens`, batches have about so many tokens instead of `batch_size` examples."""
        self.examples, self.collate, self.batch_size, self.seed = examples, collate, batch_size, seed
        self.lengths = torch.tensor([length(example) for example in examples], dtype=torch.float64)
        self.num_batches = math.ceil(len(self.examples) / batch_size)
        if batch_tokens:
            self.num_batches = min(len(self.examples), math.ceil(float(self.lengths.sum()) / batch_tokens))
        self.batch_tokens = batch_tokens
        self.num_passes, self.num_given = 0, 0

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[Any]:
        if self.num_given == len(self):
            self.num_passes, self.num_given = self.num_passes + 1, 0
        for batch in self._order()[self.num_given :]:
            self.num_given += 1
            yield self.collate([self.examples[i] for i in batch])

    def _order(self) -> list[list[int]]:
        """Sorted by length; with a seed, lengths are jittered a little and the batches shuffled."""
        if self.seed is None:
            return [list(part) for part in self._cut(self.lengths)]
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.num_passes)
        jitter = torch.rand(len(self.lengths), generator=generator, dtype=torch.float64)
        parts = self._cut(self.lengths * (1 + 0.2 * jitter) + 3 * jitter)
        return [parts[i] for i in torch.randperm(len(parts), generator=generator)]

    def _cut(self, keys: torch.Tensor) -> list[list[int]]:
        order = torch.argsort(keys, stable=True)
        if not self.batch_tokens:
            return [part.tolist() for part in order.split(self.batch_size)] if len(keys) else []
        # Each example goes to the batch in whose share of all tokens it ends: as many batches in every pass.
        done = self.lengths[order].cumsum(0)
        places = (torch.arange(1, self.num_batches) / self.num_batches) * done[-1]
        steps = torch.arange(1, self.num_batches)
        cuts = (torch.searchsorted(done, places.to(done.dtype)) - steps).cummax(0).values + steps  # none is empty
        cuts = cuts.minimum(len(order) - self.num_batches + steps)
        return [part.tolist() for part in torch.tensor_split(order, cuts)]

    def state_dict(self) -> dict[str, int]:
        """Where the iteration is."""
        return {"num_passes": self.num_passes, "num_given": self.num_given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self.num_passes, self.num_given = state["num_passes"], state["num_given"]
