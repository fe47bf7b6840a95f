"""Block of rows by block of rows, with only the keys these rows can see; recomputed in the backward pass.

O(queries + keys) memory, forward and backward, for every mechanism and mask, on any device, in plain PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from regard.attention.call import share

if TYPE_CHECKING:
    from regard.attention.call import Call


def refusal(call: Call) -> str:
    return ""


def drawback(call: Call) -> str:
    return ""


def attend(call: Call) -> Tensor:
    parts = [call.part(rows, keys) for rows, keys in call.blocks()]
    if not parts:
        return call.query.new_zeros(*call.query.shape[:3], call.value.shape[3])
    return torch.cat([_attend_recomputed(part) for part in parts], dim=2)


def _attend_recomputed(part: Call) -> Tensor:
    if not torch.is_grad_enabled():
        return _attend(part)
    return checkpoint(_attend, part, use_reentrant=False, preserve_rng_state=False)


def _attend(part: Call) -> Tensor:
    return part.weights() @ share(part.value, part.shape[1])
