"""torch.nn.functional.scaled_dot_product_attention: PyTorch's fused kernels."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional as F

from regard.attention import dots
from regard.attention.blockwise import fused
from regard.attention.call import Call
from regard.attention.masks import Mask, causal, everything
from regard.attention.positions.bias import Bias

if TYPE_CHECKING:
    from regard.attention.dropout import Drawn
    from regard.attention.mechanism import Dot

DENSE_MASK_LIMIT = 512 * 512
"""Cells of a written-out mask above which tiles that skip the empty part are faster than a dense mask."""

SHORT_VECTOR, FEW_KEYS = 32, 512
"""Up to which attention in half precision is trained in float32 on a CPU."""

SMALL_MATRIX = 128 * 128
"""Cells up to which half precision is trained on a CPU without the fused kernel."""


def refusal(call: Call) -> str:
    if reason := dots.refusal(call):
        return reason
    mechanism = cast("Dot", call.mechanism)
    if dots.has_sinks(call):
        return f"it has no sinks, so no {type(mechanism.normalize).__name__}"
    if mechanism.softcap is not None:
        return "it has no softcap"
    if call.dropout is not None and call.dropout.weights is not None:
        return "it draws its own dropout of weights, which no seed of ours repeats"
    return ""


def drawback(call: Call) -> str:
    queries, keys = call.shape[2:]
    if _needs_matrix(call) and queries * keys > DENSE_MASK_LIMIT:
        return f"{_added_name(call)} must be written out for it as a {queries} × {keys} matrix"
    return ""


def attend(call: Call) -> Tensor:
    mechanism = cast("Dot", call.mechanism)
    query, key = mechanism.vectors(call.query, call.key)
    bias = call.bias_of(call.whole) if isinstance(call.bias, Bias) else call.bias
    tensors = (query, key, call.value) if bias is None else (query, key, call.value, bias)
    scale = mechanism.scale_for(query.shape[-1])
    kernel = partial(_attend, call.seen, scale)
    if _is_differentiated(tensors) and not torch.compiler.is_compiling():
        out = fused(partial(_exact, call.mask, scale, call.dropout), kernel, *tensors)
    else:
        out = kernel(*tensors)
    return dots.with_heads_dropped(call, out)


def _is_differentiated(tensors: tuple[Tensor, ...]) -> bool:
    """Does a gradient or a tangent pass through the call?"""
    if torch.is_grad_enabled() and any(x.requires_grad for x in tensors):
        return True
    return any(forward_ad.unpack_dual(x).tangent is not None for x in tensors)


def _exact(
    mask: Mask, scale: float, dropout: Drawn | None, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None
) -> Call:
    """The call with its bias written out, by a mechanism without parameters; without DropHead, which comes afterwards."""
    from regard.attention.scaled_dot import ScaledDot  # mechanisms import backends

    return Call(ScaledDot(scale), query, key, value, mask, bias, dropout if dropout and dropout.keys else None)


def _attend(mask: Mask, scale: float, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    allowed = bias
    if mask != everything and (bias is not None or mask != causal):
        allowed = mask.write((query.shape[0], query.shape[1]), range(query.shape[2]), range(key.shape[2]), query.device)
        allowed = allowed if bias is None else bias.masked_fill(~allowed, float("-inf"))
    width, dtype = value.shape[-1], query.dtype
    if query.device.type == "cpu":
        query, key, value = _for_cpu(query, key, value)
        allowed = allowed.to(query.dtype) if allowed is not None and allowed.is_floating_point() else allowed
    autocast = torch.autocast("cpu", enabled=False) if query.dtype != dtype else nullcontext()
    with autocast, _kernels(query, key.shape[2], is_masked=allowed is not None):
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=allowed,
            is_causal=allowed is None and mask == causal,
            scale=scale,
            enable_gqa=key.shape[1] != query.shape[1],
        )[..., :width].to(dtype)


def _for_cpu(query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
    """As the fused CPU kernel serves them (PyTorch 2.13): vectors of one width, each in one run of memory.

    Others it leaves to products and a softmax of the whole matrix. They are filled up with zeros, which change no product.
    Short ones are trained in float32: there its backward takes two thirds of the time or less.
    """
    tensors, widest = (query, key, value), max(query.shape[-1], value.shape[-1])
    filled = [F.pad(tensor, (0, widest - tensor.shape[-1])) if tensor.shape[-1] < widest else tensor for tensor in tensors]
    if query.requires_grad and widest <= SHORT_VECTOR and key.shape[2] <= FEW_KEYS:
        filled = [tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in filled]
    return [tensor if tensor.stride(-1) == 1 else tensor.contiguous() for tensor in filled]


def _kernels(query: Tensor, num_keys: int, is_masked: bool) -> AbstractContextManager[Any]:
    """Which of PyTorch's kernels may serve half precision.

    On a CPU the backward of the fused one is slower than products and a softmax where the matrix is small (seen with PyTorch
    2.13); those too sum in float32.

    On a Hopper GPU cuDNN's is the fastest. It is kept away from written masks: a row that may look at nothing comes out of it
    as noise (seen with PyTorch 2.11, cuDNN 9).
    """
    if query.dtype in (torch.float32, torch.float64) or torch.compiler.is_compiling():
        return nullcontext()
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if query.device.type == "cpu" and query.requires_grad and query.shape[2] * num_keys <= SMALL_MATRIX:
        return sdpa_kernel(SDPBackend.MATH)
    if query.device.type != "cuda":
        return nullcontext()
    if is_masked:
        return sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])
    if torch.cuda.get_device_capability(query.device) != (9, 0):
        return nullcontext()
    order = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    return sdpa_kernel(order, set_priority=True)


def _needs_matrix(call: Call) -> bool:
    return call.bias is not None or call.seen not in (everything, causal)


def _added_name(call: Call) -> str:
    return str(call.seen) if call.bias is None else "a bias"
