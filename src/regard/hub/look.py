"""Where a transformers model looks: one long text, many lines, or pictures."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard.errors import InputError
from regard.hub.models import HubModel
from regard.lens.record import Lens
from regard.lens.statistics import Wanted
from regard.lens.summary import induction_keys, roles
from regard.lens.watch import watch
from regard.viewer.picture import Extras, Image, Picture
from regard.viewer.report import render

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
LONG = 4096
"""Tokens from which one largest key is kept for each query instead of TOP_KEYS."""
TOP_KEYS = 8
MOST_TESTED_TOKENS = 1024
MEANS_BATCH_TOKENS = 4096
"""Padded tokens that one batch of lines may hold."""


@dataclass(frozen=True)
class Options:
    """How to look."""

    max_tokens: int | None = None
    target: str | None = None
    sample: int | None = None
    layers: str = "*"
    exact: range | None = None
    """Positions of which the exact weights among one another are kept."""
    num_tested: int = 3
    """Texts of which it is tested how far a classifier's picture can be believed."""


@dataclass(frozen=True)
class Looked:
    """What was seen, and a picture of each of the first inputs."""

    lens: Lens
    pictures: list[Picture]
    num_inputs: int
    num_tokens: int

    @property
    def heads(self) -> list[dict[str, Any]]:
        """A line for each head: its role, and means over all inputs."""
        named = roles(self.lens)
        return [
            {"layer": layer, "head": head, "role": named[layer][place]}
            | {name: round(float(value[place]), 6) for name, value in means.items()}
            for layer, means in self.lens.head_means().items()
            for place, head in enumerate(self.lens.totals[layer].heads)
        ]


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

    path = Path(source)
    if source != "-" and path.suffix.lower() in IMAGES:
        return [existing(source)]
    if source == "-":
        lines = split_lines(sys.stdin.buffer.read(), "standard input")
    else:
        lines = read_lines(path) if _is_file(path) else source.splitlines()
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise InputError("the input holds no text to look at.", file=source if _is_file(path) else None)
    return list(texts) if is_by_line else ["\n".join(lines)]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a text too long to be the name of a file
        return False


def page(model: HubModel, seen: Looked) -> str:
    """The report of what was seen."""
    facts = {"model": type(model.model).__name__, "inputs": f"{seen.num_inputs:,}", "tokens": f"{seen.num_tokens:,}"}
    return render(seen.pictures, title=f"{Path(model.name).name} · where it looks", facts=facts)


def look(model: HubModel, inputs: Sequence[str | Path], options: Options, num_pictures: int = 8) -> Looked:
    """One pass over each input; means over all, pictures of the first. Texts are given as they are, images as files."""
    made = [_input(model, one, options) for one in inputs]
    shown, rest = made[:num_pictures], made[num_pictures:]
    seen: list[tuple[Input, Lens, dict[str, str]]] = []
    lens = Lens()
    with torch.inference_mode():
        for number, one in enumerate(shown):
            own = _watched(model, [one.arguments], _wanted(one, options), options)
            lens.merge(own)
            tested = _tested(model, str(inputs[number]), one, options) if number < options.num_tested else {}
            seen.append((one, own, tested))
        for batch in _with_progress(_batches(model, rest), len(rest)):
            lens.merge(_watched(model, [batch], Wanted(), options))
    if not lens.layers:
        raise InputError(
            f"no attention of {model.name} was read, with --layers {options.layers!r}. {' '.join(lens.notes)}".strip()
        )
    named = roles(lens)
    pictures = [_picture(model, one, own, tested, named, options) for one, own, tested in seen]
    return Looked(lens, pictures, len(made), sum(len(one.keys) for one in made))


def _wanted(one: Input, options: Options) -> Wanted:
    """All that a page shows."""
    wanted = Wanted(top_keys=TOP_KEYS if len(one.keys) <= LONG else 1)
    if one.ids is not None:
        wanted = replace(wanted, alignments={"induction": induction_keys(one.ids)})
    return replace(wanted, rectangles=_rectangles(one, options))


def _rectangles(one: Input, options: Options) -> tuple[tuple[range, range], ...]:
    """Where exact weights are kept: as asked, and where the first token of a picture looks."""
    of_first = ((range(1), range(len(one.keys))),) if one.image else ()
    return of_first if options.exact is None else (*of_first, (options.exact, options.exact))


def _watched(model: HubModel, batches: Sequence[dict[str, Tensor]], wanted: Wanted, options: Options) -> Lens:
    with warnings.catch_warnings(), watch(model.model, wanted, layers=options.layers, sample=options.sample) as lens:
        warnings.simplefilter("ignore")  # an empty lens is told by an error
        for batch in batches:
            model.model(**batch)
    return lens


def _tested(model: HubModel, text: str, one: Input, options: Options) -> dict[str, str]:
    """How far the picture of a classified text can be believed; some thousand passes over it."""
    from regard.lens.classifiers import example_of
    from regard.lens.faithfulness import faithfulness

    if model.kind != "text" or not model.labels or len(one.keys) > MOST_TESTED_TOKENS:
        return {}
    print("regard: testing how far the picture can be believed (--tested 0 to skip)", file=sys.stderr)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            example = example_of(model.model, model.processor, text, max_length=options.max_tokens)
    except InputError as reason:  # a text of one word
        return {"faithfulness": f"not tested: {reason}"}
    return faithfulness([example]).facts()


def _picture(
    model: HubModel, one: Input, lens: Lens, tested: dict[str, str], named: dict[str, list[str]], options: Options
) -> Picture:
    facts = {"tokens": f"{len(one.keys):,}"}
    if model.labels:
        facts["predicted"] = _predicted(model, one)
    facts |= tested
    extras = Extras(facts, one.image, _rectangles(one, options))
    return Picture.of(lens, one.title, one.keys, queries=one.queries, roles=named, extras=extras)


def _predicted(model: HubModel, one: Input) -> str:
    shares = model.model(**one.arguments).logits[0].float().softmax(-1)
    best = int(shares.argmax())
    return f"{model.labels[best]} ({100 * float(shares[best]):.1f} %)"  # type: ignore[index]


def _input(model: HubModel, given: str | Path, options: Options) -> Input:
    if model.kind == "image":
        return _of_image(model, given)
    if isinstance(given, Path):
        raise InputError(f"{model.name} reads text, and this is an image.", file=str(given))
    return _of_text(model, given, options)


def _of_text(model: HubModel, text: str, options: Options) -> Input:
    limit = options.max_tokens
    given = model.processor(text, return_tensors="pt", truncation=limit is not None, max_length=limit)
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
    arguments["decoder_input_ids"] = _target(model, arguments, options)
    return Input(title, arguments, tokens, _words(model, arguments["decoder_input_ids"][0]))


def _target(model: HubModel, arguments: dict[str, Tensor], options: Options) -> Tensor:
    """The target given, shifted as the decoder takes it; or what the model writes itself, by greedy search."""
    if options.target is None:
        written: Tensor = model.model.generate(**arguments, max_new_tokens=128, do_sample=False, num_beams=1)  # type: ignore[operator]
        return written[:, :-1] if written.shape[1] > 1 else written
    ids = model.processor(text_target=options.target, return_tensors="pt")["input_ids"]
    start = torch.full((1, 1), int(model.config.decoder_start_token_id))
    return torch.cat([start, ids[:, :-1]], 1)


def _of_image(model: HubModel, given: str | Path) -> Input:
    from io import BytesIO

    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        picture = Pillow.open(given).convert("RGB")
    except (OSError, UnidentifiedImageError) as fault:
        raise InputError(f"it must be an image: {', '.join(IMAGES)}; {fault}.", file=str(given)) from fault
    arguments = dict(model.processor(picture, return_tensors="pt"))
    height, width = arguments["pixel_values"].shape[-2:]
    patch = model.config.patch_size
    high, wide = (patch, patch) if isinstance(patch, int) else patch
    rows, columns = height // high, width // wide
    leading = _leading(model, arguments, rows * columns)
    seen = BytesIO()
    picture.resize((width, height)).save(seen, format="JPEG", quality=85)
    names = [f"[{i}]" if i else "[CLS]" for i in range(leading)] + [f"{r},{c}" for r in range(rows) for c in range(columns)]
    return Input(Path(given).name, arguments, names, image=Image(seen.getvalue(), rows, columns, leading))


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


def _batches(model: HubModel, inputs: Sequence[Input]) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Inputs of like length side by side, padded, with how many they are."""
    group: list[Input] = []
    for one in sorted(inputs, key=lambda one: len(one.keys)):
        is_alone = model.kind != "text" or model.processor.pad_token_id is None
        if group and (is_alone or (len(group) + 1) * len(one.keys) > MEANS_BATCH_TOKENS):
            yield len(group), _padded(model, group)
            group = []
        group.append(one)
    if group:
        yield len(group), _padded(model, group)


def _padded(model: HubModel, group: list[Input]) -> dict[str, Tensor]:
    if len(group) == 1:
        return group[0].arguments
    rows = [{name: x[0].tolist() for name, x in one.arguments.items() if isinstance(x, Tensor)} for one in group]
    others = {name: x for name, x in group[0].arguments.items() if not isinstance(x, Tensor)}
    return {**model.processor.pad(rows, return_tensors="pt"), **others}


def _with_progress(batches: Iterator[tuple[int, dict[str, Any]]], total: int) -> Iterator[dict[str, Tensor]]:
    """A line that is written over, where a person sits before it."""
    start, done = time.monotonic(), 0
    for count, batch in batches:
        yield batch
        done += count
        left = (time.monotonic() - start) / done * (total - done)
        if sys.stderr.isatty():
            print(f"\r{done:,} of {total:,} inputs, {left:,.0f} s left ", end="", file=sys.stderr, flush=True)
    if done and sys.stderr.isatty():
        print(file=sys.stderr)
