"""Where a classifier looks: what speaks for each class, gates, attention and its rollout, laid over the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from regard.errors import InputError
from regard.lens.faithfulness import Example, Faithfulness, faithfulness
from regard.lens.measure import measure_matrix
from regard.lens.record import Lens
from regard.lens.rollout import rollout
from regard.tasks.classify.encoder import PictureEncoder
from regard.tasks.classify.verdict import Verdict
from regard.tasks.explain import WANTED, watched
from regard.tasks.folder import Run
from regard.tasks.pictures.png import PAGE, enlarged, png_of
from regard.tasks.pictures.views import View
from regard.viewer.picture import Layer
from regard.viewer.report import Extras, Image, Picture

CLASSES, ROLLOUT, GATES = "speaks for a class", "rollout", "gates"
NUM_CLASSES = 3
"""Of which a map is drawn: the most probable ones, and the right one."""
HOW = (
    "Speaks for a class: features times what the score of the class changes with them, where that is above 0 "
    "(HiResCAM, Draelos and Carin 2020). Deletion and insertion: the area under a class's probability as places are made "
    "grey or put back, the largest weights first; low and high are better, random orders beside them. A map that speaks for a "
    "class is tested by that class, any other by the most probable one."
)
HOW_GATES = "Gates: how much of the features passes at each place, the mean of all channels, as shares of what passes in all."
NUM_RANDOM, NUM_POINTS = 4, 11
WHOLE_MAP = 1e-12


Probabilities = Callable[[Bool[Tensor, "masks places"]], Float[Tensor, "masks classes"]]
"""Of pictures of which only some places are shown."""


@dataclass(frozen=True)
class Seen:
    """A picture, what the model said of it, and what it looked at."""

    view: View
    verdict: Verdict
    lens: Lens
    numbers: list[int]
    """Of the classes that maps are for, the most probable one first."""
    maps: Float[Tensor, "classes rows columns"]
    """Not negative, each in all 1, or 0 where nothing speaks for the class."""
    inside: dict[str, Float[Tensor, "rows columns"]]
    """By name, what belongs to no class alone: rollout of all layers of attention, and what gates let pass; each in all 1."""
    lost: str = ""
    """Why there is no rollout though there is attention."""


def pages(run: Run, views: Sequence[View]) -> list[Picture]:
    """A page each; of pictures that could be read. Raises InputError where there is none."""
    if views and all(view.error for view in views):
        raise InputError(views[0].error, file=views[0].picture.name)
    return [_page(run, view) for view in views if not view.error]


def worst_errors(run: Run, views: Sequence[View], verdicts: Sequence[Verdict], most: int) -> list[Picture]:
    """The pictures that were said most surely to be of another class."""
    wrong = [
        (float(verdict.probabilities.max()), place)
        for place, (view, verdict) in enumerate(zip(views, verdicts, strict=True))
        if verdict.probabilities.any() and verdict.ranked[0][0] != view.picture.label
    ]
    return [_page(run, views[place]) for _, place in sorted(wrong, key=lambda one: (-one[0], one[1]))[:most]]


def tested(run: Run, views: Sequence[View]) -> Faithfulness | None:
    """How far maps can be believed for the most probable class, of these pictures; None where maps are one place."""
    seen = [_seen(run, view) for view in views if not view.error]
    examples = [
        _example(_hiding(run, one), one.numbers[0], {CLASSES: one.maps[0], **one.inside})
        for one in seen
        if one.maps[0].numel() > 1
    ]
    return faithfulness(examples, num_random=NUM_RANDOM, num_points=NUM_POINTS) if examples else None


def _encoder(run: Run) -> PictureEncoder:
    return cast(PictureEncoder, run.encoder)


def _page(run: Run, view: View) -> Picture:
    seen = _seen(run, view)
    encoder = _encoder(run)
    rows, columns = seen.maps.shape[1:]
    names = [encoder.names[number] for number in seen.numbers]
    label = view.picture.label
    said = "; ".join(f"{name} {100 * share:.1f} %" for name, share in seen.verdict.ranked[:NUM_CLASSES])
    note = f"right: {label}" if label and label != seen.verdict.ranked[0][0] else ""
    patches = [f"{row + 1}·{column + 1}" for row in range(rows) for column in range(columns)]
    layers, texts = [_layer(CLASSES, seen.maps, "class map")], {CLASSES: names}
    gates = [name for name in seen.inside if name != ROLLOUT]
    if ROLLOUT in seen.inside:
        layers.append(_layer(ROLLOUT, seen.inside[ROLLOUT][None], "all layers"))
        texts[ROLLOUT] = ["the class"]
    if gates:
        layers.append(_layer(GATES, torch.stack([seen.inside[name] for name in gates]), "what passes"))
        texts[GATES] = gates
    notes = [HOW, *([HOW_GATES] if gates else []), *([seen.lost] if seen.lost else [])]
    shown = encoder.viewer.values_of(replace(view, is_training=False))
    image = Image(png_of(enlarged(shown, PAGE)), rows, columns)
    scores = _scores(run, seen) if rows * columns > 1 else {}
    extras = Extras({"said": said, **scores}, image, texts=texts)
    title = f"{PurePosixPath(view.picture.name).name} → {seen.verdict.ranked[0][0]}"
    page = Picture.of(seen.lens, title, patches, note=note, extras=extras)
    return replace(page, layers=[*layers, *page.layers], notes=[*page.notes, *notes])


def _scores(run: Run, seen: Seen) -> dict[str, str]:
    """Deletion and insertion of each map, those of classes first."""
    probabilities, names = _hiding(run, seen), _encoder(run).names
    lines: dict[str, str] = {}
    for number, own in zip(seen.numbers, seen.maps, strict=True):
        maps = {f"speaks for {names[number]}": own, **(seen.inside if number == seen.numbers[0] else {})}
        found = faithfulness([_example(probabilities, number, maps)], num_random=NUM_RANDOM, num_points=NUM_POINTS)
        chance = {measure: found.by_chance(measure)[0] for measure in ("deletion", "insertion")}
        for name in maps:
            figures = (f"{found.mean(name, measure):.3f} (random {value:.3f})" for measure, value in chance.items())
            lines[name] = ", ".join(figures)
    return {f"{name}: deletion, insertion": lines[name] for name in sorted(lines, key=seen.inside.__contains__)}


def _layer(name: str, shares: Float[Tensor, "queries rows columns"], role: str) -> Layer:
    """Shares of patches as the weights of a head."""
    shares = shares.flatten(1)
    found = measure_matrix(shares[None, None], None, WANTED).statistics
    return Layer(name, found, (shares.shape[0], shares.shape[1]), (0,), (name, "keys"), roles=(role,))


def _seen(run: Run, view: View) -> Seen:
    """One pass with gradients of the scores by the last map of features."""
    model, encoder = run.model, _encoder(run)
    was_training = model.training
    model.eval()
    pixels = encoder.collate([replace(view, is_training=False)])["pixels"].to(next(model.parameters()).device)
    lens, (features, scores) = watched(model, partial(_scored, model, pixels), keep_calls=True)
    verdict = Verdict.of(encoder.names, scores[0].softmax(0), is_blank=False)
    numbers = scores[0].topk(min(NUM_CLASSES, scores.shape[1])).indices.tolist()
    right = encoder.numbers.get(view.picture.label or "")
    if right is not None and right not in numbers:
        numbers[-1] = right
    maps = []
    for number in numbers:
        (gradient,) = torch.autograd.grad(scores[0, number], features, retain_graph=True)
        maps.append((gradient * features)[0].sum(0).detach().clamp(min=0))
    model.train(was_training)
    inside, lost = _gates(lens, features), ""
    try:
        inside = _rolled(lens, features) | inside
    except InputError as error:  # not every mechanism has weights that are shares
        lost = f"No rollout: {error.message}"
    return Seen(view, verdict, lens, numbers, _shares(torch.stack(maps)), inside, lost)


def _scored(model: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        features = model.features(pixels).detach().requires_grad_()
        return features, model.head(features).float()


def _shares(maps: Tensor) -> Tensor:
    return maps / maps.sum((1, 2), keepdim=True).clamp(min=WHOLE_MAP)


def _gates(lens: Lens, features: Tensor) -> dict[str, Float[Tensor, "rows columns"]]:
    """Of each gate that differs from place to place, what passes at the places of the last map."""
    rows, columns = features.shape[2:]
    spatial = {name: gate[0].float().mean(0, keepdim=True) for name, gate in lens.gates.items() if gate[0, 0].numel() > 1}
    return {name: _shares(adaptive_avg_pool2d(gate, (rows, columns)).clamp(min=0))[0] for name, gate in spatial.items()}


def _rolled(lens: Lens, features: Tensor) -> dict[str, Float[Tensor, "rows columns"]]:
    """What reaches the vector that is classified from each place; layers between the places of the last map only.

    Empty where there are none. Raises InputError where their weights are no shares, or were not kept.
    """
    rows, columns = features.shape[2:]
    places = rows * columns
    inner = [lens[name] for name in lens.layers if lens[name].shape[2:] == (places, places)]
    if not inner:
        return {}
    pooled = next((lens[name] for name in reversed(lens.layers) if lens[name].shape[2] == 1), None)
    start = torch.full((1, places, 1), 1 / places)
    if pooled is not None and pooled.call is not None:
        weights = pooled.call.weights().mean(1)[:, 0, -places:]
        start = (weights / weights.sum().clamp(min=WHOLE_MAP))[..., None]
    return {ROLLOUT: rollout(inner, start.float())[0, 0].view(rows, columns)}


def _hiding(run: Run, seen: Seen) -> Probabilities:
    """Of all classes, with places of the maps made grey, that is of the mean colour of the picture. A mask is run once."""
    model, encoder = run.model, _encoder(run)
    pixels = encoder.collate([replace(seen.view, is_training=False)])["pixels"]
    grey = pixels.mean((2, 3), keepdim=True)
    rows, columns = seen.maps.shape[1:]
    known: dict[bytes, Tensor] = {}

    def probabilities(kept: Bool[Tensor, "masks places"]) -> Float[Tensor, "masks classes"]:
        names = [mask.numpy().tobytes() for mask in kept]
        new = [place for place, name in enumerate(names) if name not in known]
        if new:
            shown = interpolate(kept[new].view(-1, 1, rows, columns).float(), pixels.shape[2:])
            was_training = model.training
            found = model.eval().predict({"pixels": torch.where(shown > 0, pixels, grey)})
            model.train(was_training)
            known.update(zip((names[place] for place in new), found, strict=True))
        return torch.stack([known[name] for name in names])

    return probabilities


def _example(probabilities: Probabilities, number: int, maps: dict[str, Float[Tensor, "rows columns"]]) -> Example:
    """Maps to be tested by the probability of a class."""
    return Example(lambda kept: probabilities(kept)[:, number], {name: one.flatten() for name, one in maps.items()})
