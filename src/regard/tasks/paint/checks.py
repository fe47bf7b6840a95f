"""What may be odd about pictures to learn painting from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from regard.data.files import Files
from regard.data.findings import Finding, first_few
from regard.data.pictures import Picture, unseen_classes
from regard.data.splitting import held_out

FEWEST, FEW, FEW_OF_A_CLASS = 4, 500, 20
"""Pictures without which nothing can be said of a part, and below which they are learnt by heart, in all or of a class."""


def check_paintings(files: Files, parts: dict[str, list[Picture]], classes: str) -> list[Finding]:
    """Too few pictures, classes that training lacks, pictures of many sizes; `classes` is whether they are minded."""
    findings = [one for split, path in files.items() for one in (*_few(split, parts, path), *_sizes(parts[split], path))]
    counts = Counter(picture.label for picture in parts.get("train", []) if picture.label is not None)
    if files.train and classes != "no" and len(counts) > 1:
        findings += _classes(files, parts, counts)
    return findings


def _few(split: str, parts: dict[str, list[Picture]], path: Path) -> Iterator[Finding]:
    pictures = parts[split]
    number, why = len(pictures), ""
    if split == "train" and "dev" not in parts:
        number = len(held_out(pictures, [picture.label or "" for picture in pictures])[0])
        why = f" to be held out, a tenth of each class, or a dev part; of {len(pictures):,} that is"
    if number < FEWEST:
        yield Finding("error", path, None, f"there must be {FEWEST} pictures or more{why or ', got'} {number}.")
    elif split == "train" and len(pictures) < FEW:
        advice = "a model learns them by heart. For a gan, give --model.gan.augment '[colour,move,cut]'."
        yield Finding("warning", path, None, f"{len(pictures):,} pictures are few: {advice}")


def _classes(files: Files, parts: dict[str, list[Picture]], counts: Counter[str]) -> Iterator[Finding]:
    """Where pictures are painted by class."""
    for split, path in files.items():
        if split == "train":
            continue
        yield from first_few(unseen_classes(parts["train"], parts[split]))
        if lacking := sum(picture.label is None for picture in parts[split]):
            message = f"{lacking:,} pictures have no class, those of training have: put each into a folder named like it"
            yield Finding("error", path, None, f"{message}, or give --model.classes no.")
    label, fewest = min(counts.items(), key=lambda one: one[1])
    if fewest < FEW_OF_A_CLASS and files.train:
        message = f"a class should have {FEW_OF_A_CLASS} pictures or more to be painted by, {label} has {fewest}: add some"
        yield Finding("warning", files.train, None, f"{message}, or give --model.classes no.")


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
