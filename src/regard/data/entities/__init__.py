"""Sentences with their entities, read from and written to the formats people have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from regard.data.entities import columns, conllu, jsonl
from regard.data.files import read_lines, split_lines
from regard.data.findings import Finding
from regard.data.sentence import Sentence
from regard.data.spans import spans_of, to_bio
from regard.data.words import sentence_from_text
from regard.errors import InputError


class Format(NamedTuple):
    """How sentences are written, and what they must keep to."""

    write: Callable[[Sequence[Sentence]], list[str]]
    limits: str
    holds_tokens: bool = True
    holds_text: bool = True


FORMATS = {
    "conll": Format(columns.write, columns.LIMITS, holds_text=False),
    "conllu": Format(conllu.write, conllu.LIMITS),
    "jsonl": Format(jsonl.write_tokens, jsonl.LIMITS),
    "offsets": Format(jsonl.write_offsets, jsonl.OFFSET_LIMITS, holds_tokens=False),
    "spacy": Format(jsonl.write_spacy, jsonl.OFFSET_LIMITS, holds_tokens=False),
}
"""What `write_entities` writes; `read_entities` reads these and more."""
_READERS = (conllu, jsonl, columns)


def read_entities(path: Path, *, labelled: bool = True) -> tuple[list[Sentence], list[Finding]]:
    """The sentences of a file that could be read, and what is wrong with the rest. The content tells the format.

    Unless `labelled`, labels are neither needed nor read, and lines of no format are words in columns where no text looks so,
    else raw text, each cut into words.
    """
    return parse_entities(read_lines(path), path, labelled=labelled)


def parse_entities(lines: Sequence[str], path: Path, *, labelled: bool = True) -> tuple[list[Sentence], list[Finding]]:
    """The same for lines at hand; `path` is what findings call them."""
    reader = next((module for module in _READERS if module.is_format(lines)), _meant(lines) if labelled else None)
    if reader is None and columns.is_unlabelled(lines):
        return columns.parse_unlabelled(lines), []
    if reader is None:
        return [sentence_from_text(line, number) for number, line in enumerate(lines, 1) if line.strip()], []
    sentences, findings = reader.parse(lines, path, labelled)
    if not sentences and not any(finding.level == "error" for finding in findings):
        findings = [*findings, Finding("error", path, None, "the file holds no sentence.")]
    return sentences, sorted(findings, key=lambda finding: finding.line or 0)


def write_entities(sentences: Sequence[Sentence], format: str) -> list[str]:
    """Lines that `read_entities` reads as the same sentences; raises InputError where the format cannot hold one.

    conll keeps tokens and tags; conllu and jsonl also the text and the tokens' places in it; offsets and spacy keep the
    text (tokens with a space between where there is none) and which of its characters are entities, and reading cuts it
    into words anew. `FORMATS` says what each cannot hold.
    """
    if format not in FORMATS:
        raise InputError(f"the format must be one of {', '.join(FORMATS)}, got {format!r}.")
    for number, sentence in enumerate(sentences, 1):
        if not sentence.tokens or sentence.tags is None:
            raise InputError(f"each sentence must have tokens and tags to be written, sentence {number} has none.")
    known = FORMATS[format]
    lines = known.write(sentences)
    again = _read_again(lines)
    for number, sentence in enumerate(sentences):
        if number >= len(again) or not _is_held(sentence, again[number], known):
            raise InputError(f"sentence {number + 1} cannot be written as {format}: {known.limits}.")
    return lines


def _meant(lines: Sequence[str]) -> ModuleType:
    """What lines of no format were meant to be, for the errors to be about that."""
    first = next((line for line in lines if line.strip()), "")
    return jsonl if first.lstrip().startswith(("{", "[")) else columns


def _read_again(lines: list[str]) -> list[Sentence]:
    name = Path("what was written")
    try:
        return parse_entities(split_lines("\n".join(lines).encode(), name), name)[0]
    except UnicodeEncodeError:
        raise InputError("tokens must be Unicode to be written, one has half of a surrogate pair.") from None


def _is_held(sentence: Sentence, again: Sentence, format: Format) -> bool:
    if not format.holds_tokens:
        return jsonl.marked(sentence) == jsonl.marked(again)
    tags = tuple(to_bio(spans_of(sentence.tags or ()), len(sentence.tokens)))
    has_places = format.holds_text and sentence.offsets is not None
    is_placed = not has_places or (sentence.text, sentence.offsets) == (again.text, again.offsets)
    return (sentence.tokens, tags) == (again.tokens, again.tags) and is_placed
