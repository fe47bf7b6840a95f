"""Boxes drawn on a picture."""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from regard.data.pictures import pixels
from regard.tasks.detect.detection import Detection
from regard.tasks.detect.scenes import SceneView

if TYPE_CHECKING:
    from PIL import Image

LINE, LETTERS = 1 / 250, 1 / 35
"""Of the longer side."""


def draw(view: SceneView, boxes: Sequence[dict[str, Any]], folder: Path) -> None:
    """A PNG in `folder`, named like the picture; of boxes as they are written."""
    name = PurePosixPath(view.picture.name.replace("\\", "/").replace(":", "-")).name
    path = folder / f"{Path(name).stem}.png"
    number = 2
    while path.exists():
        path = folder / f"{Path(name).stem}-{number}.png"
        number += 1
    part = path.with_name(f".{path.name}.part")
    drawn(pixels(view.picture), [Detection(**box) for box in boxes]).save(part, "PNG")
    part.replace(path)


def drawn(values: Any, found: Sequence[Detection]) -> Image.Image:
    """The picture with a box, a class and a confidence for each."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values).convert("RGB")
    longer = max(image.size)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(max(9, round(longer * LETTERS)))
    for one in reversed(found):
        colour = colour_of(one.label)
        pen.rectangle((one.xmin, one.ymin, one.xmax, one.ymax), outline=colour, width=max(1, round(longer * LINE)))
        text = f"{one.label} {100 * one.confidence:.0f}"
        left, _, right, bottom = pen.textbbox((0, 0), text, font=font)
        y = max(0.0, one.ymin - bottom - 2)
        pen.rectangle((one.xmin, y, one.xmin + right - left + 4, y + bottom + 2), fill=colour)
        pen.text((one.xmin + 2, y), text, fill="white", font=font)
    return image


def colour_of(label: str) -> tuple[int, int, int]:
    """One for each class, the same in every picture."""
    hue = zlib.crc32(label.encode()) / 2**32
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.75)
    return round(255 * red), round(255 * green), round(255 * blue)
