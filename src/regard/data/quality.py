"""Checks of labelled data, within its parts and between them, whatever the labels stand for. In linear time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from regard.data.files import Files
from regard.data.findings import Finding
from regard.data.typos import near_duplicates

MIN_SEEN = 5
"""A label with fewer in training is told."""
_SHOWN = 3
_LONG = 5
"""Sentences of as many tokens seldom come twice by chance."""


@dataclass(frozen=True)
class Labelled:
    """A sentence as the checks see it."""

    tokens: tuple[str, ...]
    labels: tuple[str, ...]
    """The type of each entity or argument."""
    line: int | None = None
    answer: Hashable = None
    """All that was labelled, with its place: two sentences of the same words should have the same."""


Parts = dict[str, list[Labelled]]


def check_parts(files: Files, parts: Parts, max_length: int | None = None) -> list[Finding]:
    """Warnings, a handful of a kind at most; `max_length` is how many tokens a model takes in at once."""
    paths = dict(files.items())
    findings = [*_slips(paths, parts), *_rare(paths, parts)]
    for split, path in paths.items():
        findings += [*_repeated(parts[split], path), *first_few(_contradictions(parts[split], path))]
        if max_length is not None:
            findings += first_few(_too_long(parts[split], max_length, path))
        if split != "train" and "train" in paths:
            findings += first_few(_unseen(parts["train"], parts[split], path))
            findings += _leaked(parts["train"], parts[split], (paths["train"], path))
    return findings


def summary_table(parts: Parts) -> list[str]:
    """Lines of aligned columns: what each part holds, then how often each label stands in each."""
    counts = {split: _label_counts(sentences) for split, sentences in parts.items()}
    sizes = [["", "sentences", "tokens", "labels", "mean length", "longest"]]
    for split, sentences in parts.items():
        lengths = [len(one.tokens) for one in sentences]
        mean = sum(lengths) / max(1, len(lengths))
        whole = (f"{number:,}" for number in (len(lengths), sum(lengths), counts[split].total()))
        sizes.append([split, *whole, f"{mean:.1f}", f"{max(lengths, default=0):,}"])
    labels = sum(counts.values(), Counter[str]()).most_common()
    rows = [[label, *(f"{counts[split][label]:,}" for split in parts)] for label, _ in labels]
    return [*_aligned(sizes), "", *_aligned([["label", *parts], *rows])]


def first_few(findings: Sequence[Finding], most: int = _SHOWN) -> list[Finding]:
    """The first of many; the last that is kept says how many more there are."""
    kept, more = list(findings[:most]), len(findings) - most
    if more > 0:
        kept[-1] = replace(kept[-1], message=f"{kept[-1].message} And {more:,} more like this.")
    return kept


def _aligned(rows: list[list[str]]) -> list[str]:
    """Names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]


def _label_counts(sentences: Sequence[Labelled]) -> Counter[str]:
    return Counter(label for one in sentences for label in one.labels)


def _first_lines(sentences: Sequence[Labelled]) -> dict[str, int | None]:
    """Each label, and the line of the first sentence that has it."""
    lines: dict[str, int | None] = {}
    for one in sentences:
        for label in one.labels:
            lines.setdefault(label, one.line)
    return lines


def _slips(paths: dict[str, Path], parts: Parts) -> list[Finding]:
    counts = {split: _label_counts(parts[split]) for split in paths}
    total = sum(counts.values(), Counter[str]())
    findings = []
    for slip, meant in near_duplicates(total):
        split = next(split for split in paths if slip in counts[split])
        message = (
            f"the label {slip} ({total[slip]:,} times) looks like a slip for {meant} ({total[meant]:,} times). "
            f"Write {meant} if it is one."
        )
        findings.append(Finding("warning", paths[split], _first_lines(parts[split])[slip], message))
    return first_few(findings)


def _rare(paths: dict[str, Path], parts: Parts) -> list[Finding]:
    if "train" not in paths:
        return []
    lines = _first_lines(parts["train"])
    rare = [(label, number) for label, number in _label_counts(parts["train"]).items() if number < MIN_SEEN]
    message = "the label {} stands {} in training; fewer than {} are seldom learnt. Label more, or join it with another."
    return first_few(
        [
            Finding("warning", paths["train"], lines[label], message.format(label, _times(number), MIN_SEEN))
            for label, number in rare
        ]
    )


def _unseen(train: Sequence[Labelled], sentences: Sequence[Labelled], path: Path) -> list[Finding]:
    known = _first_lines(train)
    return [
        Finding("warning", path, line, f"the label {label} is not in the training file, so it can never be found.")
        for label, line in _first_lines(sentences).items()
        if known and label not in known
    ]


def _repeated(sentences: Sequence[Labelled], path: Path) -> Iterator[Finding]:
    repeats = list(_pairs(sentences))
    if repeats:
        yield _about(
            repeats, len(sentences), path, "repeat an earlier one", "Keep one of each, unless the text repeats itself."
        )


def _leaked(train: Sequence[Labelled], sentences: Sequence[Labelled], paths: tuple[Path, Path]) -> Iterator[Finding]:
    first: dict[tuple[str, ...], Labelled] = {}
    for one in train:
        first.setdefault(one.tokens, one)
    pairs = [(one, first[one.tokens]) for one in sentences if one.tokens in first]
    if pairs:
        advice = "Take them out of one of the two, else the score promises too much."
        yield _about(pairs, len(sentences), paths[1], f"are also in {paths[0].name}", advice)


def _contradictions(sentences: Sequence[Labelled], path: Path) -> list[Finding]:
    return [
        Finding(
            "warning",
            path,
            one.line,
            f"these words are labelled otherwise in line {first.line}: {_names(first)} there, {_names(one)} here. Mend one.",
        )
        for one, first in _pairs(sentences)
        if (one.labels, one.answer) != (first.labels, first.answer)
    ]


def _too_long(sentences: Sequence[Labelled], most: int, path: Path) -> list[Finding]:
    message = "the sentence has {:,} tokens, more than the {:,} that a model takes in at once. Split it."
    return [
        Finding("warning", path, one.line, message.format(len(one.tokens), most)) for one in sentences if len(one.tokens) > most
    ]


def _pairs(sentences: Sequence[Labelled]) -> Iterator[tuple[Labelled, Labelled]]:
    """Each sentence that came before, with the first of the same words."""
    first: dict[tuple[str, ...], Labelled] = {}
    for one in sentences:
        before = first.setdefault(one.tokens, one)
        if before is not one:
            yield one, before


def _about(pairs: list[tuple[Labelled, Labelled]], number: int, path: Path, what: str, advice: str) -> Finding:
    """How many sentences, how many of these are hardly a coincidence, and the lines of the first."""
    shown = ", ".join(f"line {one.line} (there {other.line})" for one, other in pairs[:_SHOWN])
    num_long = sum(len(one.tokens) >= _LONG for one, _ in pairs)
    message = (
        f"{len(pairs):,} of {number:,} sentences ({100 * len(pairs) / number:.1f} %) {what}, {num_long:,} of them of {_LONG} "
        f"tokens or more; first {shown}. {advice}"
    )
    return Finding("warning", path, pairs[0][0].line, message)


def _names(one: Labelled) -> str:
    return " ".join(one.labels) or "nothing"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
