"""Where a transformers model looks: one long text, many lines, or pictures."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard.errors import InputError
from regard.hub.inputs import Input, made
from regard.hub.models import HubModel
from regard.lens.classifiers import probabilities
from regard.lens.record import Lens
from regard.lens.statistics import Wanted
from regard.lens.summary import induction_keys, roles
from regard.lens.watch import watch
from regard.viewer.picture import Extras, Picture
from regard.viewer.report import render

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


def page(model: HubModel, seen: Looked) -> str:
    """The report of what was seen."""
    facts = {"model": type(model.model).__name__, "inputs": f"{seen.num_inputs:,}", "tokens": f"{seen.num_tokens:,}"}
    return render(seen.pictures, title=f"{Path(model.name).name} · where it looks", facts=facts)


def look(model: HubModel, inputs: Sequence[str | Path], options: Options, num_pictures: int = 8) -> Looked:
    """One pass over each input; means over all, pictures of the first. Texts are given as they are, images as files."""
    given = [made(model, one, options.max_tokens, options.target) for one in inputs]
    shown, rest = given[:num_pictures], given[num_pictures:]
    seen: list[tuple[Input, Lens, dict[str, str]]] = []  # with facts of each
    lens = Lens()
    with torch.inference_mode():
        for number, one in enumerate(shown):
            own, output = _watched(model, one.arguments, _wanted(one, options), options)
            lens.merge(own)
            facts = {"tokens": f"{len(one.keys):,}"} | _predicted(model, output)
            if number < options.num_tested:
                facts |= _tested(model, str(inputs[number]), one, options)
            seen.append((one, own, facts))
        for batch in _with_progress(_batches(model, rest), len(rest)):
            lens.merge(_watched(model, batch, Wanted(), options)[0])
    if not lens.layers:
        raise InputError(
            f"no attention of {model.name} was read, with --layers {options.layers!r}. {' '.join(lens.notes)}".strip()
        )
    named = roles(lens)
    pictures = [
        Picture.of(
            own,
            one.title,
            one.keys,
            queries=one.queries,
            roles=named,
            extras=Extras(facts, one.image, _rectangles(one, options)),
        )
        for one, own, facts in seen
    ]
    return Looked(lens, pictures, len(given), sum(len(one.keys) for one in given))


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


def _watched(model: HubModel, arguments: dict[str, Tensor], wanted: Wanted, options: Options) -> tuple[Lens, Any]:
    """What a pass of the model looked at, and what it gave."""
    with warnings.catch_warnings(), watch(model.model, wanted, layers=options.layers, sample=options.sample) as lens:
        warnings.simplefilter("ignore")  # an empty lens is told by an error
        output = model.model(**arguments)
    return lens, output


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


def _predicted(model: HubModel, output: Any) -> dict[str, str]:
    """The class that a classifier's output names, with its probability; a single output may be any number, which is told."""
    if not model.labels:
        return {}
    logits = output.logits[0].float()
    shares = probabilities(model.config, logits)
    best = int(shares.argmax())
    number = f" {float(logits[0]):.3f}, as a probability" if len(shares) == 1 else ""
    return {"predicted": f"{model.labels[best]}{number} ({100 * float(shares[best]):.1f} %)"}


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
    # on the right whatever the model is made for: the first keys count as sinks
    return {**model.processor.pad(rows, padding_side="right", return_tensors="pt"), **others}


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
