"""Where a painter looks: for each place of a painted picture, which other places its maps took from; and whoever judges it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from regard.attention.gates import NonLocal
from regard.errors import InputError
from regard.lens.record import Lens
from regard.models.painting import Painter
from regard.tasks.explain import watched
from regard.tasks.folder import Run
from regard.tasks.paint.encoder import PaintEncoder
from regard.tasks.paint.painting import in_bytes
from regard.tasks.paint.request import Request
from regard.tasks.pictures.png import PAGE, enlarged, png_of
from regard.viewer.report import Extras, Image, Picture

HOW = (
    "A place of the picture is a query; its weights are where attention took features from, at the size of that map. The gain "
    "says how much of that is added to the map: at 0 attention changes nothing."
)


def pages(run: Run, requests: Sequence[Request]) -> list[Picture]:
    """A page of each picture and of each size of its maps. Raises InputError where no request can be met."""
    errors = [cast(PaintEncoder, run.encoder).error_of(request) for request in requests]
    if errors and all(errors):
        raise InputError(errors[0], file=requests[0].name)
    return [page for request, error in zip(requests, errors, strict=True) if not error for page in _pages(run, request)]


def _pages(run: Run, request: Request) -> Iterator[Picture]:
    encoder, model = cast(PaintEncoder, run.encoder), cast(Painter, run.model)
    # of a real picture that comes with a seed, what is painted for it is shown
    request = request if request.seed is None else replace(request, view=None)
    request = replace(request, label=encoder.label_of(request))
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    batch = {name: tensor.to(device) for name, tensor in encoder.collate([request]).items()}
    with torch.no_grad():
        lens, pixels = watched(model, lambda: _seen(model, batch))
    model.train(was_training)
    for side in sorted({lens[name].shape[3] for name in lens.layers}, reverse=True):
        yield _page(request, model, lens, pixels[0], round(side**0.5))


def _seen(model: Painter, batch: dict[str, Tensor]) -> Tensor:
    """The picture, painted if there is none, and looked at as a real one is."""
    pixels = batch["pixels"] if "pixels" in batch else model.painted(batch)
    model.observe(pixels, batch.get("classes"))
    return pixels


def _page(request: Request, model: Painter, lens: Lens, pixels: Tensor, side: int) -> Picture:
    values = in_bytes(pixels)
    assert values is not None
    places = [f"{row + 1}·{column + 1}" for row in range(side) for column in range(side)]
    layers = [name for name in lens.layers if lens[name].shape[3] == side * side]
    extras = Extras(dict(_gains(model, layers)), Image(png_of(enlarged(values, PAGE)), side, side))
    title = request.name if request.label is None or request.label in request.name else f"{request.label}: {request.name}"
    page = Picture.of(lens, f"{title} · {side} × {side}", places, extras=extras)
    shown = [layer for layer in page.layers if layer.name in layers]
    return replace(page, layers=shown, notes=[*page.notes, HOW])


def _gains(model: nn.Module, layers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """How much of what was looked at is added to the map."""
    modules: dict[str, Any] = dict(model.named_modules())
    for name in layers:
        found = next((one for path, one in modules.items() if name.startswith(path) and isinstance(one, NonLocal)), None)
        if found is not None:
            yield f"gain of {name.removesuffix('.mechanism')}", f"{found.gain.item():+.3f}"
