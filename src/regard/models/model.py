"""What training and prediction ask of every model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

Batch = dict[str, Tensor]


class Model(nn.Module, ABC):
    """A module that can say how wrong it is, and what it would answer."""

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """A scalar to make smaller."""

    @abstractmethod
    def predict(self, batch: Batch) -> list[Any]:
        """A raw prediction for each example, for the task to decode."""
