"""Checks of labelled pictures, within their parts and between them. In linear time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from regard.data.files import Files
from regard.data.findings import Finding, counted, first_few, share_of
from regard.data.pictures.picture import Picture
from regard.data.quality import Labelled, check_parts
from regard.data.typos import near_duplicates

MAX_RATIO = 20
"""Of the largest class to the smallest."""
FEW = 1_000
"""One of so many pictures in two classes, or more of them, stops training; a large set has some that are never found."""
Parts = dict[str, list[Picture]]
ByClass = dict[str, dict[str | None, Picture]]


def describe_pictures(examples: Sequence[Picture]) -> dict[str, Any]:
    """How many there are, and the smallest and the largest by area."""
    sizes = sorted((one.size for one in examples if one.size), key=lambda size: (size[0] * size[1], size))
    shown = {"smallest": "{} x {}".format(*sizes[0]), "largest": "{} x {}".format(*sizes[-1])} if sizes else {}
    return {"pictures": len(examples), "classes": len(_classes(examples)), **shown}


def check_pictures(files: Files, parts: Parts) -> list[Finding]:
    """Errors of classes that training lacks and of many pictures in two classes; warnings of all else, a handful of a kind."""
    findings = []
    known = _by_class(parts.get("train", []))
    for split, path in files.items():
        findings += [*first_few(_in_two_classes(parts[split], path)), *_repeated(parts[split], path)]
        if split != "train" and files.train:
            findings += first_few(unseen_classes(parts["train"], parts[split]))
            findings += first_few(_contradicted(known, parts[split], (files.train, path)))
            findings += _leaked(known, parts[split], (files.train, path))
    if files.train:
        findings += [*_rare_and_slips(parts["train"], files.train), *_uneven(parts["train"], files.train)]
        if len(classes := _classes(parts["train"])) == 1:
            message = f"there must be two classes or more to tell apart, got {next(iter(classes))} alone."
            findings.append(Finding("error", files.train, None, message))
    return findings


def _classes(pictures: Sequence[Picture]) -> Counter[str]:
    """How many pictures each has."""
    return Counter(one.label for one in pictures if one.label is not None)


def _by_class(pictures: Sequence[Picture]) -> ByClass:
    """The first picture of each class, of each digest."""
    first: ByClass = defaultdict(dict)
    for one in pictures:
        first[one.digest].setdefault(one.label, one)
    return dict(first)


def _in_two_classes(pictures: Sequence[Picture], path: Path) -> list[Finding]:
    twice = {digest: classes for digest, classes in _by_class(pictures).items() if len(classes) > 1}
    level = _level(sum(one.digest in twice for one in pictures), len(pictures))
    message = "the same picture is in more than one class: {}. Keep it in one."
    return [Finding(level, path, None, message.format(_told(classes))) for classes in twice.values()]


def _told(classes: Mapping[str | None, Picture]) -> str:
    return " and ".join(f"{_place(one)} ({label})" for label, one in classes.items())


def _level(number: int, total: int) -> Literal["error", "warning"]:
    """Of pictures that are in two classes."""
    return "error" if number * FEW >= total else "warning"


def _repeated(pictures: Sequence[Picture], path: Path) -> list[Finding]:
    first: dict[tuple[str, str | None], Picture] = {}
    pairs = [
        (one, first[one.digest, one.label]) for one in pictures if first.setdefault((one.digest, one.label), one) is not one
    ]
    if not pairs:
        return []
    what = f"{_share(len(pairs), pictures)} the same as an earlier one of the same class"
    return [Finding("warning", path, None, f"{what}, such as {_named(*pairs[0])}. Keep one of each.")]


def _contradicted(known: ByClass, pictures: Sequence[Picture], paths: tuple[Path, Path]) -> list[Finding]:
    wrong = [one for one in pictures if one.digest in known and one.label not in known[one.digest]]
    level = _level(len(wrong), len(pictures))
    message = "the same picture has another class in {}: {} ({}) here, {} there. Mend the wrong one, or take both out."
    return [
        Finding(level, paths[1], one.line, message.format(paths[0].name, _place(one), one.label, _told(known[one.digest])))
        for one in wrong
    ]


def _leaked(known: ByClass, pictures: Sequence[Picture], paths: tuple[Path, Path]) -> list[Finding]:
    pairs = [(one, next(iter(known[one.digest].values()))) for one in pictures if one.digest in known]
    if not pairs:
        return []
    what = f"{_share(len(pairs), pictures)} also in {paths[0].name}, such as {_named(*pairs[0])}"
    return [Finding("warning", paths[1], None, f"{what}. Take them out of one of the two, else the score promises too much.")]


def unseen_classes(train: Sequence[Picture], pictures: Sequence[Picture]) -> list[Finding]:
    numbers = _classes(pictures)
    first = {one.label: one for one in reversed(pictures)}
    where = {label: f"{counted(number, 'picture')} here" for label, number in numbers.items()}
    messages = unseen(_classes(train), numbers, "pictures", where)
    return [Finding("error", Path(first[label].name), first[label].line, message) for label, message in messages]


def unseen(known: Counter[str], numbers: Counter[str], things: str, where: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each class that training lacks, and why that is an error: a model that never saw a class has no output for it."""
    meant = dict(near_duplicates(known + numbers))
    for label in (label for label in numbers if label not in known):
        hint = f"Is it {meant[label]}? " if label in meant else ""
        what = f"the class must be in training too, {label} is not ({where[label]})."
        yield label, f"{what} {hint}Add {things} of it to train, or take it out."


def _rare_and_slips(train: Sequence[Picture], path: Path) -> list[Finding]:
    """Classes with too few different pictures, and names of classes that look like a slip."""
    different = {(one.digest, one.label or ""): one for one in train}
    return check_parts(Files(train=path), {"train": [Labelled(key, key[1:], one.line) for key, one in different.items()]})


def _uneven(train: Sequence[Picture], path: Path) -> list[Finding]:
    numbers = _classes(train).most_common()
    if not numbers or numbers[0][1] <= MAX_RATIO * numbers[-1][1]:
        return []
    (largest, most), (smallest, fewest) = numbers[0], numbers[-1]
    message = (
        f"the largest class, {largest}, has {most:,} pictures, more than {MAX_RATIO} times the {fewest:,} of {smallest}. "
        "Add pictures of small classes, or weigh classes in training."
    )
    return [Finding("warning", path, None, message)]


def _named(one: Picture, other: Picture) -> str:
    return f"{_place(one)} (as {_place(other)})"


def _place(picture: Picture) -> str:
    """In the part, which a finding names already."""
    return picture.key if isinstance(picture.key, str) else picture.name


def _share(number: int, pictures: Sequence[Picture]) -> str:
    return f"{share_of(number, len(pictures), 'picture')} {'is' if number == 1 else 'are'}"
