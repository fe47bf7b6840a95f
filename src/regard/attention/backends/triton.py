"""Our own GPU kernels: tiles in which no pair may look are skipped; O(length) memory, forward and backward."""

from __future__ import annotations

import os
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from regard.attention import dots
from regard.attention.blockwise import hollow
from regard.attention.masks import Mask
from regard.attention.positions.alibi import Alibi

if TYPE_CHECKING:
    from regard.attention.call import Call
    from regard.attention.dropout import Drawn
    from regard.attention.kernels.flash import Drop
    from regard.attention.kernels.layout import Layout
    from regard.attention.mechanism import Dot

WIDEST = 256
DTYPES = torch.float32, torch.float16, torch.bfloat16


def refusal(call: Call) -> str:
    if not _is_installed():
        return "the package triton is not installed"
    if call.query.device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return f"it needs a GPU, the tensors are on {call.query.device}"
    if reason := dots.refusal(call):
        return reason
    if call.query.dtype not in DTYPES:
        return f"it computes float32, float16 and bfloat16, not {str(call.query.dtype).removeprefix('torch.')}"
    if max(call.query.shape[3], call.value.shape[3]) > WIDEST:
        return f"its heads are at most {WIDEST} wide, not {max(call.query.shape[3], call.value.shape[3])}"
    if call.bias is not None and not isinstance(call.bias, Alibi):
        return "of biases it computes ALiBi only"
    if (scale := cast("Dot", call.mechanism).scale_for(call.query.shape[3])) <= 0:
        return f"its scale must be above 0, not {scale}"
    return "" if all(call.shape) else "there is nothing to compute"


@cache
def _is_installed() -> bool:
    return find_spec("triton") is not None


def drawback(call: Call) -> str:
    return ""


def attend(call: Call) -> Tensor:
    form = dots.dots_of(call)
    sinks = () if form.sinks is None else (form.sinks,)
    kept = hollow(form, call=hollow(call))
    out = _Kernels.apply(kept, form.query, form.key, call.value, *sinks)  # type: ignore[no-untyped-call]
    return dots.with_heads_dropped(call, out)


class _Kernels(torch.autograd.Function):
    """Query, key, value and, if there are any, sinks."""

    @staticmethod
    def forward(ctx: Any, form: dots.Dots, *given: Tensor) -> Tensor:
        from regard.attention.kernels.flash import flash_forward

        query, key, value = given[:3]
        out, lse = flash_forward(query, key, value, _layout(form.call), **_options(form, given[3:]))
        ctx.form = form
        ctx.save_for_backward(*given, out, lse)
        ctx.save_for_forward(*given)
        return out

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        from regard.attention.kernels.flash import flash_backward, sink_gradient

        *given, out, lse = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again
            return None, *ctx.form.exact_gradients(grad_out, *given)
        options = _options(ctx.form, given[3:])
        query, key, value = given[:3]
        grads = flash_backward(grad_out, query, key, value, out, lse, _layout(ctx.form.call), **options)
        of_sinks = [sink_gradient(grad_out, out, lse, options["sinks"]).to(sink.dtype) for sink in given[3:]]
        return None, *grads, *of_sinks

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> Tensor:
        return ctx.form.tangent(tangents, *ctx.saved_tensors)


def _options(form: dots.Dots, sinks: tuple[Tensor, ...] | list[Tensor]) -> dict[str, Any]:
    bias = form.call.bias
    slopes = bias.slopes.to(form.query.device, torch.float32) if isinstance(bias, Alibi) else None
    return {
        "scale": form.scale,
        "softcap": form.softcap,
        "slopes": slopes,
        "sinks": sinks[0].float().contiguous() if sinks else None,
        "drop": _drop(form.call.dropout),
    }


def _drop(dropout: Drawn | None) -> Drop | None:
    from regard.attention.kernels.flash import Drop

    kept = None if dropout is None else dropout.keys or dropout.weights
    if dropout is None or kept is None:
        return None
    return Drop(kept.rows, kept.keys, kept.threshold, dropout.rate, dropout.keys is not None)


def _layout(call: Call) -> Layout:
    return _layout_of(call.mask, call.mask.version, call.shape, call.query.device)


@lru_cache(maxsize=16)
def _layout_of(mask: Mask, version: tuple[int, ...], shape: tuple[int, int, int, int], device: torch.device) -> Layout:
    """The layers of a model share a mask, and a layout costs as much as a short call: kept until its tensors are written to."""
    from regard.attention.kernels.layout import Layout

    return Layout.build(mask.to(device), shape[2], shape[3], device)
