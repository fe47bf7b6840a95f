"""Records as JSON: one a line, or all of them in one array, as spaCy's training examples often are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from regard.data.conll import from_rows, looks_like_conll
from regard.data.entities.records import Read, read_line
from regard.data.findings import Finding, counted, first_few, share_of
from regard.data.json_values import looks_like_json
from regard.data.paragraphs import Line, read_each
from regard.data.sentence import Sentence

LIMITS = (
    "a token must hold more than white space, its place must be inside the text and not before that of the token before, "
    "and a type must be one line without white space at its ends"
)
OFFSET_LIMITS = (
    "the entities' characters must not overlap, and neither they nor a type may have white space at their ends; "
    "tokens must have their places where there is a text"
)
_ARRAY = re.compile(r"\[\s*(?:[\[{\]]|\Z)")
_BETWEEN = re.compile(r"\s*(,)?\s*")


def is_format(lines: Sequence[str]) -> bool:
    """Whether the first line with text begins as JSON does, and is no row of columns."""
    first = next((line for line in lines if line.strip()), "").strip()
    return looks_like_json(first) and (first.endswith(("}", "]")) or not looks_like_conll(lines))


def parse(lines: Sequence[str], path: Path, labelled: bool) -> tuple[list[Sentence], list[Finding]]:
    """The sentences that could be read, and findings. With labels, a record without a word, or not accepted, is left out."""
    broken: list[Finding] = []
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    is_array = _ARRAY.match(lines[first].strip())
    given = _elements("\n".join(lines), path, broken) if is_array else _lines(lines)
    made, findings = read_each(
        ((number, (text, number, labelled)) for number, text in given), lambda one: read_line(*one), path
    )
    read = [one for one in made if one.is_accepted]
    warnings = [Finding("warning", path, one.sentence.line, text) for one in read for text in one.warnings]
    sentences = [one.sentence for one in read]
    if labelled:
        empty = [one.line for one in sentences if not one.tokens]
        warnings += [Finding("warning", path, line, "the record holds no word; left out.") for line in empty]
        sentences = [one for one in sentences if one.tokens]
        sentences, repairs = _in_iob2(sentences, path)
        warnings = [*_not_accepted(made, path), *_counting_characters(read, path), *warnings, *repairs]
    return sentences, broken + findings + first_few(warnings, 20)


def write_tokens(sentences: Sequence[Sentence]) -> list[str]:
    """An object a line: tokens, tags, and what the tokens were cut from."""
    return [_json(_record(sentence)) for sentence in sentences]


def write_offsets(sentences: Sequence[Sentence]) -> list[str]:
    """An object a line: text and entities [start, end, type], counted in characters."""
    return [_json({"text": text, "entities": entities}) for text, entities in map(marked, sentences)]


def write_spacy(sentences: Sequence[Sentence]) -> list[str]:
    """An array of [text, {"entities": [[start, end, type], …]}], an element a line."""
    elements = [_json([text, {"entities": entities}]) for text, entities in map(marked, sentences)]
    return ["[", *(f"{element}," for element in elements[:-1]), *elements[-1:], "]"]


def marked(sentence: Sentence) -> tuple[str, list[tuple[int, int, str]]]:
    """The text, its tokens with a space between where there is none, and its entities as start, end and type."""
    text, offsets = sentence.text, sentence.offsets
    if text is None or offsets is None:
        text, offsets = " ".join(sentence.tokens), _joined(sentence.tokens)
    return text, [(offsets[start][0], offsets[stop - 1][1], kind) for kind, start, stop in sentence.spans]


def _joined(tokens: Sequence[str]) -> tuple[tuple[int, int], ...]:
    places, start = [], 0
    for token in tokens:
        places.append((start, start + len(token)))
        start += len(token) + 1
    return tuple(places)


def _record(sentence: Sentence) -> dict[str, Any]:
    record = {"tokens": sentence.tokens, "tags": sentence.tags, "text": sentence.text, "offsets": sentence.offsets}
    return {name: value for name, value in record.items() if value is not None}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(lines: Iterable[str]) -> Iterator[Line]:
    return ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def _elements(text: str, path: Path, findings: list[Finding]) -> Iterator[Line]:
    """Each element of an array with the line it begins in, up to where the array is broken."""
    place = text.index("[") + 1
    place, line, counted = place + len(text[place:]) - len(text[place:].lstrip()), 1, 0
    while text[place : place + 1] not in ("]", ""):
        line, counted = line + text.count("\n", counted, place), place
        try:
            _, stop = json.JSONDecoder().raw_decode(text, place)
        except (ValueError, RecursionError):
            yield line, text[place:]  # what is wrong is told when it is read
            return
        yield line, text[place:stop]
        between = _BETWEEN.match(text, stop)
        place = between.end() if between else stop
        if not (between and between[1]) and text[place : place + 1] not in ("]", ""):
            findings.append(Finding("error", path, line, "a comma must stand behind each record of the array, none is here."))
            return
    if not text[place:]:
        findings.append(Finding("error", path, line, "the array must end with ], the file ends before. Is it whole?"))


def _not_accepted(made: Sequence[Read], path: Path) -> Iterator[Finding]:
    lines = [one.sentence.line for one in made if not one.is_accepted]
    if lines:
        what = share_of(len(lines), len(made), "record")
        yield Finding("warning", path, lines[0], f'{what} left out, as "answer" is reject or ignore and not accept.')


def _counting_characters(read: Sequence[Read], path: Path) -> Iterator[Finding]:
    """A warning where most entities that count tokens would be words too if they counted characters: a rare coincidence."""
    known = [one for one in read if one.fits_characters is not None]
    fitting = [one.sentence.line for one in known if one.fits_characters]
    if 2 * len(fitting) > len(known):
        message = (
            f"entities of records with tokens count tokens, but those of {len(fitting):,} of {counted(len(known), 'record')} "
            "would stand at words' ends too if they counted characters. If they do, leave the tokens out."
        )
        yield Finding("warning", path, fitting[0], message)


def _in_iob2(sentences: list[Sentence], path: Path) -> tuple[list[Sentence], list[Finding]]:
    rows = [[(one.line or 0, *pair) for pair in zip(one.tokens, one.tags or (), strict=True)] for one in sentences]
    tagged, repairs = from_rows(rows, path)
    return [replace(one, tags=known.tags) for one, known in zip(sentences, tagged, strict=True)], repairs
