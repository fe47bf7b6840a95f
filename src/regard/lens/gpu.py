"""Statistics by Triton on a GPU: softmax over dot products, in half precision by its tensor cores, with sums in float32.

The weights never leave the registers. What they need first, the log-sum-exp of each row, comes from a pass of its own or from
the model's own fused kernel, where that kept it.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import torch
from jaxtyping import Float
from torch import Tensor

from regard.attention.call import Call
from regard.attention.dots import dots_of
from regard.attention.dots import refusal as no_dots
from regard.attention.positions.alibi import Alibi
from regard.lens.gpu_passes import Passes
from regard.lens.statistics import Wanted

DTYPES = torch.float32, torch.float16, torch.bfloat16
MOST_TOP, MOST_DIM = 8, 256
LEAST_PAIRS = 2**20
"""Calls of fewer pairs of query and key are read as soon by the explicit pass."""


def refusal(call: Call, wanted: Wanted) -> str:
    """Why this pass cannot serve a call exactly, "" when it can."""
    if find_spec("triton") is None:
        return "the package triton is not installed"
    if call.query.device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return f"it needs a GPU, the tensors are on {call.query.device}"
    if call.query.dtype not in DTYPES:
        return f"it computes float32, float16 and bfloat16, not {str(call.query.dtype).removeprefix('torch.')}"
    if reason := no_dots(call):
        return reason
    if call.bias is not None and not isinstance(call.bias, Alibi):
        return "of biases it computes ALiBi only"
    form = dots_of(call)
    if form.query.shape[3] > MOST_DIM or wanted.top_keys > MOST_TOP:
        return f"it serves head_dim up to {MOST_DIM} and top_keys up to {MOST_TOP}"
    if form.scale <= 0:
        return f"it needs a scale above 0, not {form.scale}"
    return "" if call.shape[2] * call.shape[3] >= LEAST_PAIRS else "so few pairs are read as soon by the explicit pass"


@torch.no_grad()
def measure(
    call: Call,
    wanted: Wanted,
    first_query: int = 0,
    rows: tuple[range, ...] | None = None,
    *,
    logsumexp: Float[Tensor, "batch heads queries"] | None = None,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Every statistic of a call that `refusal` found no reason against, and the shares of alignments; on the call's device.

    Maps still as sums over queries, which are added up in no fixed order. `logsumexp` is of the scores in nats, without sinks,
    as `fused` gives it: then one product of queries and keys is enough, instead of two. One that does not fit is not used.
    Memory is O(queries + keys), and at most 256 MB, or a head's row of cells × keys, besides.
    """
    passes = Passes(dots_of(call), wanted, first_query, rows)
    if all(call.shape):
        passes.run(logsumexp)
        if logsumexp is not None and not passes.sums_are_right():
            passes = Passes(dots_of(call), wanted, first_query, rows)
            passes.run(None)
    return passes.values(), passes.aligned()


def fused(
    query: Float[Tensor, "batch heads queries dim"],
    key: Float[Tensor, "batch kv_heads keys dim"],
    value: Float[Tensor, "batch kv_heads keys value_dim"],
    *,
    is_causal: bool = False,
    scale: float | None = None,
) -> tuple[Float[Tensor, "batch heads queries value_dim"], Float[Tensor, "batch heads queries"]] | None:
    """scaled_dot_product_attention, to the bit, and the log-sum-exp that its kernel keeps; None where it keeps none."""
    if query.dim() != 4 or key.shape[:2] != query.shape[:2] or query.shape[3] % 8 or value.shape[3] != query.shape[3]:
        return None
    chosen, ops = torch._fused_sdp_choice(query, key, value, None, 0.0, is_causal, scale=scale), torch.ops.aten
    if query.device.type == "cpu" and chosen == torch.nn.attention.SDPBackend.FLASH_ATTENTION.value:
        found = ops._scaled_dot_product_flash_attention_for_cpu(query, key, value, 0.0, is_causal, scale=scale)
    elif chosen == torch.nn.attention.SDPBackend.FLASH_ATTENTION.value:
        found = ops._scaled_dot_product_flash_attention(query, key, value, 0.0, is_causal, False, scale=scale)
    elif chosen == torch.nn.attention.SDPBackend.CUDNN_ATTENTION.value:
        found = ops._scaled_dot_product_cudnn_attention(query, key, value, None, True, 0.0, is_causal, False, scale=scale)
    elif chosen == torch.nn.attention.SDPBackend.EFFICIENT_ATTENTION.value:
        found = ops._scaled_dot_product_efficient_attention(query, key, value, None, True, 0.0, is_causal, scale=scale)
    else:
        return None
    return found[0], found[1].reshape(*query.shape[:2], -1)[:, :, : query.shape[2]].float()
