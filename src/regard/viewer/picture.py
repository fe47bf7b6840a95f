"""A picture: what one input looked like through the lens, with the texts or the image that it was made of."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from regard.errors import InputError
from regard.lens.record import Lens, Reading
from regard.lens.statistics import Statistics

_KINDS = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp", b"GIF8": "image/gif"}


@dataclass(frozen=True)
class Image:
    """An image whose patches are keys, row by row, after `leading` tokens of another kind, such as [CLS]."""

    data: bytes
    """A PNG, JPEG, WebP or GIF file."""
    rows: int
    columns: int
    leading: int = 0

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1 or self.leading < 0:
            raise InputError(
                f"An image has rows and columns of patches, got {self.rows} × {self.columns} after {self.leading}."
            )
        if self.kind is None:
            raise InputError(f"An image must be a PNG, JPEG, WebP or GIF file, got one that starts with {self.data[:4]!r}.")

    @property
    def kind(self) -> str | None:
        """Its media type, by how the file starts."""
        return next((kind for start, kind in _KINDS.items() if self.data.startswith(start)), None)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the script reads them."""
        source = f"data:{self.kind};base64,{base64.b64encode(self.data).decode()}"
        return {"source": source, "rows": self.rows, "columns": self.columns, "leading": self.leading}


@dataclass(frozen=True)
class Extras:
    """What a picture may carry besides its texts."""

    facts: Mapping[str, str] = field(default_factory=dict)
    """Shown beside it, such as how faithful it was found to be."""
    image: Image | None = None
    """Its patches are the keys, and the queries too unless these are given on their own."""
    rectangles: Sequence[tuple[range, range]] = ()
    """Where the exact weights lie that were asked for: `Wanted.rectangles`."""
    example: int = 0
    """Which of a batch."""
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """More texts by name, for layers that read neither the queries nor the keys, such as a tokenizer's pieces."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One call of attention on one example."""

    name: str
    statistics: Statistics
    """Of this example alone: a batch of one."""
    shape: tuple[int, int]
    """(queries, keys)."""
    heads: tuple[int, ...]
    texts: tuple[str, str]
    """Which texts of the picture its queries and its keys are: "queries", "keys" (also where both are one), one of its other
    texts, "" for none."""
    first_query: int = 0
    roles: Sequence[str] = ()
    rectangles: Mapping[int, tuple[range, range]] = field(default_factory=dict)
    """Under its number among those that were asked for, where the exact weights of each lie; others are not in this layer."""

    @classmethod
    def of(cls, reading: Reading, extras: Extras, texts: Mapping[str, int], roles: Sequence[str] = ()) -> Layer:
        """One example of a call."""
        example = extras.example
        batch, num_heads, *shape = reading.shape
        if not 0 <= example < batch:
            raise InputError(f"example must be below the batch size of {reading.layer!r}, got {example} of {batch}.")
        found = _of_example(reading.statistics, example)
        named = found.values.get("mass_received")
        used = num_used(found.is_live.any(1)[0]), shape[1] if named is None else num_used(named[0].sum(0) != 0)
        own = _text_of(shape[0], used[0], texts, "queries"), _text_of(shape[1], used[1], texts, "keys")
        heads = reading.heads or tuple(range(num_heads))
        places = _places(extras.rectangles, reading)
        return cls(reading.layer, found, (shape[0], shape[1]), heads, own, reading.first_query, tuple(roles), places)

    def rectangle(self, number: int) -> Tensor:
        """Exact weights of each head, empty where they were not kept."""
        if number not in self.rectangles:
            return torch.zeros(len(self.heads), 0, 0)
        return self.statistics.rectangles[list(self.rectangles).index(number)][0]


@dataclass(frozen=True, eq=False)
class Picture:
    """What one input looked like through the lens: a page of the report."""

    title: str
    queries: list[str]
    keys: list[str]
    layers: list[Layer]
    note: str = ""
    labels: list[str] = field(default_factory=list)
    """One for each query, such as the tag that was predicted; or none."""
    notes: list[str] = field(default_factory=list)
    """How it was read, and what was not seen."""
    extras: Extras = field(default_factory=Extras)
    gates: dict[str, Tensor] = field(default_factory=dict)
    """Maps of the gates that ran, as (channels, height, width)."""

    @classmethod
    def of(
        cls,
        lens: Lens,
        title: str,
        keys: Sequence[str],
        *,
        queries: Sequence[str] | None = None,
        note: str = "",
        labels: Sequence[str] = (),
        roles: Mapping[str, Sequence[str]] | None = None,
        extras: Extras | None = None,
    ) -> Picture:
        """The last reading of each layer; of a batch, its first example. `queries` are the keys unless given.

        `roles` name what the heads of a layer do, in order, such as "previous token"; "" names none.
        """
        extras, given = extras or Extras(), list(keys if queries is None else queries)
        _check(extras, len(keys), len(given), len(labels))
        lengths = {"keys": len(keys)} if given == list(keys) else {"queries": len(given), "keys": len(keys)}
        lengths |= {name: len(text) for name, text in extras.texts.items()}
        kept = [lens[name] for name in lens.layers if lens.calls(name)]
        layers = [Layer.of(reading, extras, lengths, (roles or {}).get(reading.layer, ())) for reading in kept]
        gates = {name: _map_of(value, extras.example) for name, value in lens.gates.items()}
        return cls(title, given, list(keys), layers, note, list(labels), notes_of(lens, kept), extras, gates)


def notes_of(lens: Lens, readings: Sequence[Reading]) -> list[str]:
    """How calls were read, what was sampled, what was not seen and why."""
    notes = [f"{how[:1].upper()}{how[1:]}." for how in dict.fromkeys(reading.how for reading in readings) if how]
    drawn = dict.fromkeys((len(r.sample.rows), r.sample.num_blocks) for r in readings if r.sample is not None)
    notes += [f"Sampled: {drawn_blocks} of {blocks} blocks of queries; the others are blank." for drawn_blocks, blocks in drawn]
    notes += list(dict.fromkeys(lens.notes))
    for (layer, reason), times in Counter(lens.unseen).items():
        notes.append(f"Not seen: {layer}{f', {times} times' if times > 1 else ''}: {reason}.")
    return notes


def num_used(is_used: Tensor) -> int:
    """Positions up to the last that is used."""
    places = is_used.nonzero()
    return int(places.max()) + 1 if len(places) else 0


def _places(wanted: Sequence[tuple[range, range]], reading: Reading) -> dict[int, tuple[range, range]]:
    """Rectangles cut to a call as the lens cuts them. Raises InputError unless they are those that it kept."""
    (queries, keys), kept = reading.shape[2:], reading.statistics.rectangles
    cut = [(range(queries)[r.start : r.stop], range(keys)[k.start : k.stop]) for r, k in wanted]
    places = {number: sides for number, sides in enumerate(cut) if all(sides)}
    sizes = [(len(rows), len(columns)) for rows, columns in places.values()]
    if wanted and sizes != [tuple(one.shape[2:]) for one in kept]:
        raise InputError(f"rectangles must be those of Wanted: {reading.layer!r} has {len(kept)} and {len(places)} were named.")
    return places


def _text_of(length: int, used: int, texts: Mapping[str, int], own: str) -> str:
    """The text that has this length, its own first; or its own where the rest is padding."""
    own = own if own in texts else "keys"
    order = [own, *(name for name in texts if name != own)]
    same = next((name for name in order if texts[name] == length), "")
    return same or (own if 0 < used <= texts[own] < length else "")


def _of_example(seen: Statistics, example: int) -> Statistics:
    one = slice(example, example + 1)
    values, aligned = ({name: value[one] for name, value in part.items()} for part in (seen.values, seen.aligned_shares))
    return Statistics(values, seen.is_live[one], aligned, tuple(kept[one] for kept in seen.rectangles), seen.missing)


def _map_of(gate: Tensor, example: int) -> Tensor:
    own = gate[min(example, gate.shape[0] - 1)] if gate.dim() == 4 else gate
    return own.detach().float().cpu().reshape(-1, *own.shape[-2:])


def _check(extras: Extras, num_keys: int, num_queries: int, num_labels: int) -> None:
    if num_labels not in (0, num_queries):
        raise InputError(f"labels must be one for each query, or none: got {num_labels} for {num_queries} queries.")
    image = extras.image
    if image is not None and image.leading + image.rows * image.columns != num_keys:
        raise InputError(
            f"keys must name {image.leading} leading tokens and {image.rows} × {image.columns} patches, got {num_keys} keys."
        )
