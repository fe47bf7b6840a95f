"""A parser whose complaints are for people: one line that says what must hold, what came, and what to do."""

from __future__ import annotations

import re
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

from jsonargparse import ArgumentParser

from regard.catalog import did_you_mean
from regard.errors import InputError

_BOUNDS = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
_VALUES = (
    r"(?:Got value|Given value): (.*?)(?= Problem|$)",
    r"base 10: '(.*)'$",
    r"^Not of type \w+: (\S+) does not conform",
)
"""Where jsonargparse says what came."""


class Parser(ArgumentParser):
    """Raises InputError where argparse would print the usage, which is a page long, and exit."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """What is said of a command that cannot be understood, in our words."""
        raise InputError(f"{self._explained(' '.join(message.split()))} See {self.prog} --help.") from ex

    def _explained(self, message: str) -> str:
        if found := re.fullmatch(r"the following arguments are required: (.*)", message):
            return f"{self.prog} needs {' and '.join(map(self._shown, found[1].split(', ')))}."
        if found := re.fullmatch(r"argument (\S+): expected .*", message):
            return f"{found[1]} needs a value."
        if found := re.fullmatch(r"unrecognized arguments: (\S+).*", message):
            return self._unknown(found[1].split("=")[0])
        if found := re.fullmatch(r"Group '(.+)' does not accept option '(.+)'", message):
            return self._unknown(f"--{found[1]}.{found[2]}", " (in the recipe)")
        if found := re.fullmatch(r"Problems parsing config: (.*)", message):
            return f"a recipe must be YAML: {found[1]}."
        if found := re.fullmatch(r'Parser key "([^"]+)": (.*)', message):
            return self._wrong(found[1], found[2])
        return message if message.endswith(".") else f"{message}."

    def _unknown(self, word: str, where: str = "") -> str:
        if not word.startswith("-"):
            return f"{self.prog} does not know what to do with {word!r}."
        options = [option[2:] for action in self._actions for option in action.option_strings if option.startswith("--")]
        return f"{self.prog} has no option {word}{where}.{did_you_mean(word.lstrip('-'), options)}"

    def _wrong(self, key: str, complaint: str) -> str:
        action = next((one for one in self._actions if one.dest == key), None)
        kind = _kind(getattr(action, "_typehint", None))
        values = [value for pattern in _VALUES for value in re.findall(pattern, complaint)]
        if not kind or not values:
            return f"{self._shown(key)}: {complaint}."
        return f"{self._shown(key)} must be {kind}, got {values[-1]!r}."

    def _shown(self, name: str) -> str:
        """An option as it is typed; what has no dashes in capitals."""
        action = next((one for one in self._actions if name in (one.dest, one.metavar)), None)
        return action.option_strings[0] if action is not None and action.option_strings else name.upper()


def _kind(hint: Any) -> str:
    """What values of a type are; "" of one that is not in the options of any command."""
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, get_args(hint)))}"
    if get_origin(hint) in (Union, UnionType):
        kinds = [_kind(one) for one in get_args(hint) if one is not NoneType]
        return " or ".join(dict.fromkeys(kinds)) if all(kinds) else ""
    if get_origin(hint) is not None:
        return "a list, such as [one, two]"
    if hint is bool:
        return "true or false"
    number = next((name for kind, name in ((int, "a whole number"), (float, "a number")) if _is_a(hint, kind)), "")
    bounds = [f"{_BOUNDS[compare.__name__]} {bound}" for compare, bound in getattr(hint, "_restrictions", ())]
    return " ".join([number, *bounds]) if number else "a text" if hint is str else ""


def _is_a(hint: Any, kind: type) -> bool:
    return isinstance(hint, type) and issubclass(hint, kind)
