"""Parallel files, such as train.en and train.de: line N of one is the translation of line N of the other."""

from __future__ import annotations

from collections import defaultdict
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from regard.data.files import SPLITS
from regard.data.findings import Finding
from regard.data.pairs.formats import FORMATS, format_of, unpacked
from regard.data.pairs.languages import Languages, direction, is_asked, is_code, is_known, matching
from regard.data.pairs.pair import Pair
from regard.data.stream import existing, open_lines, told
from regard.errors import InputError


class Side(NamedTuple):
    """What the name of a file of one language says: train and en, of train.en, train.en.gz or train.en.txt."""

    stem: str
    code: str


def side_of(path: Path, languages: Languages) -> Side | None:
    """The language that a file's name ends in; None where it ends in none."""
    name = unpacked(path)
    if name.suffix == ".txt" and is_known(name.with_suffix("").suffix[1:]):
        name = name.with_suffix("")
    code = name.suffix[1:]
    is_side = name.suffix not in FORMATS and (is_code(code) or is_asked(code, languages))
    return Side(name.stem, code) if is_side else None


def source_side(folder: Path, split: str, languages: Languages) -> Path | None:
    """The source's file of a part; None where the folder holds no two parallel files for it, or more than these."""
    with told(folder):
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
        hits = [path for path in paths if path.name.split(".")[0].lower() in SPLITS[split] and path.is_file()]
    parallel: dict[str, dict[str, Path]] = defaultdict(dict)
    others = []
    for path in hits:
        if side := side_of(path, languages):
            parallel[side.stem].setdefault(side.code, path)
        elif format_of(path):
            others.append(path)
    complete = [sides for sides in parallel.values() if len(sides) > 1]
    if others or len(complete) != 1:
        return None
    (sides,) = complete
    return sides[direction(list(sides), languages, folder).source]


def read(path: Path, side: Side, languages: Languages) -> tuple[list[Pair], list[Finding]]:
    """The pairs; an error where one file has more lines."""
    other = _partner(existing(path), side, languages)
    pairs: list[Pair] = []
    counts = [0, 0]
    with open_lines(path) as sources, open_lines(other) as targets:
        for lines in zip_longest(sources, targets):
            counts = [number + (line is not None) for number, line in zip(counts, lines, strict=True)]
            if None not in lines:
                pairs.append(Pair(*lines, counts[0]))
    if counts[0] != counts[1]:
        message = (
            f"parallel files must have as many lines as one another, got {counts[0]:,} in {path.name} and {counts[1]:,} in "
            f"{other.name}. Line N of one must be the translation of line N of the other."
        )
        return [], [Finding("error", path, min(counts) + 1, message)]
    return pairs, []


def _partner(path: Path, side: Side, languages: Languages) -> Path:
    """The target's file beside the source's."""
    others = _siblings(path, side, languages)
    if languages.target and matching([side.code, *others], languages.target) == side.code:
        message = f"the source's file must be named, got that of {languages.target}, the target. The other is read with it."
        raise InputError(message, file=path)
    if not others or (languages.target and not matching(others, languages.target)):
        missing = f"{side.stem}.{languages.target or 'de'}"
        none = "There is none; a file of both languages must end in .tsv, .jsonl or .tmx."
        beside = f"There is {', '.join(other.name for other in others.values())}." if others else none
        raise InputError(f"the file of the other language must stand beside this one, such as {missing}. {beside}", file=path)
    way = direction([side.code, *others], Languages(side.code, languages.target), path)
    if way.source != side.code:
        raise InputError(f"the source's file must be named, that of {way.source}. The other is read with it.", file=path)
    return others[way.target]


def way(path: Path, languages: Languages) -> Languages | None:
    """From which language into which a file is read with the one beside it; None of a file of another form."""
    side = side_of(path, languages)
    if side is None:
        return None
    others = _siblings(existing(path), side, languages)
    return direction([side.code, *others], Languages(side.code, languages.target), path) if others else None


def _siblings(path: Path, side: Side, languages: Languages) -> dict[str, Path]:
    """Files of the same stem in other languages."""
    with told(path.parent):
        others = sorted(other for other in path.parent.iterdir() if other.name.startswith(side.stem) and other.is_file())
    found: dict[str, Path] = {}
    for other in others:
        there = side_of(other, languages)
        if there and there.stem == side.stem and there.code != side.code:
            found.setdefault(there.code, other)
    return found
