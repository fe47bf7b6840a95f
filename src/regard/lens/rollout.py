"""What attention, layer after layer, hands from the inputs to an output, in O(length) memory for each output asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from regard.attention.blockwise import Side
from regard.attention.call import Call
from regard.errors import InputError
from regard.lens.record import Lens, Reading
from regard.lens.statistics import Wanted
from regard.lens.stock import prepared, statistics_of
from regard.lens.sums import received

FUSIONS = "mean", "max", "min"


@torch.no_grad()
def rollout(
    lens: Lens | Iterable[Reading],
    tokens: Sequence[int] | Float[Tensor, "batch queries tokens"],
    *,
    residual: float = 0.5,
    fusion: str = "mean",
) -> Float[Tensor, "batch tokens inputs"]:
    """Row `token` of Aₗ … A₁ for each token, A = residual · I + (1 − residual) · P, rows of which are made to sum to one.

    A tensor of `tokens` gives mixtures instead: how much of each row of the last layer an output takes.

    Abnar and Zuidema 2020, arXiv:2005.00928, eq. 1 (residual 0.5; P the mean over heads). `fusion` may also take the largest or
    the smallest weight over heads. A row that may look at nothing is handed on as it is. The readings are the layers in order,
    of a `regard.watch(..., keep_calls=True)`; the latest call of each is taken. No layer's matrix is held: a step from a layer
    to the one below is Pᵀ r, by the kernels that compute attention, or with "max" and "min" by blocks of the weights.
    """
    if not 0 <= residual <= 1:
        raise InputError(f"residual must be a share between 0 and 1, got {residual}.")
    if fusion not in FUSIONS:
        raise InputError(f"fusion must be one of {', '.join(FUSIONS)}, got {fusion!r}.")
    calls = [_call_of(reading) for reading in _latest(lens)]
    _check_chain(calls)
    batch, _, queries, _ = calls[-1].shape
    if isinstance(tokens, Tensor):
        return _down(calls, _start(tokens, (batch, queries)).to(calls[-1].query), residual, fusion)
    if not all(-queries <= token < queries for token in tokens):
        raise InputError(f"tokens must be below {queries}, the length of the layers, got {list(tokens)}.")
    share = calls[-1].query.new_zeros(batch, queries, len(tokens))
    share[:, [token % queries for token in tokens], range(len(tokens))] = 1
    return _down(calls, share, residual, fusion)


def _start(shares: Tensor, shape: tuple[int, int]) -> Tensor:
    if shares.dim() != 3 or shares.shape[:2] != shape:
        raise InputError(f"tokens must have the sides {(*shape, 'tokens')}, got {tuple(shares.shape)}.")
    return shares


def _down(calls: Sequence[Call], share: Tensor, residual: float, fusion: str) -> Tensor:
    """From the last layer to the inputs."""
    for call in reversed(calls):
        share = _by_mean(call, share, residual) if fusion == "mean" else _by_extreme(call, share, residual, fusion)
    return share.mT


def _latest(lens: Lens | Iterable[Reading]) -> list[Reading]:
    readings = [lens[layer] for layer in lens.layers] if isinstance(lens, Lens) else list(lens)
    if not readings:
        raise InputError("rollout needs at least one layer, got none.")
    return readings


def _call_of(reading: Reading) -> Call:
    """The call of a reading, in float32 or wider."""
    if reading.call is None:
        raise InputError(
            f"{reading.layer} has no vectors to roll out: watch it with keep_calls=True. A layer that writes its weights out "
            "itself has none; load a transformers model with attn_implementation='sdpa'."
        )
    call = prepared(reading.call)
    if not call.mechanism.is_nonnegative:
        raise InputError(f"rollout needs weights that are shares; those of {type(call.mechanism).__name__} may be below 0.")
    if call.shape[2] != call.shape[3]:
        raise InputError(
            f"rollout goes through self-attention, but {reading.layer} has {call.shape[2]} queries and {call.shape[3]} keys: "
            "name the layers with watch(..., layers=…), without a cache."
        )
    return call


def _check_chain(calls: list[Call]) -> None:
    sizes = {(call.shape[0], call.shape[2]) for call in calls}
    if len(sizes) > 1:
        raise InputError(f"rollout needs layers of one batch and length, got {sorted(sizes)}: see watch(..., layers=…).")


def _by_mean(call: Call, share: Tensor, residual: float) -> Tensor:
    """shareᵀ A of the mean over heads."""
    total = statistics_of(call, ["total_weight"], Wanted())["total_weight"].mean(1)[..., None]
    from_self = torch.where(total > 0, residual, 1.0).to(share.dtype)
    share = share / (from_self + (1 - residual) * total)
    given = share[:, None].expand(-1, call.shape[1], -1, -1)
    return from_self * share + (1 - residual) * received(call, given).mean(1)


def _by_extreme(call: Call, share: Tensor, residual: float, fusion: str) -> Tensor:
    """shareᵀ A of the largest or smallest weights over heads, block by block."""
    below = torch.zeros_like(share)
    is_done = torch.zeros(share.shape[:2], dtype=torch.bool, device=share.device)
    for block in call.blocks():
        weights = call.part(block).weights()
        fused = weights.amax(1) if fusion == "max" else weights.amin(1)
        rows, batch = slice(block.rows.start, block.rows.stop), slice(block.batch.start, block.batch.stop)
        total = fused.sum(-1, keepdim=True)
        from_self = torch.where(total > 0, residual, 1.0).to(share.dtype)
        own = share[batch, rows] / (from_self + (1 - residual) * total)
        below[batch, rows] += from_self * own
        Side.KEYS.add(below[:, None], block, ((1 - residual) * fused.mT @ own)[:, None])
        is_done[batch, rows] = True
    return below + torch.where(is_done[..., None], 0, share)
