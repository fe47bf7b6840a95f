"""Sheets of many pictures: what a model paints, walks between its pictures, and its copies of real ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from regard.tasks.folder import Run
from regard.tasks.paint.request import Request
from regard.tasks.pictures.png import Bytes, enlarged, png_of

ROWS, COLUMNS, GAP, SHORTEST = 8, 8, 2, 48
"""Of a sheet; pixels between its pictures; pixels of a side that is not enlarged."""


def samples(run: Run) -> bytes:
    """The seeds from 0 on; where there are classes, a column is a class, again from the left for more."""
    return sheet(_painted(run, [Request(seed) for seed in range(ROWS * _columns(run))]), _columns(run))


def walks(run: Run) -> bytes:
    """Each row on the way from one seed to the next, of one class where there are some."""
    labels: Sequence[str | None] = getattr(run.encoder, "classes", ()) or [None]
    steps = [
        Request(row, labels[row % len(labels)], row + 1, step / (COLUMNS - 1)) for row in range(ROWS) for step in range(COLUMNS)
    ]
    return sheet(_painted(run, steps), COLUMNS)


def copies(run: Run, requests: Sequence[Request]) -> bytes:
    """Pairs of rows: pictures, and what a vae makes of them."""
    number = ROWS // 2 * COLUMNS
    shown = [replace(request, seed=None) for request in requests[:: -(-len(requests) // number)]]
    made = run.predict(shown)
    tiles: list[Bytes] = []
    for start in range(0, len(shown), COLUMNS):
        row = slice(start, start + COLUMNS)
        pairs = [one.original for one in shown[row]], [one.copy for one in made[row]]
        blank = torch.full_like(pairs[0][0], 255)
        for tiles_of_row in pairs:
            tiles += [*tiles_of_row, *[blank] * (COLUMNS - len(tiles_of_row))]
    return sheet(tiles, COLUMNS)


def all_sheets(run: Run, requests: Sequence[Request]) -> Iterator[tuple[str, bytes]]:
    """What a run folder holds: name of the file, content."""
    yield "samples.png", samples(run)
    yield "walks.png", walks(run)
    originals = [request for request in requests if request.view is not None]
    if originals and run.predict([replace(originals[0], seed=None)])[0].copy is not None:
        yield "copies.png", copies(run, originals)


def sheet(tiles: Sequence[Bytes], columns: int) -> bytes:
    """Pictures of one size in rows, small ones enlarged by whole pixels."""
    large = [enlarged(tile, SHORTEST) for tile in tiles]
    rows = [_side_by_side(large[start : start + columns], columns) for start in range(0, len(large), columns)]
    return png_of(_with_gaps(rows, 1))


def _side_by_side(tiles: Sequence[Bytes], columns: int) -> Bytes:
    return _with_gaps([*tiles, *[torch.full_like(tiles[0], 255)] * (columns - len(tiles))], 2)


def _with_gaps(parts: Sequence[Bytes], axis: int) -> Bytes:
    shape = list(parts[0].shape)
    shape[axis] = GAP
    gap = torch.full(shape, 255, dtype=torch.uint8)
    between: list[Tensor] = [gap]
    for part in parts:
        between += [part, gap]
    return torch.cat(between, axis)


def _columns(run: Run) -> int:
    """As many as there are classes, where those are few."""
    count = len(getattr(run.encoder, "classes", ()))
    return count if 2 <= count <= 2 * COLUMNS else COLUMNS


def _painted(run: Run, requests: Sequence[Request]) -> list[Bytes]:
    return [painting.picture for painting in run.predict(requests)]
