"""Where a classifier looks: what speaks for each class, gates, attention and its rollout, laid over the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import interpolate

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

CLASSES, ROLLOUT = "speaks for a class", "rollout"
NUM_CLASSES = 3
"""Of which a map is drawn: the most probable ones, and the right one."""
HOW = (
    "Speaks for a class: features times what the score of the class changes with them, where that is above 0 "
    "(HiResCAM, Draelos and Carin 2020). Deletion and insertion: the area under the class's probability as places are made "
    "grey or put back, the largest weights first; low and high are better, random orders beside them."
)
NUM_RANDOM, NUM_POINTS = 4, 11
WHOLE_MAP = 1e-12


@dataclass(frozen=True)
class Seen:
    """A picture, what the model said of it, and what it looked at."""

    view: View
    verdict: Verdict
    lens: Lens
    numbers: list[int]
    """Of the classes that maps are for."""
    maps: Float[Tensor, "classes rows columns"]
    """Not negative, each in all 1, or 0 where nothing speaks for the class."""
    rolled: Float[Tensor, "rows columns"] | None
    """Rollout of all layers of attention; None where there is none, or none that can be rolled out."""
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
    """How far the maps of the most probable class can be believed, of these pictures; None where maps are one place."""
    seen = [_seen(run, view) for view in views if not view.error]
    examples = [_example(run, one) for one in seen if one.maps[0].numel() > 1]
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
    layers = [_layer(CLASSES, seen.maps.flatten(1), "class map")]
    texts = {CLASSES: names}
    if seen.rolled is not None:
        layers.append(_layer(ROLLOUT, seen.rolled.flatten()[None], "all layers"))
        texts[ROLLOUT] = ["the class"]
    shown = encoder.viewer.values_of(replace(view, is_training=False))
    image = Image(png_of(enlarged(shown, PAGE)), rows, columns)
    scores = _scores(run, seen) if rows * columns > 1 else {}
    extras = Extras({"said": said, **scores}, image, texts=texts)
    title = f"{PurePosixPath(view.picture.name).name} → {seen.verdict.ranked[0][0]}"
    page = Picture.of(seen.lens, title, patches, note=note, extras=extras)
    return replace(page, layers=[*layers, *page.layers], notes=[*page.notes, HOW, *([seen.lost] if seen.lost else [])])


def _scores(run: Run, seen: Seen) -> dict[str, str]:
    """Deletion and insertion of each map."""
    found = faithfulness([_example(run, seen)], num_random=NUM_RANDOM, num_points=NUM_POINTS)
    chance = {measure: found.by_chance(measure)[0] for measure in ("deletion", "insertion")}
    return {
        f"{name}: deletion, insertion": ", ".join(
            f"{found.mean(name, measure):.3f} (random {value:.3f})" for measure, value in chance.items()
        )
        for name in found.values
    }


def _layer(name: str, shares: Float[Tensor, "queries patches"], role: str) -> Layer:
    """Shares of patches as the weights of a head."""
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
    shares = _shares(torch.stack(maps))
    try:
        return Seen(view, verdict, lens, numbers, shares, _rolled(lens, features))
    except InputError as error:  # not every mechanism has weights that are shares
        return Seen(view, verdict, lens, numbers, shares, None, f"No rollout: {error.message}")


def _scored(model: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        features = model.features(pixels).detach().requires_grad_()
        return features, model.head(features).float()


def _shares(maps: Tensor) -> Tensor:
    return maps / maps.sum((1, 2), keepdim=True).clamp(min=WHOLE_MAP)


def _rolled(lens: Lens, features: Tensor) -> Tensor | None:
    """What reaches the vector that is classified from each place; layers between the places of the last map only.

    Raises InputError where their weights are no shares, or were not kept.
    """
    rows, columns = features.shape[2:]
    places = rows * columns
    inner = [lens[name] for name in lens.layers if lens[name].shape[2:] == (places, places)]
    if not inner:
        return None
    pooled = next((lens[name] for name in reversed(lens.layers) if lens[name].shape[2] == 1), None)
    start = torch.full((1, places, 1), 1 / places)
    if pooled is not None and pooled.call is not None:
        weights = pooled.call.weights().mean(1)[:, 0, -places:]
        start = (weights / weights.sum().clamp(min=WHOLE_MAP))[..., None]
    return rollout(inner, start.float())[0, 0].view(rows, columns)


def _example(run: Run, seen: Seen) -> Example:
    """Places of the map are made grey, that is of the mean colour of the picture."""
    model, encoder = run.model, _encoder(run)
    pixels = encoder.collate([replace(seen.view, is_training=False)])["pixels"]
    grey = pixels.mean((2, 3), keepdim=True)
    rows, columns = seen.maps.shape[1:]
    said = int(seen.verdict.probabilities.argmax())

    def probability(kept: Bool[Tensor, "masks places"]) -> Float[Tensor, " masks"]:
        shown = interpolate(kept.view(-1, 1, rows, columns).float(), pixels.shape[2:])
        batch = {"pixels": torch.where(shown > 0, pixels, grey)}
        was_training = model.training
        model.eval()
        found = torch.stack(model.predict(batch))[:, said]
        model.train(was_training)
        return found

    attributions = {CLASSES: seen.maps[seen.numbers.index(said)].flatten()}
    if seen.rolled is not None:
        attributions[ROLLOUT] = seen.rolled.flatten()
    return Example(probability, attributions)
