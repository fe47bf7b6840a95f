"""Texts and pictures as a transformers model takes them, with what a reader calls their tokens."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from regard.data.pictures import input_pictures, pixels
from regard.data.pictures.trees import PICTURES
from regard.errors import InputError
from regard.hub.models import HubModel
from regard.viewer.picture import Image


@dataclass(frozen=True)
class Input:
    """One input as the model takes it, with what a reader calls its keys and queries."""

    title: str
    arguments: dict[str, Tensor]
    keys: list[str]
    queries: list[str] | None = None
    image: Image | None = None

    @cached_property
    def ids(self) -> Tensor | None:
        """Token numbers (1, length), of the text that the model reads."""
        return self.arguments.get("input_ids")


def inputs_of(source: str, *, is_by_line: bool) -> list[str | Path]:
    """A text, a file of text or an image, or standard input; its lines one by one where they are asked for."""
    from regard.data.files import existing, read_lines, split_lines
    from regard.data.stream import is_file

    path = Path(source)
    if source != "-" and path.suffix.lower() in PICTURES:
        return [existing(source)]
    if source == "-":
        lines = split_lines(sys.stdin.buffer.read(), "standard input")
    else:
        lines = read_lines(path) if is_file(path) else source.splitlines()
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise InputError("the input holds no text to look at.", file=source if is_file(path) else None)
    return list(texts) if is_by_line else ["\n".join(lines)]


def made(model: HubModel, given: str | Path, max_tokens: int | None = None, target: str | None = None) -> Input:
    """A text or a file of an image as the model takes it. Raises InputError for one that it cannot."""
    if model.kind == "image":
        return _of_image(model, given)
    if isinstance(given, Path):
        raise InputError(f"{model.name} reads text, and this is an image.", file=str(given))
    return _of_text(model, given, max_tokens, target)


def _of_text(model: HubModel, text: str, max_tokens: int | None, target: str | None) -> Input:
    given = model.processor(text, return_tensors="pt", truncation=max_tokens is not None, max_length=max_tokens)
    length = given["input_ids"].shape[1]
    if length == 0:
        raise InputError("the input holds no text to look at.")
    if model.max_tokens is not None and length > model.max_tokens:
        raise InputError(
            f"the text has {length:,} tokens, and {model.name} takes at most {model.max_tokens:,}: "
            f"look at its beginning by --max-tokens {model.max_tokens}, or at each of its lines by --lines."
        )
    names = [name for name in given if name in ("input_ids", "attention_mask", "token_type_ids")]
    arguments, tokens = {name: given[name] for name in names}, _words(model, given["input_ids"][0])
    title = " ".join(text.split())[:120]
    if model.kind == "text":
        if hasattr(model.config, "use_cache"):
            arguments["use_cache"] = False  # type: ignore[assignment]
        return Input(title, arguments, tokens)
    arguments["decoder_input_ids"] = _target(model, arguments, target)
    return Input(title, arguments, tokens, _words(model, arguments["decoder_input_ids"][0]))


def _target(model: HubModel, arguments: dict[str, Tensor], target: str | None) -> Tensor:
    """The target given, shifted as the decoder takes it; or what the model writes itself, by greedy search."""
    if target is None:
        written: Tensor = model.model.generate(**arguments, max_new_tokens=128, do_sample=False, num_beams=1)  # type: ignore[operator]
        return written[:, :-1] if written.shape[1] > 1 else written
    ids = model.processor(text_target=target, return_tensors="pt")["input_ids"]
    start = torch.full((1, 1), int(model.config.decoder_start_token_id))
    return torch.cat([start, ids[:, :-1]], 1)


def _of_image(model: HubModel, given: str | Path) -> Input:
    from io import BytesIO

    import numpy as np
    from PIL import Image as Pillow

    if not isinstance(given, Path):
        raise InputError(f"{model.name} reads images, and this is text. Name a file: {', '.join(PICTURES)}.")
    values = pixels(next(input_pictures(str(given))))
    picture = Pillow.fromarray(np.broadcast_to(values, (*values.shape[:2], 3)))
    arguments = dict(model.processor(picture, return_tensors="pt"))
    height, width = arguments["pixel_values"].shape[-2:]
    patch = model.config.patch_size
    high, wide = (patch, patch) if isinstance(patch, int) else patch
    rows, columns = height // high, width // wide
    leading = _leading(model, arguments, rows * columns)
    seen = BytesIO()
    picture.resize((width, height)).save(seen, format="JPEG", quality=85)
    names = [f"[{i}]" if i else "[CLS]" for i in range(leading)] + [f"{r},{c}" for r in range(rows) for c in range(columns)]
    return Input(given.name, arguments, names, image=Image(seen.getvalue(), rows, columns, leading))


def _leading(model: HubModel, arguments: dict[str, Tensor], num_patches: int) -> int:
    """Tokens before the patches, such as [CLS]: what the model's last state is longer by."""
    length = model.model(**arguments, output_hidden_states=True).hidden_states[-1].shape[1]
    if length < num_patches:
        raise InputError(
            f"{model.name} joins its patches, {num_patches} to {length}: they cannot be laid over the picture yet."
        )
    return int(length - num_patches)


def _words(model: HubModel, ids: Tensor) -> list[str]:
    """Each token as a person reads it, with the space before it where it has one."""
    known: dict[int, str] = {}
    for number in ids.unique().tolist():
        piece = model.processor.convert_ids_to_tokens(number)
        text = model.processor.decode([number])
        space = " " if piece.startswith(("Ġ", "▁")) and not text.startswith(" ") else ""
        known[number] = piece if not text or "\ufffd" in text else space + text
    return [known[number] for number in ids.tolist()]
