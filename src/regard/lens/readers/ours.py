"""Our own mechanisms and gates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from regard.attention.call import Call
from regard.attention.gates.gate import Gate
from regard.attention.masks import Mask, everything
from regard.attention.mechanism import Mechanism
from regard.lens.readers.found import FoundCall
from regard.lens.readers.pytorch import as_cast


def from_mechanism(
    mechanism: Mechanism, query: Tensor, key: Tensor, value: Tensor, mask: Mask = everything, **options: Any
) -> FoundCall:
    """A call of one of our mechanisms."""
    return FoundCall(as_cast(Call(mechanism, query, key, value, mask, options.get("bias"))))


@torch.no_grad()
def map_of(gate: Gate, x: Tensor) -> Tensor:
    """What a gate multiplied its features by, computed again: it depends on them and its parameters alone."""
    return gate.map(x).detach().cpu()
