"""What training and prediction ask of every model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from regard.errors import InputError

Batch = dict[str, Tensor]


class Reader(nn.Module, ABC):
    """Turns a batch into `width` features of each word."""

    width: int
    can_mark: bool = False
    """Whether it has `marked`: sentences read again, each with a mark on one of its words."""

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """(batch, length, width)."""


class Model(nn.Module, ABC):
    """A module that can say how wrong it is, and what it would answer."""

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """A scalar to make smaller."""

    @abstractmethod
    def predict(self, batch: Batch) -> list[Any]:
        """A raw prediction for each example, for the task to decode."""

    def estimate(self, batch: Batch) -> list[Any]:
        """What `predict` says, or near it and faster: by this the best weights are chosen while training."""
        return self.predict(batch)

    def rank(self, batch: Batch, num_best: int) -> list[Any]:
        """For each example its `num_best` most probable answers; raises InputError where the model cannot rank them."""
        raise InputError("--n-best is for models that rank several answers; this one gives one.")

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        """What an optimiser trains; parts that have groups of their own, such as pretrained ones, name their own rates."""
        taken: set[int] = set()
        for module in self.modules():
            own = None if module is self else getattr(module, "parameter_groups", None)
            if callable(own):
                yield from own()
                taken |= {id(parameter) for parameter in module.parameters()}
        yield {"params": [one for one in self.parameters() if one.requires_grad and id(one) not in taken]}
