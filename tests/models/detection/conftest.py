"""Shapes are checked; a network small enough to be trained in a test."""

import pytest
import torch
from jaxtyping import install_import_hook

with install_import_hook(["regard.models.detection", "regard.attention.deformable"], "beartype.beartype"):
    import regard.models.detection

from regard.models.detection import DetectorSizes, build_detector
from regard.models.options import BackboneOptions, DetectorOptions
from regard.models.pictures.mobile import PLANS, Plan, Stage

TINY = Plan((Stage(1, 8, 1, 1), Stage(2, 8, 1, 2), Stage(2, 16, 1, 2), Stage(2, 16, 1, 2), Stage(2, 24, 1, 2)))
assert regard.models.detection


def made(num_classes=2, **options):
    """A tiny detector, untrained, with another network in the place of the real one."""
    torch.manual_seed(0)
    chosen = {"d_model": 32, "num_heads": 4, "num_layers": 2, "num_queries": 10, "num_points": 2, "d_feedforward": 48}
    chosen["num_denoising"] = 12
    backbone = BackboneOptions(learning_rate=1e-3, frozen_layers=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PLANS, "mobilenet-v2", TINY)
        return build_detector(DetectorOptions(backbone, **chosen | options), DetectorSizes(num_classes))


def rectangles():
    """Two pictures of grey noise with coloured rectangles, of which one has less in it and is padded."""
    torch.manual_seed(1)
    pixels = 0.1 * torch.randn(2, 3, 64, 96)
    boxes = torch.tensor([[[6.0, 8, 40, 30], [50, 20, 80, 60]], [[10, 16, 34, 44], [0, 0, 0, 0]]])
    classes = torch.tensor([[0, 1], [1, -1]])
    for picture, (row, kinds) in enumerate(zip(boxes.int().tolist(), classes.tolist(), strict=True)):
        for (left, top, right, bottom), kind in zip(row, kinds, strict=True):
            pixels[picture, 2 * kind, top:bottom, left:right] += 2
    pixels[1, :, 50:] = 0
    return {"pixels": pixels, "sizes": torch.tensor([[64, 96], [50, 96]]), "boxes": boxes, "classes": classes}
