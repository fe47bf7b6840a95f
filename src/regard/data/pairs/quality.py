"""Checks of sentence pairs: one by one, over a file, and between the parts of a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from regard.data.files import Files
from regard.data.findings import Finding, share_of
from regard.data.pairs.pair import Pair

MAX_WORDS, MAX_CHARACTERS = 1_000, 10_000
MAX_RATIO, MIN_LENGTH = 9, 50
"""Of the longer side to the shorter, in characters, where the longer has more than MIN_LENGTH."""
MAX_SAME_PERCENT = 20
_MOST_TOLD = 5


def cleaned(pairs: Sequence[Pair], path: Path) -> tuple[list[Pair], list[Finding]]:
    """The pairs with text on both sides, and warnings."""
    kept: list[Pair] = []
    empty: list[Pair] = []
    for pair in pairs:
        (kept if all(map(str.strip, _sides(pair))) else empty).append(pair)
    long = [pair for pair in kept if any(map(_is_long, _sides(pair)))]
    uneven = [pair for pair in kept if _is_uneven(pair)]
    limits = f"{MAX_WORDS:,} words or {MAX_CHARACTERS:,} characters"
    return kept, [
        *_told(empty, path, "an empty side", "dropped."),
        *_told(long, path, f"a side of more than {limits}", "kept, and shortened in training."),
        *_told(uneven, path, f"one side more than {MAX_RATIO} times as long as the other", "are the files out of step?"),
        *_same(kept, path),
    ]


def check_pairs(files: Files, parts: dict[str, list[Pair]]) -> list[Finding]:
    """Warnings of pairs that come again in the same part, or of dev and test in train."""
    findings = []
    for split, path in files.items():
        findings += list(_repeated(parts[split], path))
        if split != "train" and files.train:
            findings += list(_leaked(parts["train"], parts[split], (files.train, path)))
    return findings


def _sides(pair: Pair) -> tuple[str, ...]:
    return (pair.source,) if pair.target is None else (pair.source, pair.target)


def _is_long(text: str) -> bool:
    return len(text) > MAX_CHARACTERS or (len(text) >= 2 * MAX_WORDS and len(text.split()) > MAX_WORDS)


def _is_uneven(pair: Pair) -> bool:
    lengths = [len(side) for side in _sides(pair)]
    return max(lengths) > max(MIN_LENGTH, MAX_RATIO * min(lengths))


def _told(pairs: Sequence[Pair], path: Path, what: str, so: str) -> list[Finding]:
    """Each of a few, the number of many."""
    if len(pairs) <= _MOST_TOLD:
        return [Finding("warning", path, pair.line, f"the pair has {what}: {so}") for pair in pairs]
    message = f"{len(pairs):,} pairs have {what}, first line {pairs[0].line}: {so}"
    return [Finding("warning", path, pairs[0].line, message)]


def _same(pairs: Sequence[Pair], path: Path) -> Iterator[Finding]:
    same = [pair for pair in pairs if pair.source == pair.target]
    if 100 * len(same) > MAX_SAME_PERCENT * len(pairs):
        message = f"{_share(same, pairs)} the same text on both sides, first line {same[0].line}. Is it one file twice?"
        yield Finding("warning", path, same[0].line, message)


def _repeated(pairs: Sequence[Pair], path: Path) -> Iterator[Finding]:
    first: dict[tuple[str, ...], Pair] = {}
    again = [pair for pair in pairs if first.setdefault(_sides(pair), pair) is not pair]
    if again:
        place = f"line {again[0].line} (as {first[_sides(again[0])].line})"
        message = f"{_share(again, pairs)} come before, first {place}. Keep one of each, unless the text repeats itself."
        yield Finding("warning", path, again[0].line, message)


def _leaked(train: Sequence[Pair], pairs: Sequence[Pair], paths: tuple[Path, Path]) -> Iterator[Finding]:
    sources = {pair.source: pair.line for pair in reversed(train)}
    known = {_sides(pair) for pair in train}
    leaked = [pair for pair in pairs if pair.source in sources]
    if leaked:
        num_whole = sum(_sides(pair) in known for pair in leaked)
        place = f"line {leaked[0].line} (as {sources[leaked[0].source]})"
        message = (
            f"{_share(leaked, pairs)} a source that {paths[0].name} has too, {num_whole or 'none'} with the same target: "
            f"first {place}. Take them out of one of the two files, else the score promises too much."
        )
        yield Finding("warning", paths[1], leaked[0].line, message)


def _share(some: Sequence[Pair], pairs: Sequence[Pair]) -> str:
    return f"{share_of(len(some), len(pairs), 'pair')} {'has' if len(some) == 1 else 'have'}"
