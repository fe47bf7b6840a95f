"""Where each query looked that found something, over the picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import InputError
from regard.lens.measure import measure_matrix
from regard.metrics.boxes import found_and_missed
from regard.tasks.detect.detection import Detections
from regard.tasks.detect.drawing import drawn
from regard.tasks.detect.scenes import SceneView
from regard.tasks.excerpt import distinct
from regard.tasks.explain import WANTED, watched
from regard.tasks.folder import Run
from regard.viewer.picture import Layer
from regard.viewer.report import Extras, Image, Picture

LOOKED, CELL = "found by looking at", 16
"""Pixels of the side of a place in a page, as the model sees them."""
MOST_FOUND = 60
HOW = (
    "Found by looking at: where the last layer of the query that found a box took its samples, and with which weights; a "
    "sample counts for the place that it lies in."
)


def pages(run: Run, views: Sequence[SceneView]) -> list[Picture]:
    """A page each; of pictures that could be read. Raises InputError where there is none."""
    if views and all(view.error for view in views):
        raise InputError(views[0].error, file=views[0].picture.name)
    return [_page(run, view) for view in views if not view.error]


def worst_errors(run: Run, views: Sequence[SceneView], predictions: Sequence[Detections], most: int) -> list[Picture]:
    """The pictures in which most is missed or wrongly found."""
    counted = [found_and_missed(view.boxes, one.told) for view, one in zip(views, predictions, strict=True)]
    wrong = sorted((place for place, (false, missed) in enumerate(counted) if false + missed), key=lambda p: -sum(counted[p]))
    found = []
    for place in wrong[:most]:
        false, missed = counted[place]
        found.append(replace(_page(run, views[place]), note=f"{missed} missed, {false} found that are not there"))
    return found


def _page(run: Run, view: SceneView) -> Picture:
    model: Any = run.model
    encoder: Any = run.encoder
    view = replace(view, is_training=False)
    lens, ((raw, samples),) = watched(model, partial(run.answers, [view], model.attended))
    found: Detections = run.task.decode(encoder, view, raw)
    told = found.told[:MOST_FOUND]
    height, width = encoder.viewer.sides(view.scene.width, view.scene.height)
    rows, columns = -(-height // CELL), -(-width // CELL)
    patches = [f"{row + 1}·{column + 1}" for row in range(rows) for column in range(columns)]
    names = distinct([f"{one.label} {100 * one.confidence:.0f} %" for one in told])
    picture = Image(_png(view, found), rows, columns)
    title = f"{PurePosixPath(view.picture.name).name}: {len(found.told)} found"
    page = Picture.of(lens, title, patches, extras=Extras(image=picture))
    if not told:
        return page
    shares = _shares(samples[: len(told)].cpu(), rows, columns)
    statistics = measure_matrix(shares[None, None], None, WANTED).statistics
    layer = Layer(LOOKED, statistics, (len(told), len(patches)), (0,), (LOOKED, "keys"), roles=("samples of a query",))
    extras = replace(page.extras, texts={LOOKED: names})
    return replace(page, layers=[layer, *page.layers], notes=[*page.notes, HOW], extras=extras)


def _shares(samples: Float[Tensor, "found samples 3"], rows: int, columns: int) -> Float[Tensor, "found places"]:
    """Weights of the samples that lie in each place; those outside of the picture count for the nearest."""
    column, row = ((samples[..., axis] / CELL).long().clamp(0, most - 1) for axis, most in enumerate((columns, rows)))
    shares = torch.zeros(len(samples), rows * columns).scatter_add_(1, row * columns + column, samples[..., 2].float())
    return shares / shares.sum(1, keepdim=True).clamp(min=1e-12)


def _png(view: SceneView, found: Detections) -> bytes:
    """The picture with what was found in it, as the model saw it."""
    from regard.data.pictures import pixels

    image: Any = drawn(pixels(view.picture), found.told)
    image.thumbnail((640, 640))
    written = io.BytesIO()
    image.save(written, "JPEG", quality=85)
    return written.getvalue()
