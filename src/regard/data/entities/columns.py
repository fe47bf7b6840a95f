"""CoNLL columns, as `regard.data.conll` reads them, and their writer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from regard.data.conll import looks_like_conll, parse_conll
from regard.data.findings import Finding
from regard.data.sentence import Sentence

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


def write(sentences: Sequence[Sentence]) -> list[str]:
    """Token and tag, a tab between them."""
    blocks = ([*map("\t".join, zip(one.tokens, one.tags or (), strict=True)), ""] for one in sentences)
    return list(chain.from_iterable(blocks))
