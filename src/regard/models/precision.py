"""In which precision a model computes."""

from __future__ import annotations

from typing import Any

import torch


def autocast(precision: str, device: torch.device) -> Any:
    """A context in which matrices are multiplied in bfloat16, if `precision` says so, and in what the model has, if not.

    "auto" says so where the processor has instructions for it: a CPU with AVX-512 BF16, a GPU from Ampere on.
    """
    is_half = precision == "bfloat16" or (precision == "auto" and _has_bfloat16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=is_half)


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
