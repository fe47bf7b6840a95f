"""Whatever a person gives to find roles in: raw text, tokens with or without predicates, files of any format of roles."""

from __future__ import annotations

from collections.abc import Sequence

from regard.data.conllu import UNSPECIFIED, Block, names_columns, read_conllu
from regard.data.entities import conllu
from regard.data.findings import INPUT, Finding, raise_first_error, tell
from regard.data.json_values import decoded
from regard.data.roles import FORMATS, conll2005, jsonl, parse_roles
from regard.data.sentence import RoleSentence
from regard.data.words import sentence_from_text, sentences_of
from regard.errors import InputError

NAMES = {"tokens", "words", "predicate", "predicates", "verbs"}
"""Of what a record in JSON can have besides a text."""


def read_lines(lines: Sequence[str]) -> list[RoleSentence]:
    """The sentences; their propositions are None where nobody names the predicates. Raises InputError for the first error."""
    others = [module for module in FORMATS.values() if module is not conll2005]
    if jsonl.is_format(lines):
        return _records(lines)
    if conllu.is_format(lines) and not any("UP:PRED" in line for line in lines if names_columns(line)):
        return _words(lines)
    if not any(module.is_format(lines) for module in others) and not conll2005.is_no_text(lines):
        return [sentence for number, line in enumerate(lines, 1) for sentence in _sentences(line, number)]
    sentences, findings = parse_roles(lines, INPUT)
    raise_first_error(findings)
    return sentences


def _sentences(text: str, line: int) -> list[RoleSentence]:
    """Each is read once for each of its predicates: of a text as a whole the work would grow with the square of its length."""
    cut = (sentence_from_text(sentence, line) for sentence, _, _ in sentences_of(text))
    return [RoleSentence(one.tokens, line=line, text=one.text, offsets=one.offsets) for one in cut]


def _records(lines: Sequence[str]) -> list[RoleSentence]:
    """Of JSON, an object a line: a text alone is cut as a line of raw text is, anything else has its tokens."""
    texts = {number: text for number, line in enumerate(lines, 1) if (text := _text_alone(line)) is not None}
    sentences, findings = jsonl.parse(["" if number in texts else line for number, line in enumerate(lines, 1)], INPUT)
    raise_first_error(findings)
    for number, text in texts.items():
        if not text.strip():
            tell([Finding("warning", INPUT, number, "the record holds no word; left out.")])
        sentences += _sentences(text, number)
    return sorted(sentences, key=lambda sentence: sentence.line or 0)


def _text_alone(line: str) -> str | None:
    """The text of an object that has neither tokens nor predicates, which are numbers of tokens; None of any other line."""
    line = line.strip()
    try:
        record, stop = decoded(line)
    except InputError:
        return None
    if stop < len(line) or not isinstance(record, dict) or NAMES & record.keys() or not isinstance(record.get("text"), str):
        return None
    return record["text"]


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
