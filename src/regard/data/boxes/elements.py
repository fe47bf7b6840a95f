"""Small XML documents as elements that know their lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from regard.errors import InputError


@dataclass
class Element:
    """A name, the line in which it begins, and what is inside."""

    name: str
    line: int
    inside: list[Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its own, without white space around it."""
        return "".join(self.pieces).strip()

    def all(self, name: str) -> Iterator[Element]:
        """Those of a name."""
        return (one for one in self.inside if one.name == name)

    def text_of(self, name: str) -> str:
        """Of the first of a name; "" without one."""
        return next((one.text for one in self.all(name)), "")


def parsed(content: bytes, path: Path) -> Element:
    """The outermost element. Declares no entities and opens no other file, so a document cannot grow or reach out."""
    parser = expat.ParserCreate()
    top = Element("", 1)
    open_elements = [top]

    def start(name: str, attributes: dict[str, str]) -> None:
        element = Element(name, parser.CurrentLineNumber)
        open_elements[-1].inside.append(element)
        open_elements.append(element)

    def doctype(name: str, system: str | None, public: str | None, has_subset: bool) -> None:
        raise InputError("the XML must have no DOCTYPE. Take it out.", file=path, line=parser.CurrentLineNumber)

    parser.StartElementHandler, parser.StartDoctypeDeclHandler = start, doctype
    parser.EndElementHandler = lambda name: open_elements.pop()
    parser.CharacterDataHandler = lambda text: open_elements[-1].pieces.append(text)
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        reason = f"{expat.ErrorString(error.code)} at column {error.offset + 1}"
        raise InputError(f"this must be XML: {reason}.", file=path, line=error.lineno) from None
    except InputError:
        raise
    except (LookupError, ValueError) as error:  # an encoding that is none, or has several bytes a letter
        raise InputError(f"the encoding must be UTF-8 or UTF-16: {error}.", file=path) from None
    return top.inside[0]
