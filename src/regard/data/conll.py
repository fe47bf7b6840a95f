"""CoNLL columns: a token a line, its tag in the last of 2 to 4 columns, a blank line after each sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path

from regard.data.files import read_lines
from regard.data.findings import MOST_LISTED, Finding, first_few
from regard.data.sentence import Sentence
from regard.data.spans import OUTSIDE, spans_of, split_tag, to_bio

COLUMNS = range(2, 5)
_TAG = re.compile(r"O|[BIESLU]-\S.*")
_COMMENT = re.compile(r"# [\w.]+ = |# newdoc|# newpar")


Row = tuple[int, str, str]  # line number, token, tag


def read_conll(path: Path) -> tuple[list[Sentence], list[Finding]]:
    """The sentences of a file that could be read, their tags brought to IOB2, and what is wrong with the rest.

    Tabs separate columns where the first row has one, else white space. BIO, BIOES, BILOU and IOB1 are told apart by
    the tags themselves. An I- tag that continues nothing starts an entity, as in conlleval, and is told; in BIOES and BILOU
    also an entity without its last tag.
    """
    return parse_conll(read_lines(path), path)


def parse_conll(lines: Sequence[str], path: Path) -> tuple[list[Sentence], list[Finding]]:
    """The same for lines at hand; `path` is what findings call them."""
    blocks: list[list[Row]] = []
    findings = first_few(_errors(lines, path, blocks), MOST_LISTED)
    if not blocks and not findings:
        findings.append(Finding("error", path, None, "the file holds no sentence. It must have rows of token and tag."))
    sentences, repairs = from_rows(blocks, path)
    return sentences, sorted(findings + repairs, key=lambda finding: finding.line or 0)


def from_rows(blocks: list[list[Row]], path: Path) -> tuple[list[Sentence], list[Finding]]:
    """A sentence a block, its tags brought to IOB2 from the scheme that all of them keep to, and what was mended."""
    scheme = scheme_of([[tag for _, _, tag in block] for block in blocks])
    told = (
        Finding("warning", path, block[place][0], message)
        for block in blocks
        for place, message in repairs([tag for _, _, tag in block], scheme)
    )
    return [_sentence(block) for block in blocks], first_few(told, MOST_LISTED)


def looks_like_conll(lines: Sequence[str]) -> bool:
    """Whether a known tag is in the last column of the first row; of the first two without tabs, as text may end in one."""
    first = list(islice((line.strip() for line in lines if line.strip() and not is_passed_over(line)), 2))
    if first and "\t" in first[0]:
        return _ends_in_tag(first[0].split("\t"))
    return len(first) == 2 and all(_ends_in_tag(row.split()) for row in first)


def _ends_in_tag(row: list[str]) -> bool:
    return len(row) in COLUMNS and _TAG.fullmatch(row[-1]) is not None


def is_passed_over(line: str) -> bool:
    """A comment or the mark of a document."""
    return line.startswith("-DOCSTART-") or _COMMENT.match(line) is not None


def scheme_of(sequences: list[list[str]]) -> str:
    """IOB1, BIO or BIOES: which of them these tags keep to; BIO where they break all."""
    prefixes = {split_tag(tag)[0] for tags in sequences for tag in tags}
    if prefixes & set("ESLU"):
        return "BIOES"
    bare_inside = needless_begin = False
    for tags in sequences:
        for before, tag in zip([OUTSIDE, *tags], tags, strict=False):
            prefix, kind = split_tag(tag)
            continues = before != OUTSIDE and split_tag(before)[1] == kind
            bare_inside |= prefix == "I" and not continues
            needless_begin |= prefix == "B" and not continues
    return "IOB1" if bare_inside and not needless_begin else "BIO"


def tag_problem(tag: str) -> str:
    """What is wrong with a tag; nothing of one in a known scheme."""
    if _TAG.fullmatch(tag):
        return ""
    known = "Known: O, and B-, I-, E-, S-, L-, U- before a type, as in B-PER (BIO, IOB1, BIOES, BILOU)."
    return f"the tag {_short([tag])} is of no known scheme. {known}"


def repairs(tags: Sequence[str], scheme: str) -> Iterator[tuple[int, str]]:
    """Where tags break the scheme, as `scheme_of` names it, and how they are read there."""
    if scheme == "IOB1":
        return
    for place, (before, tag) in enumerate(pairwise([OUTSIDE, *tags, OUTSIDE])):
        (previous_prefix, previous_kind), (prefix, kind) = split_tag(before), split_tag(tag)
        continues = previous_kind == kind and (scheme == "BIO" or previous_prefix in "BI")
        if prefix in "IEL" and not continues:
            yield place, f"{tag} continues nothing (before it: {before}); read as a start, as conlleval does."
        elif scheme == "BIOES" and previous_prefix in "BI" and prefix not in "IEL":
            after = tag if place < len(tags) else "the sentence's end"
            yield place - 1, f"{before} is never ended (after it: {after}); read as its end. A file must keep to one scheme."


def _errors(lines: Sequence[str], path: Path, blocks: list[list[Row]]) -> Iterator[Finding]:
    """Rows that cannot be read; those of each sentence that can be are put behind `blocks`."""
    separator, width = None, 0
    block: list[Row] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            if block:
                blocks.append(block)
            block = []
            continue
        if is_passed_over(line):
            continue
        if not width:
            separator = "\t" if "\t" in line else None
            width = len(line.split(separator))
        row, problem = _row(line.split(separator), width, separator)
        if problem:
            yield Finding("error", path, number, problem)
        else:
            block.append((number, *row))
    if block:
        blocks.append(block)


def _row(fields: list[str], width: int, separator: str | None) -> tuple[tuple[str, str], str]:
    """(token, tag), and what is wrong with the row."""
    fields = [field.strip() for field in fields]
    kind = "tab" if separator else "space"
    if width not in COLUMNS:
        return ("", ""), f"rows must have 2 to 4 columns (token … tag), got {width} by {kind}: {_short(fields)}."
    if len(fields) != width:
        return ("", ""), f"this row must have {width} columns like the first, got {len(fields)} by {kind}: {_short(fields)}."
    if not fields[0]:
        return ("", ""), f"the token is empty, its tag is {fields[-1]!r}. Remove the row or give it a token."
    return (fields[0], fields[-1]), tag_problem(fields[-1])


def _sentence(block: list[Row]) -> Sentence:
    tags = [tag for _, _, tag in block]
    return Sentence(tuple(token for _, token, _ in block), tuple(to_bio(spans_of(tags), len(tags))), block[0][0])


def _short(fields: list[str]) -> str:
    text = " | ".join(fields)
    return repr(text if len(text) <= 60 else text[:57] + "...")
