"""A report: one HTML file with its data, style and script inside, that opens without a network."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor

from regard.lens.statistics import cell_width
from regard.lens.watch import Lens, Reading

VERSION = 1


@dataclass(frozen=True)
class Picture:
    """What one input looked like through the lens: a page of the report."""

    title: str
    queries: list[str]
    keys: list[str]
    layers: list[dict[str, Any]]
    note: str = ""
    labels: list[str] = field(default_factory=list)
    """One for each query, such as the tag that was predicted; or none."""

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
    ) -> Picture:
        """The last reading of each layer; of a batch, its first example. `queries` are the keys unless given."""
        layers = [_layer(lens[layer]) for layer in lens.layers]
        return cls(title, list(keys if queries is None else queries), list(keys), layers, note, list(labels))

    def to_json(self) -> dict[str, Any]:
        """Plain values, as the script reads them."""
        return vars(self)


def render(pictures: Sequence[Picture], *, title: str, facts: dict[str, str] | None = None) -> str:
    """The page. Texts reach it as data and are only ever shown as text."""
    folder = files("regard.viewer")
    data = {"version": VERSION, "title": title, "facts": facts or {}, "pictures": [picture.to_json() for picture in pictures]}
    page = (folder / "index.html").read_text(encoding="utf8")
    parts = {
        "/*style*/": (folder / "style.css").read_text(encoding="utf8"),
        "/*script*/": (folder / "viewer.js").read_text(encoding="utf8"),
        "/*data*/": json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),
    }
    for mark, text in parts.items():
        page = page.replace(mark, text, 1)
    return page


def _layer(reading: Reading) -> dict[str, Any]:
    seen, (_, num_heads, num_queries, num_keys) = reading.statistics, reading.shape
    means = seen.head_means()
    heads = [
        {
            "map": _packed(seen.block_map[0, head]),
            "entropy_bits": _rounded(seen.entropy_bits[0, head]),
            "mass_received": _rounded(seen.mass_received[0, head]),
            "means": {name: round(float(value[head]), 4) for name, value in means.items()},
        }
        for head in range(num_heads)
    ]
    rows, columns = seen.block_map.shape[2:]
    return {
        "name": reading.layer,
        "heads": heads,
        "rows": rows,
        "columns": columns,
        "row_width": cell_width(num_queries),
        "column_width": cell_width(num_keys),
    }


def _packed(cells: Tensor) -> str:
    """Weights in [0, 1] as 16-bit numbers, row by row, in base 64: exact to 0.00001."""
    return base64.b64encode((cells.clamp(0, 1) * 65535).round().to(torch.uint16).numpy().astype("<u2").tobytes()).decode()


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 4) for value in values.tolist()]
