"""Sums over keys or queries by the kernels that compute attention, with their gradients. O(queries + keys) memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regard.attention import dots
from regard.attention.blockwise import Side
from regard.attention.call import Call, share

MOST_COLUMNS = 128
"""Columns that one call takes in place of values."""


def attend(call: Call) -> Tensor:
    """weights @ value. On a CPU by tiles: PyTorch's own kernel writes the matrix out where values are not as wide as keys."""
    return call.mechanism.attend(call, "tiled" if call.query.device.type == "cpu" else "auto")


def received(call: Call, given: Float[Tensor, "batch heads queries columns"]) -> Float[Tensor, "batch heads keys columns"]:
    """Pᵀ given, for each head: the gradient by value of any attention call. The graph is kept where gradients are on.

    For any mechanism; of a `prepared` call.
    """
    keys = call.shape[3]
    key = share(call.key, call.shape[1])  # a gradient by the values of shared heads would be summed over them
    parts = []
    for columns in given.split(MOST_COLUMNS, 3):
        value = given.new_zeros(*call.shape[:2], keys, columns.shape[3])
        parts.append(_pulled(replace(call, key=key, value=value), columns)[1])
    return torch.cat(parts, 3)


def _pulled(call: Call, given: Tensor) -> tuple[Tensor, Tensor]:
    """The output of a call, and the gradient by its values of (output · given)."""
    keeps_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        value = call.value * 1 if keeps_graph and call.value.requires_grad else call.value.detach().requires_grad_()
        out = attend(replace(call, value=value))
        (pulled,) = torch.autograd.grad(out, value, given, create_graph=keeps_graph, retain_graph=keeps_graph)
    return (out, pulled) if keeps_graph else (out.detach(), pulled)


def kernel_logsumexp(call: Call, query: Tensor, key: Tensor) -> Tensor:
    """log Σ exp of the scores of query and key, with the mask and bias of a call; see `_reasons` for what can be asked."""
    return _LogSumExp.apply(call, query, key)  # type: ignore[no-untyped-call]


class _LogSumExp(torch.autograd.Function):
    """The kernels return it; its gradient by the scores is P, so that by query and key is attention again."""

    @staticmethod
    def forward(ctx: Any, call: Call, query: Tensor, key: Tensor) -> Tensor:
        ctx.call = call
        ctx.save_for_backward(query, key)
        return _run_logsumexp(replace(call, query=query, key=key, value=key))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key = ctx.saved_tensors
        call = replace(ctx.call, query=query, key=key, value=key)
        gradient = gradient[..., None] * call.mechanism.scale_for(query.shape[-1])
        seen, of_key = _pulled(call, gradient * query)
        return None, gradient * seen, of_key


def _run_logsumexp(call: Call) -> Tensor:
    return _run_on_cpu(call) if call.query.device.type == "cpu" else _run_by_triton(call)


def _run_by_triton(call: Call) -> Tensor:
    from regard.attention.kernels.flash import flash_forward
    from regard.attention.kernels.layout import Layout

    device = call.query.device
    layout = Layout.build(call.mask.to(device), call.shape[2], call.shape[3], device)
    scale = call.mechanism.scale_for(call.query.shape[-1])  # type: ignore[operator]
    _, log_sum = flash_forward(call.query, call.key, call.key, layout, scale=scale)
    return log_sum.nan_to_num(neginf=0)


def _run_on_cpu(call: Call) -> Tensor:
    from regard.attention.kernels.cpu import FusedTiles

    tiles = FusedTiles(dots.dots_of(call))
    log_sum = call.query.new_zeros(call.shape[:3])
    for block in tiles.blocks:
        query, key = Side.ROWS.take(call.query, block), share(Side.KEYS.take(call.key, block), call.shape[1])
        key = key if key.stride(3) == 1 else key.contiguous()
        _, part = tiles.forward(block, query if query.stride(3) == 1 else query.contiguous(), key, key)
        Side.ROWS.take(log_sum, block).copy_(part)
    return log_sum
