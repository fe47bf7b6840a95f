"""What is not a number stays where it came from: a mask keeps it from the rows that may not look at it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from regard.attention.call import Call, share

FEW_ROWS = 32


def kept_apart(call: Call, attend: Callable[[Call], Tensor]) -> Tensor:
    """attend(call), where a row is NaN if its query is not finite, or a key or value that it may look at is not.

    Kernels multiply by weights of zero, and 0 · NaN = NaN; PyTorch's CPU kernel makes a row of zeros of a query that is NaN.
    Seen in the output when nothing is differentiated, in the inputs otherwise; left out on a GPU, where the check would stop
    the pipeline, and while compiling.
    """
    if call.query.device.type != "cpu" or torch.compiler.is_compiling():
        return attend(call)
    given = call.query, call.key, call.value
    if torch.is_grad_enabled() and any(x.requires_grad for x in given):
        return attend(call) if _is_finite(*given) else _apart(call, attend)
    out = attend(call)
    return out if _is_plausible(call, out) or _is_finite(*given) else _apart(call, attend)


def _is_plausible(call: Call, out: Tensor) -> bool:
    """No row is NaN, infinite or zero throughout; for a few rows two sums tell, which matters when one token is decoded."""
    if call.shape[2] < FEW_ROWS:
        total = out.sum().item()
        return total != 0 and math.isfinite(total + call.query.sum().item())
    rows = out.sum(-1)
    return bool((rows.isfinite() & (rows != 0)).all())


def _is_finite(*tensors: Tensor) -> bool:
    """By a sum, which is one fast pass; only where that is not finite, by each number."""
    with torch.no_grad():
        return all(bool(x.sum().isfinite()) or bool(x.isfinite().all()) for x in tensors)


def _apart(call: Call, attend: Callable[[Call], Tensor]) -> Tensor:
    with torch.no_grad():
        poisoned = _poisoned(call)
    safe = [torch.where(x.isfinite(), x, 0) for x in (call.query, call.key, call.value)]
    return attend(replace(call, query=safe[0], key=safe[1], value=safe[2])).masked_fill(poisoned, float("nan"))


def _poisoned(call: Call) -> Tensor:
    """Which outputs are made of something that is not finite."""
    query, key, value = (~x.isfinite() for x in (call.query, call.key, call.value))
    bad = share((value | key.any(-1, keepdim=True)).float(), call.shape[1])
    poisoned = query.any(-1, keepdim=True).expand(*call.shape[:3], call.value.shape[3]).clone()
    for block in call.blocks():
        mask = call.mask.part(block.rows, block.keys, block.batch)
        size = len(block.batch), call.shape[1]
        allowed = mask.write(size, range(len(block.rows)), range(sum(map(len, block.runs))), call.query.device)
        batch, rows = slice(block.batch.start, block.batch.stop), slice(block.rows.start, block.rows.stop)
        poisoned[batch, :, rows] |= (allowed.float() @ block.of_keys(bad[batch])) > 0
    return poisoned
