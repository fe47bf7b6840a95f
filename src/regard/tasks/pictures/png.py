"""Pictures in bytes as PNG files, for pages and sheets."""

from __future__ import annotations

import io

from jaxtyping import UInt8
from torch import Tensor

Bytes = UInt8[Tensor, "channels height width"]
PAGE = 224
"""Pixels of the shorter side of a picture in a page; smaller ones are enlarged."""


def png_of(values: Bytes) -> bytes:
    """A file."""
    from PIL import Image

    rows = values.permute(1, 2, 0).numpy()
    written = io.BytesIO()
    Image.fromarray(rows[:, :, 0] if rows.shape[2] == 1 else rows).save(written, "PNG", optimize=True)
    return written.getvalue()


def enlarged(values: Bytes, shortest: int) -> Bytes:
    """By whole pixels, so that no pixel is blurred, until the shorter side has `shortest`."""
    scale = -(-shortest // min(values.shape[1:]))
    return values.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
