"""The definition itself: weights, then a matrix product. Exact, any dtype, any device, O(queries · keys) memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from regard.attention.call import share

if TYPE_CHECKING:
    from regard.attention.call import Call


def refusal(call: Call) -> str:
    return ""


def drawback(call: Call) -> str:
    return "it writes the whole matrix of weights"


def attend(call: Call) -> Tensor:
    return call.weights() @ share(call.value, call.shape[1])
