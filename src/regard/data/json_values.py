"""Values out of a user's JSON, each with an error that says what it must be."""

from __future__ import annotations

import json
import re
from typing import Any

from regard.errors import InputError

_BEGIN = re.compile(r"""[\[{][\[{\s]*(?:["\]}]|(?<=\{)'|\Z)""")


def looks_like_json(line: str) -> bool:
    """Whether it begins as objects and arrays of objects or texts do, or Python's: a text may begin with a bracket too."""
    return _BEGIN.match(line.strip()) is not None


def decoded(text: str, start: int = 0) -> tuple[Any, int]:
    """The value that begins at `start`, and where it ends."""
    try:
        value, stop = json.JSONDecoder().raw_decode(text, start)
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise InputError(f"this must be JSON: {error.msg.removesuffix(' at')} {_place(error)}.") from None
    except UnicodeEncodeError:
        raise InputError("the text must be Unicode, got half of a pair of \\ud800 … \\udfff escapes. Give both.") from None
    except RecursionError:
        raise InputError("this must be JSON that can be read: its brackets are nested too deep.") from None
    except ValueError as error:
        raise InputError(f"this must be JSON that can be read: {str(error).splitlines()[0]}.") from None
    return value, stop


def one_object(line: str) -> dict[str, Any]:
    """The object that is all of a line."""
    line = line.strip()
    value, stop = decoded(line)
    if stop < len(line):
        raise InputError(f"a line must hold one JSON object, got more after it at column {stop + 1}.")
    return as_object(value, "a line")


def as_object(value: Any, what: str) -> dict[str, Any]:
    """The value, when it is an object."""
    if not isinstance(value, dict):
        raise InputError(f"{what} must be an object in braces, got {short(value)}.")
    return value


def as_list(value: Any, what: str) -> list[Any]:
    """The value, when it is a list."""
    if not isinstance(value, list):
        raise InputError(f"{what} must be a list in brackets, got {short(value)}.")
    return value


def as_text(value: Any, what: str) -> str:
    """The value, when it is a string."""
    if not isinstance(value, str):
        raise InputError(f"{what} must be text in quotes, got {short(value)}.")
    return value


def first_of(record: dict[str, Any], names: tuple[str, ...]) -> tuple[str, Any]:
    """The first of the names that is there with a value, and the value; ("", None) without one."""
    return next(((name, record[name]) for name in names if record.get(name) is not None), ("", None))


def short(value: Any) -> str:
    """How an error quotes a value."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _place(error: json.JSONDecodeError) -> str:
    return f"at line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"at column {error.colno}"
