"""Checks of labelled data, within its parts and between them, whatever the labels stand for. In linear time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from regard.data.files import Files
from regard.data.findings import Finding, counted, first_few
from regard.data.typos import near_duplicates

MIN_SEEN = 5
"""A label with fewer in training is told."""
_SHOWN, _DIFFERENCES = 3, 2
_WIDTH = 48
"""Of words that a message quotes."""
_LONG = 5
"""Sentences of as many tokens seldom come twice by chance."""


class Fact(NamedTuple):
    """That the tokens [start, stop) are an entity of some type, or an argument or a sense of the predicate `of`."""

    label: str
    start: int
    stop: int
    of: int = -1


@dataclass(frozen=True)
class Labelled:
    """A sentence as the checks see it."""

    tokens: tuple[str, ...]
    labels: tuple[str, ...]
    """The type of each entity or argument."""
    line: int | None = None
    facts: tuple[Fact, ...] = ()
    """All that was labelled: two sentences of the same words should have the same."""


Parts = dict[str, list[Labelled]]


def check_parts(files: Files, parts: Parts, max_length: int | None = None) -> list[Finding]:
    """Warnings, of each kind a handful to be shown; sentences of more than `max_length` tokens are told."""
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


def label_counts(sentences: Sequence[Labelled]) -> Counter[str]:
    """How often each label stands in them."""
    return Counter(label for one in sentences for label in one.labels)


def _first_lines(sentences: Sequence[Labelled]) -> dict[str, int | None]:
    """Each label, and the line of the first sentence that has it."""
    lines: dict[str, int | None] = {}
    for one in sentences:
        for label in one.labels:
            lines.setdefault(label, one.line)
    return lines


def _slips(paths: dict[str, Path], parts: Parts) -> list[Finding]:
    counts = {split: label_counts(parts[split]) for split in paths}
    total = sum(counts.values(), Counter[str]())
    findings = []
    for slip, meant in near_duplicates(total):
        split = next(split for split in paths if slip in counts[split])
        message = (
            f"the label {slip} ({_times(total[slip])}) looks like a slip for {meant} ({_times(total[meant])}). "
            f"Write {meant} if it is one."
        )
        findings.append(Finding("warning", paths[split], _first_lines(parts[split])[slip], message))
    return first_few(findings)


def _rare(paths: dict[str, Path], parts: Parts) -> list[Finding]:
    if "train" not in paths:
        return []
    lines = _first_lines(parts["train"])
    rare = [(label, number) for label, number in label_counts(parts["train"]).items() if number < MIN_SEEN]
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
    pairs = list(_pairs(sentences))
    if pairs:
        what = "repeats an earlier one" if len(pairs) == 1 else "repeat an earlier one"
        yield _about(pairs, len(sentences), path, what, "Keep one of each, unless the text repeats itself.")


def _leaked(train: Sequence[Labelled], sentences: Sequence[Labelled], paths: tuple[Path, Path]) -> Iterator[Finding]:
    first: dict[tuple[str, ...], Labelled] = {}
    for one in train:
        first.setdefault(one.tokens, one)
    pairs = [(one, first[one.tokens]) for one in sentences if one.tokens in first]
    if pairs:
        what = f"{'is' if len(pairs) == 1 else 'are'} also in {paths[0].name}"
        advice = "Take them out of one of the two files, else the score promises too much."
        yield _about(pairs, len(sentences), paths[1], what, advice)


def _contradictions(sentences: Sequence[Labelled], path: Path) -> Iterator[Finding]:
    for one, first in _pairs(sentences):
        if difference := _differences(first, one):
            message = f"line {first.line} has the same words with other labels: {difference}. Mend one."
            yield Finding("warning", path, one.line, message)


def _differences(there: Labelled, here: Labelled) -> str:
    """What the same tokens are in one sentence and in the other; nothing where all are the same."""
    before, after = _by_place(there), _by_place(here)
    places = sorted(place for place in before.keys() | after.keys() if before[place] != after[place])
    shown = [f"{_quoted(here.tokens, place)} is {before[place]} there, {after[place]} here" for place in places[:_DIFFERENCES]]
    more = len(places) - len(shown)
    return "; ".join([*shown, *([f"and {more} more"] if more else [])])


def _by_place(one: Labelled) -> dict[tuple[int, ...], str]:
    labels: dict[tuple[int, ...], str] = defaultdict(lambda: "nothing")
    for label, *place in one.facts:
        key = tuple(place)
        labels[key] = f"{labels[key]} and {label}" if key in labels else label
    return labels


def _quoted(tokens: Sequence[str], place: tuple[int, ...]) -> str:
    """The words in a place, and of which predicate they are something."""
    start, stop, of = place
    words = " ".join(tokens[start:stop])
    shown = words if len(words) <= _WIDTH else f"{words[: _WIDTH - 13]} … {words[-10:]}"
    return f'"{shown}"' + (f' of "{tokens[of]}"' if of >= 0 and of != start else "")


def _too_long(sentences: Sequence[Labelled], most: int, path: Path) -> Iterator[Finding]:
    message = (
        "the sentence has {:,} tokens, more than {:,}. See that no sentence's end is missing; a pretrained encoder reads it in "
        "windows."
    )
    for one in sentences:
        if len(one.tokens) > most:
            yield Finding("warning", path, one.line, message.format(len(one.tokens), most))


def _pairs(sentences: Sequence[Labelled]) -> Iterator[tuple[Labelled, Labelled]]:
    """Each sentence that came before, with the first of the same words."""
    first: dict[tuple[str, ...], Labelled] = {}
    for one in sentences:
        before = first.setdefault(one.tokens, one)
        if before is not one:
            yield one, before


def _about(pairs: list[tuple[Labelled, Labelled]], number: int, path: Path, what: str, advice: str) -> Finding:
    """How many sentences, how many of these are hardly a coincidence, and the lines of the first."""
    places = ", ".join(f"{one.line} (as {other.line})" for one, other in pairs[:_SHOWN])
    more = f" and {len(pairs) - _SHOWN:,} more" if len(pairs) > _SHOWN else ""
    lines = f"line{'s' if len(pairs) > 1 else ''} {places}{more}"
    num_long = sum(len(one.tokens) >= _LONG for one, _ in pairs)
    long = f"{num_long or 'none'} with {_LONG} tokens or more"
    share = 100 * len(pairs) / number
    found = f"{len(pairs):,} of {counted(number, 'sentence')} ({f'{share:.1f}' if share >= 0.1 else '<0.1'} %)"
    message = f"{found} {what}, {long}: {lines}. {advice}"
    return Finding("warning", path, pairs[0][0].line, message)


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"
