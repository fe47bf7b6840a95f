"""Additive attention."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.attention.mechanism import Mechanism, Scored
from regard.attention.normalizers.normalizer import Normalizer

EXPONENTIAL_LIMIT = 20.0
"""Largest |W query| and |U key| whose exponentials may be multiplied without overflow in float32."""


class Additive(Scored):
    """softmax(vᵀ tanh(W query + U key)); Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2.

    One (W, U, v) serves all heads. O(rows · keys · hidden) memory while a block of rows is scored.
    """

    def __init__(self, head_dim: int, hidden: int | None = None, normalize: str | Normalizer = "softmax") -> None:
        super().__init__(normalize)
        self.pair_width = hidden or head_dim
        self.from_query = nn.Linear(head_dim, self.pair_width, bias=False)
        self.from_key = nn.Linear(head_dim, self.pair_width, bias=False)
        self.energy = nn.Linear(self.pair_width, 1, bias=False)

    @classmethod
    def for_heads(cls, head_dim: int, num_heads: int = 1) -> Mechanism:
        return cls(head_dim)

    def score(
        self, query: Float[Tensor, "batch heads rows head_dim"], key: Float[Tensor, "batch heads keys head_dim"]
    ) -> Float[Tensor, "batch heads rows keys"]:
        query, key = self.from_query(query), self.from_key(key)
        return _Energies.apply(query, key, self.energy.weight[0].to(query.dtype))  # type: ignore[no-untyped-call]


class _Energies(torch.autograd.Function):
    """Σ v tanh(query + key) over the hidden width, by way of R = (1 − tanh) / 2 = 1 / (1 + e^(2 query) e^(2 key)).

    The exponentials are taken of each query and key, not of each pair: what is left for a pair is a product and a reciprocal,
    and the gradient needs no more than R − R² = (1 − tanh²) / 4.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, energy: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, energy)
        ctx.save_for_forward(query, key, energy)
        half = _half(query, key)
        ctx.half = half if any(ctx.needs_input_grad) else None
        return energy.sum() - 2 * (half @ energy)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, energy = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _differentiable(query, key, energy, grad)
        half = _half(query, key) if ctx.half is None else ctx.half
        ctx.half = None
        of_energy = grad.sum() - 2 * (grad.flatten() @ half.flatten(0, 3))
        slope = torch.addcmul(half, half, half, value=-1, out=half).mul_(grad[..., None])
        return slope.sum(3).mul_(4 * energy), slope.sum(2).mul_(4 * energy), of_energy

    @staticmethod
    def jvp(ctx: Any, of_query: Tensor | None, of_key: Tensor | None, of_energy: Tensor | None) -> Tensor:
        query, key, energy = ctx.saved_tensors
        tanh = torch.tanh(query[:, :, :, None] + key[:, :, None])
        moved = torch.zeros_like(tanh)
        moved = moved if of_query is None else moved + of_query[:, :, :, None]
        moved = moved if of_key is None else moved + of_key[:, :, None]
        out = ((1 - tanh.square()) * moved) @ energy
        return out if of_energy is None else out + tanh @ of_energy


def _half(
    query: Float[Tensor, "batch heads rows hidden"], key: Float[Tensor, "batch heads keys hidden"]
) -> Float[Tensor, "batch heads rows keys hidden"]:
    """(1 − tanh(query + key)) / 2 for each pair."""
    if query.device.type == "cpu" and query.dtype in (torch.float32, torch.float64):
        largest = max((x.abs().max() for x in (query, key) if x.numel()), default=0)
        if largest < EXPONENTIAL_LIMIT:
            return ((2 * query).exp()[:, :, :, None] * (2 * key).exp()[:, :, None]).add_(1).reciprocal_()
    return torch.tanh(query[:, :, :, None] + key[:, :, None]).neg_().add_(1).div_(2)


def _differentiable(query: Tensor, key: Tensor, energy: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients in operations that have gradients."""
    tanh = torch.tanh(query[:, :, :, None] + key[:, :, None])
    slope = grad[..., None] * energy * (1 - tanh.square())
    return slope.sum(3), slope.sum(2), (grad[..., None] * tanh).sum((0, 1, 2, 3))
