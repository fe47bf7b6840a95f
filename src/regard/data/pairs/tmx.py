"""TMX 1.4, the exchange format of translation memories, read unit by unit in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple
from xml.parsers import expat

from regard.data.findings import Finding, counted
from regard.data.pairs.languages import Languages, base, direction, matching
from regard.data.pairs.pair import Pair
from regard.data.stream import open_lines, told
from regard.errors import InputError

_CODES = frozenset({"bpt", "ept", "it", "ph", "ut"})
"""Inline elements that hold the mark-up of another format, and no text."""
_CHUNK = 2**16
_SHOWN = 20


class Unit(NamedTuple):
    """A `tu`: a text in some languages."""

    line: int
    texts: dict[str, str]


class Parser:
    """Units out of XML. Declares no entities and opens no other file, so a document cannot grow or reach out."""

    def __init__(self, path: Path) -> None:
        self.path, self.source_language = path, ""
        self._done: list[Unit] = []
        self._unit = Unit(0, {})
        self._language, self._text, self._num_codes = "", list[str](), 0
        self._is_segment = False
        self._expat = expat.ParserCreate()
        self._expat.StartDoctypeDeclHandler = self._doctype
        self._expat.StartElementHandler, self._expat.EndElementHandler = self._start, self._end
        self._expat.CharacterDataHandler, self._expat.SkippedEntityHandler = self._characters, self._skipped

    def units(self, stream: BinaryIO) -> Iterator[Unit]:
        """Each once its end has been read."""
        with told(self.path):
            while chunk := stream.read(_CHUNK):
                yield from self._parsed(chunk)
        yield from self._parsed(b"")

    def _parsed(self, chunk: bytes) -> list[Unit]:
        self._done = []
        try:
            self._expat.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            reason = f"{expat.ErrorString(error.code)} at column {error.offset + 1}"
            raise InputError(f"this must be XML: {reason}.", file=self.path, line=error.lineno) from None
        except InputError:
            raise
        except (LookupError, ValueError) as error:  # an encoding that is none, or has several bytes a letter
            raise self._refused(f"the encoding must be UTF-8 or UTF-16: {error}.") from None
        return self._done

    def _refused(self, message: str) -> InputError:
        return InputError(message, file=self.path, line=self._expat.CurrentLineNumber)

    def _doctype(self, name: str, system: str | None, public: str | None, has_subset: bool) -> None:
        if has_subset:
            raise self._refused("the DOCTYPE must declare nothing itself, got [ … ] in it. Take the brackets out.")

    def _skipped(self, name: str, is_parameter: bool) -> None:
        if not is_parameter:
            raise self._refused(f"no entity but &lt; &gt; &amp; &quot; &apos; is known, got &{name}; Write the letter itself.")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "tu":
            self._unit = Unit(self._expat.CurrentLineNumber, {})
        elif name == "tuv":
            self._language = attributes.get("xml:lang") or attributes.get("lang") or ""
        elif name == "seg":
            self._text, self._is_segment, self._num_codes = [], True, 0
        elif name == "header":
            self.source_language = attributes.get("srclang", "")
        self._num_codes += name in _CODES

    def _end(self, name: str) -> None:
        self._num_codes -= name in _CODES
        if name == "seg":
            self._unit.texts.setdefault(self._language, "".join(self._text))
            self._is_segment = False
        elif name == "tuv":
            self._language = ""
        elif name == "tu":
            self._done.append(self._unit)

    def _characters(self, text: str) -> None:
        if self._is_segment and not self._num_codes:
            self._text.append(text)


def read(path: Path, languages: Languages) -> tuple[list[Pair], list[Finding]]:
    """The pairs of two of the languages, en standing for en-US too; the header's srclang is the source where none is asked."""
    parser = Parser(path)
    way = languages if all(languages) else None
    pairs: list[Pair] = []
    lacking: list[int] = []
    seen: dict[str, None] = {}
    with open_lines(path) as lines:
        for unit in parser.units(lines.text):
            seen.update(dict.fromkeys(filter(None, unit.texts)))
            way = way or _way(unit, languages, parser)
            pair = _pair(unit, way) if way else None
            if pair:
                pairs.append(pair)
            else:
                lacking.append(unit.line)
    if not pairs:
        return [], [Finding("error", path, None, _none(list(seen), way))]
    return pairs, [_left_out(lacking, path, way)] if way and lacking else []


def way(path: Path, languages: Languages) -> Languages | None:
    """From which language into which the first unit of two is read; None where there is none."""
    parser = Parser(path)
    with open_lines(path) as lines:
        return next((found for unit in parser.units(lines.text) if (found := _way(unit, languages, parser))), None)


def _way(unit: Unit, languages: Languages, parser: Parser) -> Languages | None:
    """Source and target, without regions where they differ without; None while no unit has two languages."""
    found = [code for code in unit.texts if code]
    if len(found) < 2:
        return None
    way = direction(found, languages, parser.path, Languages(parser.source_language))
    bases = Languages(*map(base, way))
    return way if bases.source == bases.target else bases


def _pair(unit: Unit, way: Languages) -> Pair | None:
    source, target = (matching(unit.texts, code) for code in way)
    return Pair(unit.texts[source], unit.texts[target], unit.line) if source and target else None


def _none(seen: list[str], way: Languages | None) -> str:
    both = " and ".join(way) if way else "two languages, each tuv with its xml:lang"
    return f"a tu must hold {both}; found {', '.join(sorted(seen)[:_SHOWN]) or 'no language'}, and no such tu."


def _left_out(lines: list[int], path: Path, way: Languages) -> Finding:
    message = f"{counted(len(lines), 'unit')} without {way.source} or {way.target}, first line {lines[0]}: left out."
    return Finding("warning", path, lines[0], message)
