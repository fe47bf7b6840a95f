"""JSON, an object a line.

Read are `{"source": …, "target": …}`, `{"src": …, "tgt": …}`, `{"en": …, "de": …}` and `{"translation": {"en": …, "de": …}}`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from regard.data.findings import Finding
from regard.data.json_values import as_text, one_object, short
from regard.data.pairs.languages import Languages, direction, is_asked, is_code
from regard.data.pairs.pair import Pair
from regard.data.stream import Lines, open_lines
from regard.errors import InputError

_FORMS = '"source" and "target", "src" and "tgt", or codes of two languages such as "en" and "de"'


def read(path: Path, languages: Languages) -> tuple[list[Pair], list[Finding]]:
    """The pairs, and the lines that are none. The first good line decides what is source and target in all."""
    findings: list[Finding] = []
    with open_lines(path) as lines:
        return list(_pairs(lines, path, languages, findings)), findings


def _pairs(lines: Lines, path: Path, languages: Languages, findings: list[Finding]) -> Iterator[Pair]:
    way: Languages | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = _record(line)
            codes = way or _codes(record, languages)
            texts = {code: as_text(record.get(code), code) for code in codes}
        except InputError as error:
            findings.append(Finding("error", path, number, error.message))
            continue
        way = way or direction(list(codes), languages, path)
        yield Pair(texts[way.source], texts[way.target], number)


def _record(line: str) -> dict[str, Any]:
    """Texts by their language, beside whatever else the line tells."""
    record = one_object(line)
    inner = record.get("translation")
    return inner if isinstance(inner, dict) else record


def _codes(record: dict[str, Any], languages: Languages) -> list[str]:
    """The keys of text that are codes, or look like some."""
    names = (name for name, value in record.items() if isinstance(value, str))
    codes = [name for name in names if is_code(name) or is_asked(name, languages)]
    if len(codes) < 2:
        raise InputError(f"a record must have {_FORMS}, with text in quotes for each; got {short(record)}.")
    return codes
