"""torch.nn.functional.scaled_dot_product_attention: PyTorch's fused kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional as F

from regard.attention.masks import causal, everything

if TYPE_CHECKING:
    from regard.attention.call import Call

DENSE_MASK_LIMIT = 1024 * 1024
"""Cells of a written-out mask above which tiles that skip the empty part are faster than a dense mask."""


def refusal(call: Call) -> str:
    from regard.attention.scaled_dot import ScaledDot  # mechanisms import backends

    if type(call.mechanism) is not ScaledDot:
        return f"it computes scaled dot products only, not {type(call.mechanism).__name__}"
    if call.mechanism.normalizer != "softmax":
        return f"it computes softmax only, not {call.mechanism.normalizer}"
    return ""


def drawback(call: Call) -> str:
    queries, keys = call.shape[2:]
    if _needs_matrix(call) and queries * keys > DENSE_MASK_LIMIT:
        return f"{call.mask} must be written out for it as a {queries} × {keys} matrix"
    return ""


def attend(call: Call) -> Tensor:
    batch, heads, queries, keys = call.shape
    allowed = bias = call.bias
    if _needs_matrix(call) and call.mask != everything:
        allowed = call.mask.write((batch, heads), range(queries), range(keys), call.query.device)
        if bias is not None:
            allowed = bias.masked_fill(~allowed, float("-inf"))
    return F.scaled_dot_product_attention(
        call.query,
        call.key,
        call.value,
        attn_mask=allowed,
        is_causal=not _needs_matrix(call) and call.mask == causal,
        scale=call.mechanism.scale,  # type: ignore[arg-type]
        enable_gqa=call.key.shape[1] != heads,
    )


def _needs_matrix(call: Call) -> bool:
    if call.bias is not None:
        return True
    return call.mask != everything and call.mask != causal
