"""Boxes drawn on a picture."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard.data.pictures import Picture, pixels
from regard.tasks.detect.detection import Detection
from regard.tasks.detect.scenes import SceneView
from regard.tasks.folder import unused, write

if TYPE_CHECKING:
    from PIL import Image

Colour = tuple[int, int, int]
COLOURS = (
    0xEE4400,
    0x4400FF,
    0xFFAAFF,
    0x772255,
    0x880000,
    0x33FFCC,
    0xAAEE77,
    0xAA77FF,
    0x6611AA,
    0x669966,
    0xEEEE11,
    0xCC44AA,
)
"""The most unlike first; any two differ by 27 in CIELAB at least, for those too who lack a kind of cones (Machado 2009)."""
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
LUMINANCE = 0.2126, 0.7152, 0.0722
EQUAL = 0.179
"""Luminance on which black and white have the same contrast, WCAG 2.2."""
LINE, LETTERS = 1 / 250, 1 / 35
"""Of the longer side."""
LONGEST_NAME = 200
"""Bytes of the name of a file, with room for a number: systems take 255."""


def draw(view: SceneView, boxes: Sequence[dict[str, Any]], folder: Path) -> None:
    """A PNG in `folder`, named like the picture; of boxes as they are written."""
    content = io.BytesIO()
    drawn(pixels(view.picture), [Detection(**box) for box in boxes]).save(content, "PNG")
    write(unused(folder, _stem(view.picture), ".png"), content.getvalue())


def _stem(picture: Picture) -> str:
    """Its name with the folders above it, or its table and row, in one word."""
    key = picture.key
    name = Path(picture.name).name if isinstance(key, int) else os.path.splitext(key.replace("\\", "/"))[0]
    parts = (part for part in name.replace(":", "-").split("/") if part not in ("", ".", ".."))
    return "-".join(parts).encode()[-LONGEST_NAME:].decode(errors="ignore")


def drawn(values: Any, found: Sequence[Detection]) -> Image.Image:
    """The picture with a box in the colour of its class, the class and a confidence for each."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values).convert("RGB")
    longer = max(image.size)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(max(9, round(longer * LETTERS)))
    for one in reversed(found):
        colour = colour_of(one.class_number)
        pen.rectangle((one.xmin, one.ymin, one.xmax, one.ymax), outline=colour, width=max(1, round(longer * LINE)))
        text = f"{one.label} {100 * one.confidence:.0f}"
        left, _, right, bottom = pen.textbbox((0, 0), text, font=font)
        wide, high = right - left + 4, bottom + 2
        x, y = max(0.0, min(one.xmin, image.width - wide)), max(0.0, one.ymin - high)
        pen.rectangle((x, y, x + wide, y + high), fill=colour)
        pen.text((x + 2, y), text, fill=ink_on(colour), font=font)
    return image


def colour_of(class_number: int) -> Colour:
    """By the place of a class among those of the run, so that it is the same in every picture."""
    red, green, blue = COLOURS[class_number % len(COLOURS)].to_bytes(3, "big")
    return red, green, blue


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever has more contrast: 4.5 at least on any colour."""
    luminance = sum(weight * (part / 255) ** 2.2 for weight, part in zip(LUMINANCE, colour, strict=True))
    return BLACK if luminance > EQUAL else WHITE
