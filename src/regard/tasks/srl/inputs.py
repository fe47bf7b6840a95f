"""Whatever a person gives to find roles in: raw text, tokens with or without predicates, files of any format of roles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from regard.data.conllu import UNSPECIFIED, Block, names_columns, read_conllu
from regard.data.entities import conllu
from regard.data.findings import Finding, raise_first_error, tell
from regard.data.json_values import decoded
from regard.data.roles import FORMATS, conll2005, jsonl, parse_roles
from regard.data.sentence import RoleSentence
from regard.data.words import sentence_from_text, sentences_of
from regard.errors import InputError

INPUT = Path("input")


def read_lines(lines: Sequence[str]) -> list[RoleSentence]:
    """The sentences; their propositions are None where nobody names the predicates. Raises InputError for the first error."""
    others = [module for module in FORMATS.values() if module is not conll2005]
    if jsonl.is_format(lines):
        lines = [_with_tokens(line, number) for number, line in enumerate(lines, 1)]
    elif conllu.is_format(lines) and not any("UP:PRED" in line for line in lines if names_columns(line)):
        return _words(lines)
    elif not any(module.is_format(lines) for module in others) and not conll2005.is_no_text(lines):
        # a sentence is read once for each of its predicates: the work grows with the square of its length
        return [_from_text(text, number) for number, line in enumerate(lines, 1) for text, _, _ in sentences_of(line)]
    sentences, findings = parse_roles(lines, INPUT)
    raise_first_error(findings)
    return sentences


def _from_text(text: str, line: int | None = None) -> RoleSentence:
    cut = sentence_from_text(text, line)
    return RoleSentence(cut.tokens, line=line, text=text, offsets=cut.offsets)


def _with_tokens(line: str, number: int) -> str:
    """A JSON object with nothing but a text, its words added, or nothing where it has none; any other line as it is."""
    try:
        record, stop = decoded(line.strip())
    except InputError:
        return line
    is_text = isinstance(record, dict) and isinstance(record.get("text"), str) and not {"tokens", "words"} & record.keys()
    if not is_text or stop < len(line.strip()):
        return line
    cut = _from_text(record["text"])
    if not cut.tokens:
        tell([Finding("warning", INPUT, number, "the record holds no word; left out.")])
        return ""
    return json.dumps({"tokens": cut.tokens, "offsets": cut.offsets, **record}, ensure_ascii=False)


def _words(lines: Sequence[str]) -> list[RoleSentence]:
    """Of CoNLL-U without columns of roles."""
    blocks, findings = read_conllu(lines, INPUT)
    raise_first_error(findings)
    return [
        RoleSentence(block.column("FORM"), None, _lemmas(block), block.lines[0], block.text, block.offsets) for block in blocks
    ]


def _lemmas(block: Block) -> tuple[str, ...] | None:
    lemmas = block.column("LEMMA")
    return None if set(lemmas) == {UNSPECIFIED} else lemmas
