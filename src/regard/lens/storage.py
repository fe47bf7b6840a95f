"""A lens on disk: the numbers as safetensors, all else as JSON, in a folder that is written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

from torch import Tensor

from regard.errors import InputError
from regard.lens.measure import Sample
from regard.lens.record import Lens, Reading, Total
from regard.lens.statistics import Statistics

VERSION = 1
NUMBERS, WORDS = "lens.safetensors", "lens.json"


def save(lens: Lens, folder: Path) -> None:
    """Under another name first, which then takes the place of what an earlier `save` left; of nothing else."""
    from safetensors.torch import save_file

    if folder.exists() and not (folder.is_dir() and all(path.name in (NUMBERS, WORDS) for path in folder.iterdir())):
        raise InputError("something else than a saved lens is here; choose another folder.", file=str(folder))
    tensors: dict[str, Tensor] = {}
    words = {
        "version": VERSION,
        "keep": lens.keep,
        "window": lens.window,
        "unseen": lens.unseen,
        "notes": lens.notes,
        "gates": _put(tensors, "gates", lens.gates),
        "layers": [_layer(lens, layer, f"layers.{number}", tensors) for number, layer in enumerate(lens.layers)],
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".lens-") as made:
        save_file(tensors, Path(made) / NUMBERS)
        (Path(made) / WORDS).write_text(json.dumps(words, ensure_ascii=False, indent=1), encoding="utf8")
        folder.mkdir(exist_ok=True)
        for name in (NUMBERS, WORDS):  # the words last: they say that the numbers are there
            os.replace(Path(made) / name, folder / name)


def load(folder: Path) -> Lens:
    """Raises InputError for what is no saved lens, is of another version, or is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        words = json.loads((folder / WORDS).read_text(encoding="utf8"))
        if words["version"] != VERSION:
            raise InputError(f"it is a lens of version {words['version']}, and this regard reads {VERSION}.", file=str(folder))
        tensors = load_file(folder / NUMBERS)
        lens = Lens(words["keep"], words["window"])
        lens.unseen = [(layer, reason) for layer, reason in words["unseen"]]
        lens.notes = list(words["notes"])
        lens.gates = _take(tensors, words["gates"])
        for layer in words["layers"]:
            lens.totals[layer["name"]] = _total(layer["total"], tensors)
            readings = (_reading(layer["name"], one, tensors) for one in layer["readings"])
            lens._kept[layer["name"]] = deque(readings, maxlen=lens.keep)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as fault:
        raise InputError(f"no saved lens can be read here: {fault}.", file=str(folder)) from fault
    return lens


def _put(tensors: dict[str, Tensor], place: str, values: Any) -> dict[str, str]:
    """Tensors under names of their own, so that no name of a module has to be a key of the file."""
    names = {name: f"{place}.{number}" for number, name in enumerate(values)}
    tensors.update({names[name]: value.detach().cpu().contiguous().clone() for name, value in values.items()})
    return names


def _take(tensors: dict[str, Tensor], names: dict[str, str]) -> dict[str, Tensor]:
    return {name: tensors[place] for name, place in names.items()}


def _layer(lens: Lens, layer: str, place: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    total = lens.totals[layer]
    sums = {name: _put(tensors, f"{place}.{name}", getattr(total, name)) for name in ("sums", "counts", "variances")}
    readings = [_words(one, f"{place}.calls.{number}", tensors) for number, one in enumerate(lens.calls(layer))]
    return {"name": layer, "total": {"heads": total.heads, "num_calls": total.num_calls, **sums}, "readings": readings}


def _words(reading: Reading, place: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    seen, sample = reading.statistics, reading.sample
    rectangles = {str(number): rectangle for number, rectangle in enumerate(seen.rectangles)}
    parts = {"values": seen.values, "aligned_shares": seen.aligned_shares, "rectangles": rectangles}
    found: dict[str, Any] = {name: _put(tensors, f"{place}.{name}", part) for name, part in parts.items()}
    found["is_live"] = _put(tensors, f"{place}.live", {"": seen.is_live})
    if sample is not None:
        found["sample"] = {
            "rows": [[run.start, run.stop] for run in sample.rows],
            "num_blocks": sample.num_blocks,
            "is_live": _put(tensors, f"{place}.sample", {"": sample.is_live}),
        }
    told = {"missing": dict(seen.missing), "shape": reading.shape, "how": reading.how}
    return found | told | {"heads": reading.heads, "first_query": reading.first_query}


def _total(words: dict[str, Any], tensors: dict[str, Tensor]) -> Total:
    sums, counts, variances = (_take(tensors, words[name]) for name in ("sums", "counts", "variances"))
    return Total(tuple(words["heads"]), sums, counts, variances, words["num_calls"])


def _reading(layer: str, words: dict[str, Any], tensors: dict[str, Tensor]) -> Reading:
    live, shares = _take(tensors, words["is_live"])[""], _take(tensors, words["aligned_shares"])
    rectangles = tuple(_take(tensors, words["rectangles"]).values())
    seen = Statistics(_take(tensors, words["values"]), live, shares, rectangles, words["missing"])
    sample = words.get("sample")
    if sample is not None:
        rows = tuple(range(*run) for run in sample["rows"])
        sample = Sample(rows, sample["num_blocks"], _take(tensors, sample["is_live"])[""])
    shape = tuple(words["shape"])
    return Reading(layer, seen, shape, words["how"], tuple(words["heads"]), words["first_query"], sample)  # type: ignore[arg-type]
