"""Block by block, without the tiles in which no pair may look; recomputed in the backward pass.

O(queries + keys) memory in every derivative, for every mechanism, mask, bias and dropout, on any device. Softmax over scaled
dot products runs on PyTorch's CPU kernel, block by block; all else in plain PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from regard.attention.blockwise import walk_of, walked
from regard.attention.kernels import cpu

if TYPE_CHECKING:
    from regard.attention.call import Call


def refusal(call: Call) -> str:
    return ""


def drawback(call: Call) -> str:
    return ""


def attend(call: Call) -> Tensor:
    if not all(call.shape):
        return call.query.new_zeros(*call.query.shape[:3], call.value.shape[3])
    if cpu.serves(call):
        return cpu.attend(call)
    walk, tensors = walk_of(call)
    return walked(walk, *tensors)[0]
