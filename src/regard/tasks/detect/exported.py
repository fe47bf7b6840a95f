"""A detector for other programs: bytes of pictures and their sizes go in, the surest boxes come out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from regard.models.detection import Detector
from regard.models.detection.boxes import corners
from regard.tasks.detect.encoder import SceneEncoder, canvas_of
from regard.tasks.detect.scenes import CHANNELS
from regard.tasks.folder import Run
from regard.tasks.pictures.onnx import PIXELS, UPRIGHT, Program, export

SIZES = "sizes"
OUTPUTS = "boxes", "scores", "classes"
NOTHING = -1
"""The class of what is no answer."""


class Surest(nn.Module):
    """The surest answers of each picture, with boxes in shares of its sides."""

    def __init__(self, model: Detector) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, pixels: Float[Tensor, "batch 3 height width"], sizes: Int[Tensor, "batch 2"]
    ) -> tuple[Float[Tensor, "batch found 4"], Float[Tensor, "batch found"], Int[Tensor, "batch found"]]:
        found = self.model.ranked(pixels, sizes)
        is_found = found.scores > 0
        shares = found.boxes / corners(sizes)[:, None]
        return shares * is_found[:, :, None], found.scores, found.classes.where(is_found, NOTHING)


def export_run(run: Run, threshold: float, format: str, folder: Path) -> dict[str, Any]:
    """Write it to a new folder; see tasks.pictures.onnx.export."""
    model: Any = run.model
    encoder: Any = run.encoder
    side = canvas_of(encoder.viewer.size)
    facts = {"task": run.task.name, "classes": encoder.names, "threshold": threshold, **facts_of(encoder)}
    program = Program.of(Surest(model), encoder.normalisation, (CHANNELS, side, side), OUTPUTS, **facts)
    return export(replace(program, others={SIZES: _sizes(encoder)}, difference=apart), format, folder)


def facts_of(encoder: SceneEncoder) -> dict[str, Any]:
    """How a picture becomes pixels, and outputs become boxes."""
    size, side = encoder.viewer.size, canvas_of(encoder.viewer.size)
    steps = [
        UPRIGHT,
        f"Resize it, bilinear, antialiased, to a longer side of {size}; the other is rounded.",
        f"Put it into the upper left corner of {side} x {side} pixels; what else is in them is not looked at.",
        f"{PIXELS}: uint8 (batch, {CHANNELS}, {side}, {side}), red, green, blue. The model normalises them.",
        f"{SIZES}: int64 (batch, 2), height and width of the resized picture.",
        "boxes: xmin, ymin, xmax, ymax in shares of the picture's width and height. scores: the largest first. "
        f"classes: places in the list of classes; {NOTHING}, with a score of 0, where nothing more is found.",
        "Of these, take those whose score reaches the threshold.",
    ]
    return {"size": size, "canvas": side, "channels": CHANNELS, "steps": steps}


def apart(wanted: Any, found: Any) -> float:
    """How far any answer is from the nearest one of the others: of answers that are as sure, either may come first."""
    one, other = (
        torch.cat([boxes, scores[..., None], classes[..., None].float()], -1) for boxes, scores, classes in (wanted, found)
    )
    distance = (one[:, :, None] - other[:, None]).abs().amax(-1)  # cdist would lose a NaN
    return float(torch.maximum(distance.amin(1), distance.amin(2)).max())


def _sizes(encoder: SceneEncoder) -> Int[Tensor, "shapes 2"]:
    """Of pictures of several shapes."""
    return torch.tensor([encoder.viewer.sides(width, height) for width, height in ((1, 1), (4, 3), (1, 3))])
