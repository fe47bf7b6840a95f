"""What has a name, each with a line: what `regard list` prints."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from regard.catalog import BACKENDS, GATES, MASKS, MECHANISMS, NORMALIZERS, POSITIONS, TASKS, load, one_line

RECIPES = Path(__file__).parent / "recipes"


def _parts(table: dict[str, str]) -> dict[str, str]:
    return {name: one_line(load(table, name)) for name in table}


def _masks() -> dict[str, str]:
    """Each with its picture over five positions."""
    from regard.attention.masks import EXAMPLES, picture

    return {name: f"{picture(EXAMPLES[name], 5)}   {line}" for name, line in _parts(MASKS).items()}


def _recipes() -> dict[str, str]:
    return {path.stem: path.read_text().split("\n")[0].lstrip("# ") for path in sorted(RECIPES.glob("*.yaml"))}


def _statistics() -> dict[str, str]:
    from regard.lens.statistics import STATISTICS

    return {name: f"{one.says} [{one.unit}]" for name, one in STATISTICS.items()}


LISTS: dict[str, Callable[[], dict[str, str]]] = {
    "mechanisms": partial(_parts, MECHANISMS),
    "normalizers": partial(_parts, NORMALIZERS),
    "masks": _masks,
    "positions": partial(_parts, POSITIONS),
    "gates": partial(_parts, GATES),
    "backends": partial(_parts, BACKENDS),
    "tasks": partial(_parts, TASKS),
    "recipes": _recipes,
    "statistics": _statistics,
}
