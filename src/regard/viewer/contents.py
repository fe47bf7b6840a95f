"""What a page holds of a picture, in plain values: as much of it as fits into a number of bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor

from regard.viewer.packing import COARSE, pack, pack_texts
from regard.viewer.parts import Part, lines, maps, rectangles, top_weights
from regard.viewer.picture import Layer, Picture
from regard.viewer.room import Choice, Room, size_of


def contents(picture: Picture, max_bytes: float) -> dict[str, Any]:
    """A picture in plain values, about as many bytes as these at most; under "left_out", in words, what did not fit."""
    room = Room(max_bytes)
    page: dict[str, Any] = {"title": picture.title, "note": picture.note, "notes": picture.notes}
    page["facts"] = dict(picture.extras.facts)
    layers = [_described(layer) for layer in picture.layers]
    room.left -= size_of(page) + size_of(layers)
    page |= _texts(picture, room)
    page["gates"] = [_gate(name, gate, room) for name, gate in picture.gates.items()]
    for part in (lines(picture, room), *rectangles(picture, room), maps(picture, room), top_weights(picture, room)):
        _add(layers, part)
    return page | {"layers": layers, "left_out": room.lost}


def _add(layers: list[dict[str, Any]], part: Part) -> None:
    for layer, (of_layer, of_heads) in zip(layers, part, strict=True):
        layer |= of_layer
        for head, own in zip(layer["heads"], of_heads, strict=True):
            own = dict(own)
            head["rectangles"] += own.pop("rectangles", [])
            head |= own


def _texts(picture: Picture, room: Room) -> dict[str, Any]:
    image = picture.extras.image
    texts = {"keys": picture.keys, "labels": picture.labels}
    if picture.queries != picture.keys:
        texts["queries"] = picture.queries
    found: dict[str, Any] = {"queries": None, "image": None}
    found |= {name: _text(name, own, room) for name, own in texts.items()}
    found["texts"] = {name: _text(name, own, room) for name, own in picture.extras.texts.items()}
    if image is not None:
        none = Choice(0, lambda: None, "The image: its file is too large.")
        found["image"] = room.best(0.6, [Choice(0, image.to_json), none])
    return found


def _text(name: str, own: Sequence[str], room: Room) -> Any:
    none = Choice(0, list, f"The {name} themselves: tokens have their numbers only.")
    return room.best(0.6, [Choice(0, partial(pack_texts, own)), none])


def _described(layer: Layer) -> dict[str, Any]:
    means = layer.statistics.head_means()
    heads = [
        {
            "number": number,
            "role": layer.roles[place] if place < len(layer.roles) else "",
            "means": {name: _short(float(value[place])) for name, value in means.items()},
            "rectangles": [],
        }
        for place, number in enumerate(layer.heads)
    ]
    return {
        "name": layer.name,
        "shape": list(layer.shape),
        "texts": list(layer.texts),
        "first_query": layer.first_query,
        "missing": {name: reason for name, reason in layer.statistics.missing.items() if name != "segment_shares"},
        "heads": heads,
    }


def _gate(name: str, gate: Tensor, room: Room) -> dict[str, Any]:
    sides = {"name": name, "shape": list(gate.shape)}
    none = Choice(0, lambda: sides | {"map": None}, f"The map of the gate {name}.")
    return room.best(0.1, [Choice(gate.numel(), lambda: sides | {"map": pack(gate, COARSE, is_linear=True)}), none])


def _short(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None
