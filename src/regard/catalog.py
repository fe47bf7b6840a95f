"""The one place where parts get their names. Values are import paths, so this file imports no part."""

from difflib import get_close_matches
from importlib import import_module
from typing import Any

from regard.errors import InputError

MECHANISMS = {
    "softmax": "regard.attention.scaled_dot:ScaledDot",
    "additive": "regard.attention.additive:Additive",
}
NORMALIZERS = {
    "softmax": "regard.attention.normalizers:softmax",
}
MASKS = {
    "everything": "regard.attention.masks:everything",
    "causal": "regard.attention.masks:causal",
    "window": "regard.attention.masks:window",
    "padding": "regard.attention.masks:padding",
    "document": "regard.attention.masks:document",
    "dense": "regard.attention.masks:dense",
}
BACKENDS = {  # tried in this order by backend="auto"
    "sdpa": "regard.attention.backends.sdpa",
    "tiled": "regard.attention.backends.tiled",
    "reference": "regard.attention.backends.reference",
}
TASKS = {
    "ner": "regard.tasks.ner.task:Ner",
    "dates": "regard.tasks.dates.task:Dates",
}


def load(table: dict[str, str], name: str) -> Any:
    """Return the part called `name`: a key of `table`, or an import path "package.module:attribute"."""
    if name not in table and ":" not in name:
        near = get_close_matches(name, table, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(f"No part is called {name!r}.{hint} Known: {', '.join(table)}.")
    module, _, attribute = table.get(name, name).partition(":")
    try:
        found = import_module(module)
        return getattr(found, attribute) if attribute else found
    except (ModuleNotFoundError, AttributeError) as error:
        if name in table:
            raise
        raise InputError(f"{name!r} must be an import path 'package.module:Name' that exists: {error}.") from error


def one_line(part: Any) -> str:
    """The first line of a part's docstring: what `regard list` prints."""
    return (part.__doc__ or "").strip().split("\n")[0]
