"""Sentences with their predicates and arguments, read from and written to the formats people have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from regard.data.files import read_lines
from regard.data.findings import MOST_LISTED, Finding, first_few
from regard.data.offsets import misplaced
from regard.data.roles import conll2005, conll2012, conllup, jsonl
from regard.data.roles.propositions import overlaps, unattached
from regard.data.sentence import RoleSentence
from regard.errors import InputError

FORMATS = {"conllup": conllup, "conll2012": conll2012, "conll2005": conll2005, "jsonl": jsonl}
"""Each by its name, in the order in which a file is held against them."""
_UNLABELLED = (
    'a sentence must have "predicates" to be learnt from or scored, [] where it has none; this one has no such list. '
    "Label it, or leave it out."
)


def read_roles(path: Path) -> tuple[list[RoleSentence], list[Finding]]:
    """The labelled sentences of a file, and what is wrong with the rest. The content tells the format.

    A sentence that names no predicates, not even that there are none, is no example to learn from or to score by: an error.
    """
    sentences, findings = parse_roles(read_lines(path), path)
    unknown = first_few(
        (Finding("error", path, one.line, _UNLABELLED) for one in sentences if one.propositions is None), MOST_LISTED
    )
    labelled = [one for one in sentences if one.propositions is not None]
    return labelled, sorted(findings + unknown, key=lambda finding: finding.line or 0)


def parse_roles(lines: Sequence[str], path: Path) -> tuple[list[RoleSentence], list[Finding]]:
    """The sentences of lines at hand, labelled or not; `path` is what findings call them."""
    known = next((module for module in FORMATS.values() if module.is_format(lines)), None) or _meant(lines)
    if known is None:
        return [], [Finding("error", path, None, _unknown(lines))]
    sentences, findings = known.parse(lines, path)
    if not sentences and not findings:
        findings.append(Finding("error", path, None, "the file holds no sentence."))
    findings += first_few((one for sentence in sentences for one in overlaps(sentence, path)), MOST_LISTED)
    findings += first_few(one for sentence in sentences for one in unattached(sentence, path))
    findings += first_few(one for sentence in sentences for one in _misplaced(sentence, path))
    return sentences, sorted(findings, key=lambda finding: finding.line or 0)


def write_roles(sentences: Sequence[RoleSentence], format: str) -> list[str]:
    """Lines that `parse_roles` reads as the same sentences; raises where the format cannot hold one.

    jsonl keeps everything, conllup everything but the difference between no propositions and unknown ones, the columns
    tokens, senses and arguments that do not overlap. Line numbers are the new file's.
    """
    if format not in FORMATS:
        raise InputError(f"the format must be one of {', '.join(FORMATS)}, got {format!r}.")
    return FORMATS[format].write(sentences)


def _misplaced(sentence: RoleSentence, path: Path) -> Iterator[Finding]:
    for text in misplaced(sentence.tokens, sentence.text, sentence.offsets):
        yield Finding("warning", path, sentence.line, text)


def _meant(lines: Sequence[str]) -> ModuleType | None:
    """What lines of no format were meant to be, for the errors to be about that; None where nobody can tell."""
    first = next((line for line in lines if line.strip()), "")
    return jsonl if first.lstrip().startswith("{") else None


def _unknown(lines: Sequence[str]) -> str:
    if not any(line.strip() for line in lines):
        return "the file holds no sentence."
    return (
        "no format of roles was recognised. Known: CoNLL-U Plus with # global.columns (conllup), CoNLL-2012 with "
        "#begin document (conll2012), columns that end in brackets such as (A0* (conll2005), an object a line (jsonl)."
    )
