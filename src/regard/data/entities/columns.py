"""CoNLL columns, as `regard.data.conll` reads them, and their writer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from regard.data.conll import is_passed_over, looks_like_conll, parse_conll
from regard.data.findings import Finding
from regard.data.paragraphs import paragraphs
from regard.data.sentence import Sentence
from regard.data.words import may_be_word

LIMITS = (
    "a token must not have a tab or a line's end in it or white space at its ends, nor look like a comment or -DOCSTART-; "
    "a type must not be empty or have a tab or a line's end"
)


def is_format(lines: Sequence[str]) -> bool:
    """Whether the first rows have known tags in their last columns."""
    return looks_like_conll(lines)


def parse(lines: Sequence[str], path: Path, labelled: bool) -> tuple[list[Sentence], list[Finding]]:
    """The sentences that could be read, and findings."""
    sentences, findings = parse_conll(lines, path)
    return sentences if labelled else [replace(sentence, tags=None) for sentence in sentences], findings


def is_unlabelled(lines: Sequence[str]) -> bool:
    """Whether lines are words without tags, one in the first or only column of each, and no text.

    All are, with as many columns by tab behind them, in runs between blank lines of which most have several lines.
    """
    rows = [line for line in lines if not is_passed_over(line)]
    fields = [row.split("\t") for row in rows if row.strip()]
    if len({len(row) for row in fields}) != 1 or not all(may_be_word(row[0]) for row in fields):
        return False
    runs = list(paragraphs(rows))
    return len(runs) > 1 and 2 * sum(len(run) > 1 for run in runs) > len(runs)


def parse_unlabelled(lines: Sequence[str]) -> list[Sentence]:
    """Sentences without tags."""
    runs = ([row for row in run if not is_passed_over(row[1])] for run in paragraphs(lines))
    return [Sentence(tuple(line.split("\t")[0].strip() for _, line in run), None, run[0][0]) for run in runs if run]


def write(sentences: Sequence[Sentence]) -> list[str]:
    """Token and tag, a tab between them."""
    blocks = ([*map("\t".join, zip(one.tokens, one.tags or (), strict=True)), ""] for one in sentences)
    return list(chain.from_iterable(blocks))
