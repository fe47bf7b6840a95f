"""Codes of languages, and which of those in a file or a folder is translated into which."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

from regard.errors import InputError


@dataclass(frozen=True)
class Languages:
    """Codes such as en, pt_BR or zh-Hans.

    Args:
        source: that of the text to translate; empty to find it out from the names of files and their folder
        target: that of the translation; empty to find it out too
    """

    source: str = ""
    target: str = ""

    def __iter__(self) -> Iterator[str]:
        return iter((self.source, self.target))


ROLES = (Languages("source", "target"), Languages("src", "tgt"))
"""Names that stand for a code and say the direction too."""
_ROLES = frozenset(name for way in ROLES for name in way)
_CODE = re.compile(r"[a-z]{2,3}(?:[-_](?:[A-Z]{2}|[A-Z][a-z]{3}|[0-9]{3}))*")
_ISO_639_1 = re.compile(
    "a[abefkmnrsvyz]|b[aegimnors]|c[aehorsuvy]|d[aevz]|e[elnostu]|f[afijory]|g[adlnuv]|h[aeiortuyz]|i[adegikostu]|"
    "j[av]|k[agijklmnorsuvwy]|l[abginotuv]|m[ghiklnrsty]|n[abdeglnorvy]|o[cjmrs]|p[ailst]|q[u]|r[mnouw]|"
    "s[acdegiklmnoqrstuvw]|t[aeghiklnorstwy]|u[gkrz]|v[eio]|w[ao]|x[h]|y[io]|z[ahu]"
)
"""Its 183 codes of two letters."""


def is_code(name: str) -> bool:
    """Whether it looks like a code: two or three letters, perhaps with a region or a script; or is a role such as src."""
    return name.lower() in _ROLES or _CODE.fullmatch(name) is not None


def is_known(name: str) -> bool:
    """Whether it hardly stands for anything else: a code of ISO 639-1 or a role."""
    return is_code(name) and (name.lower() in _ROLES or _ISO_639_1.fullmatch(base(name)) is not None)


def base(code: str) -> str:
    """A code without its region or script."""
    return re.split("[-_]", code)[0]


def matching(found: Iterable[str], wanted: str) -> str | None:
    """The code found that is the one wanted, else one that adds a region or a script to it; case, - and _ do not matter."""
    plain = {code: code.lower().replace("_", "-") for code in found}
    code = wanted.lower().replace("_", "-")
    exact = (one for one in plain if plain[one] == code)
    wider = (one for one in plain if plain[one].startswith(f"{code}-"))
    return next(exact, None) or next(wider, None)


def is_asked(name: str, languages: Languages) -> bool:
    """Whether it is one of the languages that were asked for."""
    return any(matching([name], code) for code in languages if code)


def direction(found: Sequence[str], languages: Languages, place: Path, usual: Languages | None = None) -> Languages:
    """Which of the codes found in a file or folder are source and target.

    By their roles, else as asked, else as the folder is named, else as usual.
    """
    for wanted in ROLES:
        if way := _completed(found, wanted):
            return way
    for wanted in (languages, *_named(found, place), usual or Languages()):
        asked = Languages(languages.source or wanted.source, languages.target or wanted.target)
        if way := _completed(found, asked):
            return way
    raise InputError(_untold(found, languages), file=place)


def _completed(found: Sequence[str], wanted: Languages) -> Languages | None:
    """The codes found that are wanted; where one is not said, the only other."""
    source, target = (matching(found, code) if code else "" for code in wanted)
    if source is None or target is None or source == target:
        return None
    others = [code for code in found if code not in (source, target)]
    if source and target:
        return Languages(source, target)
    return Languages(source or others[0], target or others[0]) if len(others) == 1 else None


def _named(found: Sequence[str], place: Path) -> Iterator[Languages]:
    """What a folder's name such as europarl_en-de says; nothing where it says two things."""
    path = Path(os.path.abspath(place))
    name = path.name if path.is_dir() else path.parent.name
    ends = {code: f"(?:{re.escape(code)}|{re.escape(base(code))})" for code in found}
    border = r"[^\W_]"
    ways = [
        Languages(*way)
        for way in permutations(found, 2)
        if re.search(f"(?<!{border}){ends[way[0]]}[-_]{ends[way[1]]}(?!{border})", name, re.IGNORECASE)
    ]
    if len(ways) == 1:
        yield ways[0]


def _untold(found: Sequence[str], languages: Languages) -> str:
    codes = ", ".join(sorted(found))
    source, target = (matching(found, code) if code else "" for code in languages)
    others = sorted(set(found) - {source, target})
    example = f"--languages.source {source or others[0]} --languages.target {target or others[-1]}"
    if None in (source, target) or (source and source == target):
        asked = " and ".join(filter(None, languages))
        return f"the languages must be two of {codes}, which are found; asked for {asked}."
    return f"source and target must be told apart, found {codes}. Choose: {example}, or other codes."
