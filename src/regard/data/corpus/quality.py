"""Checks between the parts of a corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from regard.data.corpus.blocks import Block, passages_of
from regard.data.files import Files
from regard.data.findings import Finding, counted

LONG_LINE = 40
"""Characters of a line that two texts have in common by no chance."""
MAX_SHARED_PERCENT = 5
_NUM_NAMED = 8


def check_corpora(files: Files, parts: dict[str, list[Block]], *, is_words: bool, is_characters: bool) -> list[Finding]:
    """Warnings of dev and test text that stands in train, and of characters or words that train lacks.

    Train is read once, in memory that does not grow with it beyond its different words.
    """
    held = {split: path for split, path in files.items() if split != "train"}
    if files.train is None or not held:
        return []
    lines = {split: _long_lines(parts[split]) for split in held}
    known, met = _look_through(parts["train"], set().union(*lines.values()), is_words, is_characters)
    findings = []
    for split, path in held.items():
        findings += _leaked(lines[split], met, path, files.train)
        if is_words or is_characters:
            findings += _unknown(parts[split], known, path, is_words)
    return findings


def _long_lines(blocks: Sequence[Block]) -> set[str]:
    return {line.strip() for line in _lines(blocks) if len(line.strip()) >= LONG_LINE}


def _lines(blocks: Sequence[Block]) -> Iterator[str]:
    for passage in passages_of(blocks):
        yield from passage.text.split("\n")


def _look_through(blocks: Sequence[Block], wanted: set[str], is_words: bool, is_characters: bool) -> tuple[set[str], set[str]]:
    """All different characters or words, and which of the wanted lines are there."""
    known: set[str] = set()
    met: set[str] = set()
    for line in _lines(blocks):
        if is_characters or is_words:
            known.update(line.split() if is_words else line)
        if (stripped := line.strip()) in wanted:
            met.add(stripped)
    return known | {"\n"}, met


def _leaked(lines: set[str], met: set[str], path: Path, train: Path) -> list[Finding]:
    shared = lines & met
    if 100 * len(shared) <= MAX_SHARED_PERCENT * len(lines):
        return []
    message = (
        f"{len(shared):,} of its {counted(len(lines), 'long line')} ({100 * len(shared) / len(lines):.0f} %) stand in "
        f"{train.name} too; its score promises too much. Take them out of one of the two."
    )
    return [Finding("warning", path, None, message)]


def _unknown(blocks: Sequence[Block], known: set[str], path: Path, is_words: bool) -> list[Finding]:
    counts: Counter[str] = Counter()
    for line in _lines(blocks):
        counts.update(one for one in (line.split() if is_words else line) if one not in known)
    if not counts:
        return []
    what = "word" if is_words else "character"
    named = ", ".join(repr(one) for one, _ in counts.most_common(_NUM_NAMED))
    more = ", …" if len(counts) > _NUM_NAMED else ""
    message = (
        f"{counted(len(counts), what)} in it missing from the training file, {counts.total():,} times together: "
        f"{named}{more}. Each counts as unknown; tokens=bytes or bpe knows every character."
    )
    return [Finding("warning", path, None, message)]
