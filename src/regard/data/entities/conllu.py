"""CoNLL-U with entities in MISC, and Universal NER's columns ID, FORM, tag and notes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from regard.data.conll import Row, from_rows, tag_problem
from regard.data.conllu import COLUMNS, Block, names_columns, read_conllu
from regard.data.findings import MOST_LISTED, Finding, first_few
from regard.data.paragraphs import paragraphs
from regard.data.sentence import Sentence
from regard.data.spans import OUTSIDE

KEYS = ("ner", "entity", "name")
"""Of MISC, in any case: NER=B-PER. `name` is that of the Danish treebank's DaNE."""
LIMITS = (
    "a token must not have a tab or a line's end in it or be white space, a type must not have | in it, and the text "
    "must hold the tokens in order with white space between them and be one line"
)
_ID = re.compile(r"[0-9]+(-[0-9]+)?")
_NO_ENTITY = re.compile(r"[BI]-O")
_TAG_COLUMN = 2


def is_format(lines: Sequence[str]) -> bool:
    """Whether the first row is numbered and has as many columns as CoNLL-U or as a header says, or is of Universal NER."""
    row = next((line for line in lines if line.strip() and not line.startswith("#")), "").split("\t")
    is_numbered = _ID.fullmatch(row[0]) is not None
    return is_numbered and (len(row) >= len(COLUMNS) or any(map(names_columns, lines[:1])) or _is_uner(lines))


def parse(lines: Sequence[str], path: Path, labelled: bool) -> tuple[list[Sentence], list[Finding]]:
    """The sentences that could be read, and findings. Words are the syntactic ones; a word with no key is outside."""
    if _is_uner(lines):
        lines = [_as_conllu(line) for line in lines]
    blocks, findings = read_conllu(lines, path)
    if not labelled:
        return [_sentence(block) for block in blocks], findings
    if blocks and not any(_tag(misc) for block in blocks for misc in block.column("MISC")):
        message = "no entity is marked in MISC. Mark words by NER=B-PER, and others by NER=O."
        return [], [*findings, Finding("error", path, blocks[0].lines[0], message)]
    wrong = first_few((finding for block in blocks for finding in _wrong_tags(block, path)), MOST_LISTED)
    good = [block for block in blocks if not any(_wrong_tags(block, path))]
    tagged, repairs = from_rows([_rows(block) for block in good], path)
    sentences = [replace(_sentence(block), tags=known.tags) for block, known in zip(good, tagged, strict=True)]
    return sentences, findings + wrong + repairs


def write(sentences: Sequence[Sentence]) -> list[str]:
    """Forms, the text where it is known, and NER= in MISC."""
    return [line for sentence in sentences for line in (*_comments(sentence), *_written(sentence), "")]


def _is_uner(lines: Sequence[str]) -> bool:
    """Whether the rows of the first sentence count from 1 and their third column is a tag.

    A single row could be CoNLL columns of the word 1, but for a comment above.
    """
    paragraph = next(paragraphs(lines), [])
    rows = [line.split("\t") for _, line in paragraph if not line.startswith("#")]
    is_counted = [row[0] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
    fits = all(len(row) in range(3, 6) and not tag_problem(row[_TAG_COLUMN]) for row in rows)
    return is_counted and fits and len(paragraph) > 1


def _as_conllu(line: str) -> str:
    """A row of Universal NER, its tag put into MISC; rows end after the tag where there is no note."""
    fields = line.split("\t")
    if line.startswith("#") or len(fields) <= _TAG_COLUMN:
        return line
    number, form, tag = fields[: _TAG_COLUMN + 1]
    misc = f"NER={OUTSIDE if _NO_ENTITY.fullmatch(tag) else tag}"
    return "\t".join([number, form, *"_" * 7, misc])


def _tag(misc: str) -> str:
    pairs = (pair.partition("=") for pair in misc.split("|"))
    values = {key.lower(): value for key, _, value in pairs}
    return next((values[key] for key in KEYS if key in values), "")


def _rows(block: Block) -> list[Row]:
    tags = (_tag(misc) or OUTSIDE for misc in block.column("MISC"))
    return list(zip(block.lines, block.column("FORM"), tags, strict=True))


def _wrong_tags(block: Block, path: Path) -> Iterator[Finding]:
    for line, _, tag in _rows(block):
        if problem := tag_problem(tag):
            yield Finding("error", path, line, problem)


def _sentence(block: Block) -> Sentence:
    return Sentence(block.column("FORM"), None, block.lines[0], block.text, block.offsets)


def _comments(sentence: Sentence) -> list[str]:
    return [f"# text = {sentence.text}"] if sentence.text is not None and sentence.offsets else []


def _written(sentence: Sentence) -> Iterator[str]:
    """Rows, one more before words that share their place in the text: they are one token of it."""
    places = sentence.offsets or [(number, number) for number in range(len(sentence.tokens))]
    for (start, stop), group in groupby(range(len(places)), key=lambda number: places[number]):
        numbers = list(group)
        if len(numbers) > 1:
            form = (sentence.text or "")[start:stop]
            yield "\t".join([f"{numbers[0] + 1}-{numbers[-1] + 1}", form, *"_" * 8])
        for number in numbers:
            yield "\t".join([str(number + 1), sentence.tokens[number], *"_" * 7, f"NER={(sentence.tags or ())[number]}"])
