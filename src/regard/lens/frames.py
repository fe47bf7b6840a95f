"""A lens as tables of pandas, which is imported only here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from regard.errors import InputError
from regard.lens.record import Lens, Reading
from regard.lens.statistics import STATISTICS
from regard.lens.summary import roles

if TYPE_CHECKING:
    from pandas import DataFrame


def frame(lens: Lens, each: str) -> DataFrame:
    """A line for each head: its role, means, and standard errors where a sample was read; over all calls.

    For each "query" or "key": every statistic that there is of it, over the calls that are kept. Raises InputError for
    another word, and where pandas is missing.
    """
    try:
        import pandas
    except ModuleNotFoundError as missing:
        raise InputError("to_pandas needs pandas: pip install pandas.") from missing
    if each == "head":
        return pandas.DataFrame(_heads(lens))
    if each not in ("query", "key"):
        raise InputError(f'to_pandas makes a line for each "head", "query" or "key", got {each!r}.')
    frames = [
        pandas.DataFrame(_lines(reading, call, each)) for layer in lens.layers for call, reading in _numbered(lens, layer)
    ]
    return pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame()


def _heads(lens: Lens) -> list[dict[str, Any]]:
    means, errors, named = lens.head_means(), lens.standard_errors(), roles(lens)
    lines = []
    for layer, total in lens.totals.items():
        for place, head in enumerate(total.heads):
            line: dict[str, Any] = {"layer": layer, "head": head, "role": named[layer][place], "num_calls": total.num_calls}
            line |= {name: float(value[place]) for name, value in means[layer].items()}
            line |= {f"{name}_error": float(value[place]) for name, value in errors[layer].items() if float(value[place])}
            lines.append(line)
    return lines


def _numbered(lens: Lens, layer: str) -> list[tuple[int, Reading]]:
    return list(enumerate(lens.calls(layer)))


def _lines(reading: Reading, call: int, each: str) -> dict[str, Any]:
    """Columns of one call: example, head and position first."""
    seen = reading.statistics
    sides = {name: value for name, value in seen.values.items() if STATISTICS[name].of == each}
    if each == "query":
        sides |= dict(seen.aligned_shares)
    found: dict[str, Any] = {"layer": reading.layer, "call": call}
    size = (*seen.is_live.shape[:2], reading.shape[2 if each == "query" else 3])
    heads = torch.tensor(reading.heads or range(size[1]))
    place = torch.cartesian_prod(torch.arange(size[0]), heads, torch.arange(size[2])).reshape(-1, 3)
    found |= dict(zip(("example", "head", each), place.T.numpy(), strict=True))
    for name, value in sides.items():
        for column, part in _columns(name, value):
            found[column] = part.flatten().numpy()
    if each == "query":
        found["is_live"] = seen.is_live.flatten().numpy()
    return found


def _columns(name: str, value: Tensor) -> list[tuple[str, Tensor]]:
    """A column, or one for each number that a query has: top_keys_0, top_keys_1, …"""
    if value.dim() == 3:
        return [(name, value)]
    return [(name if value.shape[3] == 1 else f"{name}_{i}", value[..., i]) for i in range(value.shape[3])]
