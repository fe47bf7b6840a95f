"""Pixels from the content of a file: what it is, is told by its first bytes."""

from __future__ import annotations

import io
import struct
import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any

from regard.errors import InputError

if TYPE_CHECKING:
    import numpy as np

MAX_PIXELS = 100_000_000
"""Of a picture; one of more is refused before it is decoded."""
FORMATS = "PNG, JPEG, WebP, GIF, BMP, TIFF or PPM"
_ENDINGS = {"Png": "png", "Jpeg": "jpg", "Gif": "gif", "Bmp": "bmp", "Tiff": "tif", "Ppm": "ppm", "WebP": "webp"}
"""Of files, by Pillow's name of the format."""
_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "Png",
    b"\xff\xd8\xff": "Jpeg",
    b"GIF8": "Gif",
    b"BM": "Bmp",
    b"II*\0": "Tiff",
    b"MM\0*": "Tiff",
    **{b"P" + bytes([digit]): "Ppm" for digit in b"123456"},
}
_ORIENTATION = 0x0112
_TURNS = (
    "FLIP_LEFT_RIGHT",
    "ROTATE_180",
    "FLIP_TOP_BOTTOM",
    "TRANSPOSE",
    "ROTATE_270",
    "TRANSVERSE",
    "ROTATE_90",
)
"""What sets a picture upright whose orientation is 2, 3, ... 8."""
_BROKEN = (OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError, EOFError, struct.error, zlib.error)
"""What Pillow raises for a damaged file."""


def ending_of(content: bytes) -> str | None:
    """The usual one of such files, jpg for one; None where it is no picture."""
    kind = _kind(content)
    return kind and _ENDINGS[kind]


def decode(content: bytes, name: str) -> np.ndarray:
    """uint8 (height, width, 1 or 3) of the first frame; `name` is what errors call it."""
    from PIL import Image

    try:
        image = _opened(content)
        _refuse_huge(image.size)
        image.load()
        return _channels(_upright(image))
    except InputError as error:
        raise InputError(error.message, file=name) from None
    except Image.DecompressionBombError as error:  # found by the reader of a format that needs the memory at once
        raise InputError(f"a picture must have at most {MAX_PIXELS:,} pixels: {error}. Make it smaller.", file=name) from None
    except _BROKEN as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise InputError(f"the picture is damaged or cut off: {reason}. Save it again, or take it out.", file=name) from None


def _kind(content: bytes) -> str | None:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    return next((kind for begins, kind in _BEGINNINGS.items() if content.startswith(begins)), None)


def _opened(content: bytes) -> Any:
    """By the format's own class: `Image.open` would warn of large pictures before their size is known here."""
    if not content:
        raise InputError("a picture must hold something, got 0 bytes. Copy it again, or take it out.")
    kind = _kind(content)
    if kind is None:
        what = f"a file that begins with {content[:12]!r}"
        raise InputError(f"a picture must be {FORMATS}, got {what}. Convert it, or take it out.")
    return getattr(import_module(f"PIL.{kind}ImagePlugin"), f"{kind}ImageFile")(io.BytesIO(content))


def _refuse_huge(size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        got = f"{width:,} x {height:,} = {width * height:,}"
        raise InputError(f"a picture must have at most {MAX_PIXELS:,} pixels, got {got}. Make it smaller.")


def _upright(image: Any) -> Any:
    """Turned as its EXIF data says; a picture whose EXIF data is broken stays as it is."""
    from PIL import Image

    try:
        orientation = image.getexif().get(_ORIENTATION)
    except _BROKEN:
        return image
    is_turned = isinstance(orientation, int) and 2 <= orientation <= 8
    return image.transpose(Image.Transpose[_TURNS[orientation - 2]]) if is_turned else image


def _channels(image: Any) -> np.ndarray:
    """Grey or red, green, blue, on white where it is transparent."""
    import numpy as np
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        return _of_16_bits(image)
    is_grey = image.mode in ("1", "L", "LA")
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    values = np.array(image.convert("L" if is_grey else "RGB"))
    return values[:, :, None] if is_grey else values


def _of_16_bits(image: Any) -> np.ndarray:
    import numpy as np

    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 2**16 - 1:
        raise InputError("a picture must have 8 or 16 bits a channel, got 32. Convert it.")
    return (values >> 8).astype(np.uint8)[:, :, None]
