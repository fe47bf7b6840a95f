"""The loss of a softmax over a vocabulary, learnt from without holding all scores."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy, linear

SCORES_AT_ONCE, LEAST_TOKENS = 2**22, 512
"""Numbers that a part holds, 16 MB in float32; but with fewer tokens, adding up the gradient of the weights takes longest."""
IN_CACHE = 2**18
"""Numbers that go through one operation after another on a CPU, 1 MB in float32."""


def cross_entropy_of(
    states: Float[Tensor, "tokens d_model"],
    weight: Float[Tensor, "vocabulary d_model"],
    bias: Float[Tensor, " vocabulary"] | None,
    targets: Int[Tensor, " tokens"],
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """−log softmax(weight · state + bias)[target] in nats, the mean over tokens; the labels smoothed as torch's loss does it.

    While learning, a part of the tokens at a time is scored, and its gradient taken at once, in the place of the scores:
    beside gradients, memory is that of one part, and on a CPU few rows at a time go through the softmax, so that they stay in
    its cache. It can be differentiated once. Products are narrow where autocast says so; softmax, sums and the loss are in
    float32 at least.
    """
    wide = torch.promote_types(weight.dtype, torch.float32)
    if not torch.is_grad_enabled() or len(targets) == 0:
        return cross_entropy(linear(states, weight, bias).to(wide), targets, label_smoothing=label_smoothing)
    device = states.device.type
    is_narrow = torch.is_autocast_enabled(device) and weight.dtype != torch.float64
    dtype = torch.get_autocast_dtype(device) if is_narrow else weight.dtype
    with torch.autocast(device, enabled=False):
        return _Mean.apply(states, weight, bias, targets, label_smoothing, dtype)  # type: ignore[no-untyped-call]


class _Mean(torch.autograd.Function):
    """With p the softmax, ∂loss/∂score = (p − (1 − ε) · [is target] − ε / vocabulary) / tokens."""

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, smoothing: float, dtype: torch.dtype
    ) -> Tensor:
        wide = torch.promote_types(weight.dtype, torch.float32)
        narrow, narrow_bias = weight.to(dtype), None if bias is None else bias.to(dtype)
        d_states, d_weight = torch.empty_like(states), torch.zeros_like(weight, dtype=wide)
        d_bias = None if bias is None else torch.zeros_like(bias, dtype=wide)
        total, share = d_weight.new_zeros(()), 1 / len(targets)
        rows = max(LEAST_TOKENS, SCORES_AT_ONCE // len(weight))
        for x, own, d_x in zip(states.split(rows), targets[:, None].split(rows), d_states.split(rows), strict=True):
            x = x.to(dtype)
            d_scores = linear(x, narrow, narrow_bias)
            few = _rows_in_cache(d_scores)
            for part, right in zip(d_scores.split(few), own.split(few), strict=True):
                scores = part.to(wide)
                scores -= scores.amax(1, keepdim=True)
                said = (1 - smoothing) * scores.gather(1, right)
                if smoothing:
                    said += smoothing * scores.mean(1, keepdim=True)
                mass = scores.exp_().sum(1, keepdim=True)
                total += (mass.log() - said).sum()
                scores *= share / mass
                if smoothing:
                    scores -= share * smoothing / len(weight)
                scores.scatter_(1, right, scores.gather(1, right) - share * (1 - smoothing))
                if d_bias is not None:
                    d_bias += scores.sum(0)
                part.copy_(scores)
            d_x.copy_(d_scores @ narrow)
            few = _rows_in_cache(d_weight)
            for part, more in zip(d_weight.split(few), (d_scores.mT @ x).split(few), strict=True):
                part += more
        ctx.save_for_backward(d_states, d_weight, *(() if d_bias is None else (d_bias,)))
        return total * share

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        d_states, d_weight, *d_bias = (gradient * scale for gradient in ctx.saved_tensors)
        return d_states, d_weight, d_bias[0] if d_bias else None, None, None, None


def _rows_in_cache(numbers: Tensor) -> int:
    """As many as one operation after another goes through at once; all where there is no such cache."""
    return max(1, IN_CACHE // numbers.shape[1]) if numbers.is_cpu else len(numbers)
