"""What may be odd about pictures to learn painting from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from regard.data.files import Files
from regard.data.findings import Finding
from regard.data.pictures import Picture

FEWEST, FEW = 4, 500
"""Pictures without which nothing can be said of a part, and below which a gan learns them by heart unless it is helped."""
HELD_OUT = 10
"""One in so many is held out where there is no dev part."""


def check_paintings(files: Files, parts: dict[str, list[Picture]]) -> list[Finding]:
    """Too few pictures, and such of many sizes."""
    return [one for split, path in files.items() for one in (*_few(split, parts, path), *_sizes(parts[split], path))]


def _few(split: str, parts: dict[str, list[Picture]], path: Path) -> Iterator[Finding]:
    number, is_shared = len(parts[split]), split == "train" and "dev" not in parts
    fewest = FEWEST * HELD_OUT if is_shared else FEWEST
    if number < fewest:
        why = ", of which a tenth is held out" if is_shared else ""
        yield Finding("error", path, None, f"there must be {fewest} pictures or more{why}, got {number}.")
    elif split == "train" and number < FEW:
        message = f"{number:,} pictures are few: a gan learns them by heart. Give --model.gan.augment '[colour,move,cut]'."
        yield Finding("warning", path, None, message)


def _sizes(pictures: Sequence[Picture], path: Path) -> list[Finding]:
    counts = Counter(picture.size for picture in pictures if picture.size)
    if len(counts) < 2:
        return []
    (width, height), most = counts.most_common(1)[0]
    message = (
        f"the pictures are of {len(counts):,} sizes, most often {width} x {height} ({most:,} of {len(pictures):,}): each is "
        "resized by its shorter side and its middle is kept. --views.size chooses the side."
    )
    return [Finding("warning", path, None, message)]
