"""What is kept of each head, in choices from all to little: maps, lines, largest weights, exact weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from regard.lens.statistics import cell_width
from regard.viewer.packing import COARSE, FINE, pack, pack_integers, relative_error
from regard.viewer.picture import Layer, Picture
from regard.viewer.room import Choice, Room

MAPS = [
    (1, FINE),
    (1, COARSE),
    (1, 180),
    (1, 126),
    (1, 90),
    (1, 62),
    (1, 40),
    (2, COARSE),
    (2, 90),
    (4, COARSE),
    (4, 62),
    (8, 62),
]
"""(cells of a block map in one along a side, levels), best first."""
LINES = [(0, FINE), (2048, FINE), (512, COARSE), (128, COARSE)]
"""(most cells of a line, 0 for one a token; levels), best first."""
TOP_KEYS = (8, 4, 2, 1)
WHOLE = 4096
"""Cells of a layer, all heads together, that are never joined: they take no room."""

OfLayer = tuple[dict[str, Any], list[dict[str, Any]]]
"""What is added to a layer, and to each of its heads."""
Part = list[OfLayer]


def maps(picture: Picture, room: Room) -> Part:
    """Block maps; less exact or in larger cells where room is short."""

    def choice(merged: int, levels: int) -> Choice:
        near = "" if levels == FINE else f"Maps are kept to {100 * relative_error(levels):.0f} % of each weight"
        joined = f", {merged} × {merged} cells in one where a layer has more than {WHOLE:,}." if merged > 1 else ""
        lost = near + (joined or ("." if near else ""))
        size = sum(_map(layer).numel() for layer in picture.layers) // merged**2 * _bytes(levels)
        return Choice(size, _each(picture, lambda layer: _map_of(layer, merged, levels)), lost)

    return room.best(0.85, [choice(*option) for option in MAPS])


def lines(picture: Picture, room: Room) -> Part:
    """Entropy of each query and mass of each key; means over runs where room is short."""
    longest = max((max(layer.shape) for layer in picture.layers), default=0)

    def choice(most: int, levels: int) -> Choice:
        lost = f"Lines are means over runs of {_run(longest, most):,} tokens." if most else ""
        runs = sum(len(layer.heads) * math.ceil(side / _run(side, most)) for layer in picture.layers for side in layer.shape)
        return Choice(runs * _bytes(levels), _each(picture, lambda layer: _lines_of(layer, most, levels)), lost)

    return room.best(0.2, [choice(*option) for option in LINES if option[0] < longest or option[0] == 0])


def top_weights(picture: Picture, room: Room) -> Part:
    """The largest weights of each query; fewer, or those of some queries, where room is short."""
    kept = max((_num_top(layer) for layer in picture.layers), default=0)
    if not kept:
        return _nothing(picture)()
    step = cell_width(max(layer.shape[0] for layer in picture.layers))

    def choice(count: int, step: int, levels: int) -> Choice:
        lost = "" if (count, step) == (kept, 1) else f"Of largest weights, {count} are kept of each query"
        lost += f" in {step:,}." if step > 1 else "." if lost else ""
        num_rows = sum(len(layer.heads) * layer.shape[0] // step for layer in picture.layers)
        size = num_rows * count * (3 + _bytes(levels))
        return Choice(size, _each(picture, lambda layer: _top_of(layer, count, step, levels)), lost)

    counts = [kept, *(count for count in TOP_KEYS if count < kept)]
    options = [choice(count, 1, FINE) for count in counts] + [choice(count, step, COARSE) for count in counts if step > 1]
    return room.best(0.8, [*options, Choice(0, _nothing(picture), "The largest weights of each query.")])


def rectangles(picture: Picture, room: Room) -> Iterator[Part]:
    """Exact weights, the smallest rectangles first: each whole, or less exact, or not at all."""
    given = picture.extras.rectangles
    for number in sorted(range(len(given)), key=lambda number: len(given[number][0]) * len(given[number][1])):
        rows, keys = given[number]
        where = f"Exact weights of queries {rows.start:,}–{rows.stop - 1:,} on keys {keys.start:,}–{keys.stop - 1:,}"
        options = [_rectangle_choice(picture, number, levels, where) for levels in (FINE, COARSE, 62)]
        yield room.best(0.25, [*options, Choice(0, _nothing(picture), f"{where}.")])


def _rectangle_choice(picture: Picture, number: int, levels: int, where: str) -> Choice:
    lost = "" if levels == FINE else f"{where} are kept to {100 * relative_error(levels):.0f} % of each."
    size = sum(layer.rectangle(number).numel() for layer in picture.layers) * _bytes(levels)
    return Choice(size, _each(picture, lambda layer: _rectangle_of(layer, number, levels)), lost)


def _rectangle_of(layer: Layer, number: int, levels: int) -> OfLayer:
    if number not in layer.rectangles:
        return _without(layer)
    sides = zip(("rows", "keys"), layer.rectangles[number], strict=True)
    place: dict[str, Any] = {name: [side.start, side.stop] for name, side in sides}
    return {}, [{"rectangles": [place | {"weights": pack(own, levels)}]} for own in layer.rectangle(number)]


def _map(layer: Layer) -> Tensor:
    found = layer.statistics.values.get("block_map")
    return torch.zeros(len(layer.heads), 0, 0) if found is None else found[0]


def _map_of(layer: Layer, merged: int, levels: int) -> OfLayer:
    cells = _map(layer)
    merged = 1 if cells.numel() <= WHOLE else merged
    cells = merged_cells(cells, layer, merged)
    widths = [cell_width(length) * merged for length in layer.shape]
    sides = {"rows": cells.shape[1], "columns": cells.shape[2], "row_width": widths[0], "column_width": widths[1]}
    return sides, [{"map": pack(own, levels)} for own in cells] if cells.numel() else _without(layer)[1]


def merged_cells(cells: Tensor, layer: Layer, merged: int) -> Tensor:
    """Runs of cells in one: weights to columns add up, rows are a mean over their live queries, NaN where none was read."""
    if merged == 1 or not cells.numel():
        return cells
    live = layer.statistics.is_live[0].to(cells)
    counts = _summed(live, torch.arange(live.shape[1]) // cell_width(layer.shape[0]))
    row, column = (torch.arange(side) // merged for side in cells.shape[1:])
    weight = counts * ~cells.isnan().any(2)
    sums = _summed(_summed((cells.nan_to_num() * weight[..., None]).mT, row).mT, column)
    is_read = _summed((~cells.isnan().any(2)).to(cells), row) > 0
    means = sums / _summed(weight, row).clamp(min=1)[..., None]
    return means.masked_fill(~is_read[..., None], math.nan)


def _summed(values: Tensor, into: Tensor) -> Tensor:
    """Sums of runs along the last side."""
    return values.new_zeros(*values.shape[:-1], int(into[-1]) + 1).index_add_(-1, into, values)


def _lines_of(layer: Layer, most: int, levels: int) -> OfLayer:
    seen = layer.statistics
    (rows, keys), of_heads = (_run(length, most) for length in layer.shape), _without(layer)[1]
    for name, width, is_read in (("entropy_bits", rows, seen.is_live[0]), ("mass_received", keys, None)):
        values = seen.values.get(name)
        if values is not None and values.numel():
            shown = values[0] if is_read is None else values[0].masked_fill(~is_read, math.nan)
            for head, own in zip(of_heads, means_of_runs(shown, width), strict=True):
                head[name] = pack(own, levels, is_linear=name == "entropy_bits")
    return {"entropy_width": rows, "received_width": keys}, of_heads


def means_of_runs(values: Tensor, width: int) -> Tensor:
    """Means over runs of this length along the last side, of what is not NaN."""
    if width == 1:
        return values
    into = torch.arange(values.shape[-1]) // width
    return _summed(values.nan_to_num(), into) / _summed((~values.isnan()).to(values), into)


def _num_top(layer: Layer) -> int:
    seen = layer.statistics.values
    return seen["top_weights"].shape[-1] if "top_weights" in seen and "top_keys" in seen else 0


def _top_of(layer: Layer, count: int, step: int, levels: int) -> OfLayer:
    if not _num_top(layer):
        return _without(layer)
    seen = layer.statistics
    queries = seen.is_live[0].any(0).nonzero()[::step, 0]
    weights, keys = (seen.values[name][0][:, queries, :count] for name in ("top_weights", "top_keys"))
    found = [{"top_weights": pack(own, levels), "top_keys": pack_integers(at)} for own, at in zip(weights, keys, strict=True)]
    return {"top_queries": pack_integers(queries), "top_count": weights.shape[-1]}, found


def _each(picture: Picture, of_layer: Callable[[Layer], OfLayer]) -> Callable[[], Part]:
    return lambda: [of_layer(layer) for layer in picture.layers]


def _nothing(picture: Picture) -> Callable[[], Part]:
    return _each(picture, _without)


def _without(layer: Layer) -> OfLayer:
    return {}, [{} for _ in layer.heads]


def _run(length: int, most: int) -> int:
    return max(1, math.ceil(length / most)) if most else 1


def _bytes(levels: int) -> int:
    return 2 if levels > COARSE else 1
