"""Numbers as short text: levels of one or two bytes, deflated, in base 64. The page unpacks one head at a time."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from regard.viewer.room import to_text

FINE = 65534
"""Levels of two bytes: within 0.013 % of each value on the logarithmic scale."""
COARSE = 254
"""Levels of one byte: within 2.3 %."""

Packed = dict[str, Any]


def pack(values: Tensor, levels: int = FINE, *, is_linear: bool = False) -> Packed:
    """Level 0 is 0, then equal steps up to the largest size, of its logarithm unless linear; NaN and infinity are missing.

    On the logarithmic scale, what is below 10**-decades of the largest is 0. Negative values have levels of their own.
    """
    given = values.detach().double().numpy().ravel()
    is_missing = ~np.isfinite(given)
    given = np.where(is_missing, 0, given)
    size, top = np.abs(given), float(np.abs(given).max(initial=0))
    is_signed, decades = bool((given < 0).any()), decades_of(levels)
    steps = levels // 2 if is_signed else levels
    share = size / top if top else size
    if is_linear:
        level = np.rint(share * steps)
    else:
        with np.errstate(divide="ignore"):
            level = np.where(share > 0, np.rint(steps + (steps - 1) * np.log10(share) / decades).clip(0), 0)
    code = np.where(is_missing, levels + 1, np.where((given < 0) & (level > 0), level + steps, level)).astype("<u2")
    planes = code.view(np.uint8).reshape(-1, 2).T if levels > COARSE else code.astype(np.uint8)
    scale = {"linear": True} if is_linear else {"decades": decades}
    return {"levels": levels, "steps": steps, "top": top, **scale, "data": deflated(planes.tobytes())}


def pack_integers(values: Tensor) -> Packed:
    """Whole numbers from −1, exactly: their four bytes in planes."""
    planes = (values.detach().numpy().ravel() + 1).astype("<u4").view(np.uint8).reshape(-1, 4).T
    return {"integers": int(values.numel()), "data": deflated(planes.tobytes())}


def pack_texts(texts: Sequence[str]) -> Any:
    """Texts: a plain list where it is short."""
    if len(texts) <= 1000:
        return list(texts)
    return {"texts": len(texts), "data": deflated(to_text(list(texts)).encode())}


def decades_of(levels: int) -> int:
    """Orders of magnitude that a logarithmic scale covers."""
    return 8 if levels > COARSE else 5


def relative_error(levels: int) -> float:
    """Half a step of the logarithmic scale: how far a value may be off, as a share of it."""
    return 10 ** (decades_of(levels) / (levels - 1) / 2) - 1


def deflated(data: bytes) -> str:
    """What DecompressionStream("deflate") reads, in base 64."""
    return base64.b64encode(zlib.compress(data, 6)).decode()
