"""Attention in O(length) memory over the tiles that a mask leaves, forward and backward, on a GPU."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Float32, Int32
from torch import Tensor

from regard.attention.dropout import Drawn
from regard.attention.kernels.flash_backward import key_kernel, query_kernel
from regard.attention.kernels.flash_forward import forward_kernel
from regard.attention.kernels.layout import Layout
from regard.attention.kernels.pieces import Matrices, Terms
from regard.errors import InputError


class Step(NamedTuple):
    """What a program takes at a time, and how it is compiled: see `pin` and `settle` for the last two."""

    rows: int
    keys: int
    num_warps: int
    num_stages: int
    maxnreg: int | None = None
    pinned: bool = False
    settled: bool = False


FORWARD = {
    (2, 64): Step(64, 64, 4, 3, maxnreg=128, pinned=True),
    (2, 128): Step(64, 64, 4, 2, pinned=True),
    (2, 256): Step(64, 32, 4, 2),
    (4, 64): Step(64, 32, 4, 2),
    (4, 128): Step(32, 32, 4, 2),
    (4, 256): Step(32, 16, 4, 2),
}
QUERY_GRADIENT = {
    (2, 64): Step(64, 64, 4, 3, maxnreg=168, settled=True),
    (2, 128): Step(64, 64, 4, 2),
    (2, 256): Step(64, 32, 4, 1),
    (4, 64): Step(32, 32, 8, 1),
    (4, 128): Step(32, 16, 4, 1),
    (4, 256): Step(16, 16, 8, 1),
}
KEY_GRADIENT = {
    (2, 64): Step(64, 64, 4, 3, maxnreg=168, settled=True),
    (2, 128): Step(32, 64, 4, 2, settled=True),
    (2, 256): Step(32, 64, 8, 1),
    (4, 64): Step(32, 32, 4, 1),
    (4, 128): Step(16, 32, 4, 1),
    (4, 256): Step(16, 16, 4, 1),
}
"""By the bytes of a number and the wider of head and value dim, at least 64; measured in benchmarks/gpu_kernels.py."""


@dataclass(frozen=True, eq=False)
class Drop:
    """Pairs whose codes multiply, in wrapping int32, to less than `threshold` are dropped; both codes are odd.

    On keys: hidden before the softmax (DropKey; Li et al. 2023, arXiv:2208.02646). Else: their weights become 0 and the
    others are divided by 1 - rate, after it.
    """

    rows: Int32[Tensor, "batch heads queries"]
    keys: Int32[Tensor, " keys"]
    threshold: int
    rate: float
    on_keys: bool


def flash_forward(
    query: Float[Tensor, "batch heads queries head_dim"],
    key: Float[Tensor, "batch kv_heads keys head_dim"],
    value: Float[Tensor, "batch kv_heads keys value_dim"],
    layout: Layout,
    *,
    scale: float,
    softcap: float | None = None,
    slopes: Float32[Tensor, " heads"] | None = None,
    sinks: Float32[Tensor, " heads"] | None = None,
    drop: Drop | None = None,
) -> tuple[Float[Tensor, "batch heads queries value_dim"], Float32[Tensor, "batch heads queries"]]:
    """(out, log-sum-exp of each row's scores, the sink's logit among them).

    score = scale · q · k, then softcap · tanh(score / softcap), then - slope · |i - j|. A row without keys gives zeros and
    -inf (the sink's logit if there is one).
    """
    _check(query, key, layout, scale)
    query, key, value = map(_dense_rows, (query, key, value))
    out = _like(query, value.shape[3])
    lse = query.new_empty(query.shape[:3], dtype=torch.float32)
    step = _step(FORWARD, query, value, layout)
    _launch(
        forward_kernel,
        (_tiles(query.shape[2], step.rows), query.shape[1], query.shape[0]),
        *(*map(Matrices.of, (query, key, value, out)), lse),
        *(layout.by_query, layout.by_query_strides, layout.words),
        *(_terms(scale, softcap, slopes, sinks, drop), query.shape[2], key.shape[2]),
        **_sizes(query, key, value, layout, step),
    )
    return out, lse


def flash_backward(
    grad_out: Float[Tensor, "batch heads queries value_dim"],
    query: Float[Tensor, "batch heads queries head_dim"],
    key: Float[Tensor, "batch kv_heads keys head_dim"],
    value: Float[Tensor, "batch kv_heads keys value_dim"],
    out: Float[Tensor, "batch heads queries value_dim"],
    lse: Float32[Tensor, "batch heads queries"],
    layout: Layout,
    *,
    scale: float,
    softcap: float | None = None,
    slopes: Float32[Tensor, " heads"] | None = None,
    sinks: Float32[Tensor, " heads"] | None = None,
    drop: Drop | None = None,
) -> tuple[
    Float[Tensor, "batch heads queries head_dim"],
    Float[Tensor, "batch kv_heads keys head_dim"],
    Float[Tensor, "batch kv_heads keys value_dim"],
]:
    """(grad_query, grad_key, grad_value), the same bits every time; for the sinks' own see `sink_gradient`."""
    _check(query, key, layout, scale)
    query, key, value, out, grad_out = map(_dense_rows, (query, key, value, out, grad_out))
    grad_query, grad_key, grad_value = _like(query, query.shape[3]), _like(key, key.shape[3]), _like(value, value.shape[3])
    bases, deltas = torch.empty_like(lse), torch.empty_like(lse)
    terms = _terms(scale, softcap, slopes, sinks, drop)
    lengths = scale, query.shape[2], key.shape[2]
    step = _step(QUERY_GRADIENT, query, value, layout)
    _launch(
        query_kernel,
        (_tiles(query.shape[2], step.rows), query.shape[1], query.shape[0]),
        *(*map(Matrices.of, (query, key, value, out, grad_out, grad_query)), lse, bases, deltas),
        *(layout.by_query, layout.by_query_strides, layout.words, terms, *lengths),
        **_sizes(query, key, value, layout, step),
    )
    step = _step(KEY_GRADIENT, query, value, layout)
    _launch(
        key_kernel,
        (_tiles(key.shape[2], step.keys), key.shape[1], key.shape[0]),
        *(*map(Matrices.of, (query, key, value, grad_out, grad_key, grad_value)), bases, deltas),
        *(layout.by_key, layout.by_key_strides, layout.words, terms, *lengths),
        **_sizes(query, key, value, layout, step),
    )
    return grad_query, grad_key, grad_value


def sink_gradient(
    grad_out: Float[Tensor, "batch heads queries value_dim"],
    out: Float[Tensor, "batch heads queries value_dim"],
    lse: Float32[Tensor, "batch heads queries"],
    sinks: Float32[Tensor, " heads"],
) -> Float32[Tensor, " heads"]:
    """- sum of exp(sink - lse) · delta over batch and queries, delta = grad_out · out."""
    delta = torch.linalg.vecdot(grad_out.float(), out.float())
    return -((sinks[:, None] - lse).exp() * delta).sum((0, 2))


def _terms(scale: float, softcap: float | None, slopes: Tensor | None, sinks: Tensor | None, drop: Drop | None) -> Terms:
    threshold = drop.threshold if drop else None
    on_keys = drop is not None and drop.on_keys
    return Terms(
        factor=(scale if softcap is None else softcap) / math.log(2),
        inner=None if softcap is None else scale / softcap,
        slopes=slopes,
        sinks=sinks,
        drop_rows=drop.rows.contiguous() if drop else None,
        drop_keys=drop.keys.contiguous() if drop else None,
        key_threshold=threshold if on_keys else None,
        weight_threshold=None if on_keys else threshold,
        weight_scale=None if on_keys or drop is None else Drawn(drop.rate).growth,
    )


def _check(query: Tensor, key: Tensor, layout: Layout, scale: float) -> None:
    if scale <= 0:
        raise InputError(f"The kernels need scale > 0, got {scale}.")
    if layout.shape != (query.shape[2], key.shape[2]):
        raise InputError(f"The layout is of {layout.shape} queries and keys, the call of {(query.shape[2], key.shape[2])}.")


def _sizes(query: Tensor, key: Tensor, value: Tensor, layout: Layout, step: Step) -> dict[str, Any]:
    return {
        "GROUP": query.shape[1] // key.shape[1],
        "DIM": query.shape[3],
        "WIDTH": _width(query.shape[3]),
        "VALUE_DIM": value.shape[3],
        "VALUE_WIDTH": _width(value.shape[3]),
        "ROWS": layout.rows,
        "KEYS": layout.keys,
        "STEP_ROWS": step.rows,
        "STEP_KEYS": step.keys,
        "num_warps": step.num_warps,
        "num_stages": step.num_stages,
        "maxnreg": step.maxnreg,
        "PINNED": step.pinned,
        "SETTLED": step.settled,
    }


def _step(table: dict[tuple[int, int], Step], query: Tensor, value: Tensor, layout: Layout) -> Step:
    step = table[query.element_size(), max(64, _width(query.shape[3]), _width(value.shape[3]))]
    return step._replace(rows=min(step.rows, layout.rows), keys=min(step.keys, layout.keys))


def _width(dim: int) -> int:
    return max(16, 1 << (dim - 1).bit_length())


def _tiles(length: int, size: int) -> int:
    """How many tiles hold a length; in Python, since triton's own functions cost microseconds outside of kernels."""
    return -(-length // size)


def _dense_rows(x: Tensor) -> Tensor:
    return x if x.stride(3) == 1 else x.contiguous()


def _like(x: Tensor, dim: int) -> Tensor:
    """Empty, of width `dim`, with heads and length in memory as they lie in x, so that joining the heads stays free."""
    batch, heads, length, _ = x.shape
    if x.stride(1) < x.stride(2):
        return x.new_empty(batch, length, heads, dim).transpose(1, 2)
    return x.new_empty(batch, heads, length, dim)


def _launch(kernel: Any, grid: tuple[int, int, int], *arguments: Any, **sizes: Any) -> None:
    kernel[grid](*arguments, **sizes)
