"""A report: one HTML file with its data, style and script inside, that opens without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from regard.errors import InputError
from regard.viewer.contents import contents
from regard.viewer.picture import Extras, Image, Picture
from regard.viewer.room import size_of, to_text

VERSION = 2
"""Of the data that the script reads."""
MAX_BYTES = 2_950_000
SCRIPTS = (
    *("dom", "unpack", "colour", "knowledge", "chart", "map", "pointer"),
    *("overview", "text", "image", "token", "compare", "page", "viewer"),
)
"""Files of script, each using those before it."""


def render(
    pictures: Sequence[Picture],
    *,
    title: str,
    facts: Mapping[str, str] | None = None,
    compare: Sequence[Picture] = (),
    names: tuple[str, str] = ("this run", "the other run"),
    max_bytes: int = MAX_BYTES,
) -> str:
    """The page. Texts reach it as data and are only ever shown as text.

    `compare` are pictures of the same inputs through another model, one for each. `max_bytes` decides how much detail is kept;
    the page says what was left out.
    """
    template, style, code = (source(name) for name in ("index.html", "style.css", "script"))
    data = to_json(pictures, title=title, facts=facts, compare=compare, names=names, max_bytes=max_bytes - len(style + code))
    parts = {"/*style*/": style, "/*script*/": code, "/*data*/": to_text(data)}
    for mark, text in parts.items():
        before, after = template.split(mark)
        template = before + text + after
    return template


def to_json(
    pictures: Sequence[Picture],
    *,
    title: str = "",
    facts: Mapping[str, str] | None = None,
    compare: Sequence[Picture] = (),
    names: tuple[str, str] = ("this run", "the other run"),
    max_bytes: int = MAX_BYTES,
) -> dict[str, Any]:
    """What the script shows, in plain values."""
    if compare and len(compare) != len(pictures):
        raise InputError(f"compare must be one picture for each, got {len(compare)} for {len(pictures)}.")
    page = {"version": VERSION, "title": title, "facts": dict(facts or {}), "names": list(names)}
    left, packed = max_bytes - size_of(page) - 1000, []
    for place, picture in enumerate([*pictures, *compare]):
        packed.append(contents(picture, left / (len(pictures) + len(compare) - place)))
        left -= size_of(packed[-1])
    return page | {"pictures": packed[: len(pictures)], "compare": packed[len(pictures) :]}


def source(name: str) -> str:
    """A file of the page; "script" is all of its script."""
    folder = files("regard.viewer")
    if name == "script":
        return "\n".join((folder / f"{part}.js").read_text(encoding="utf8") for part in SCRIPTS)
    return (folder / name).read_text(encoding="utf8")


__all__ = ["Extras", "Image", "Picture", "render", "to_json"]
