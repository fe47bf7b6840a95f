"""Changed training scenes: boxes stay where their things are."""

import pytest
import torch

from regard.models.detection.targets import IGNORED
from regard.models.options import SceneAugmentOptions
from regard.tasks.detect.augment import augmented, mosaic, moved
from regard.tasks.detect.scenes import Sample


@pytest.fixture(autouse=True)
def dice():
    torch.manual_seed(0)


def scene(*boxes, height=40, width=60):
    """Black, and white in each box."""
    pixels = torch.zeros(3, height, width)
    for xmin, ymin, xmax, ymax in boxes:
        pixels[:, ymin:ymax, xmin:xmax] = 1
    return Sample(pixels, torch.tensor(boxes, dtype=torch.float).view(-1, 4), torch.arange(len(boxes)))


def around_white(pixels):
    """The box around what is white."""
    rows, columns = (pixels[0] > 0.75).nonzero(as_tuple=True)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


def test_nothing_asked_changes_nothing():
    given = scene((10, 5, 30, 20), (40, 20, 55, 38))
    (found,) = augmented([given], SceneAugmentOptions(flip=False, zoom=1.0, stretch=1.0, colour=0.0, mosaic=0.0))
    assert torch.allclose(found.pixels, given.pixels, atol=1e-5)
    assert torch.allclose(found.boxes, given.boxes, atol=1e-4)
    assert found.classes.tolist() == [0, 1]


def test_a_mirrored_box_is_where_its_thing_is():
    found = moved(scene((10, 5, 30, 20)), torch.tensor([-1.0, 1.0]), torch.zeros(2))
    assert found.boxes[0].tolist() == pytest.approx([30, 5, 50, 20], abs=1e-3)
    assert around_white(found.pixels) == [30, 5, 50, 20]


def test_boxes_follow_whatever_moves():
    options = SceneAugmentOptions(turn=True, zoom=1.5, stretch=1.3, colour=0.0, mosaic=0.0)
    seen = 0
    for _ in range(40):
        (found,) = augmented([scene((22, 14, 38, 26))], options)
        if len(found.boxes) and found.classes[0] == 0:
            seen += 1
            assert around_white(found.pixels) == pytest.approx(found.boxes[0].tolist(), abs=1.6)
    assert seen > 20


def test_what_is_hardly_seen_is_neither_right_nor_wrong():
    # twice as large, the left half of the picture: the second box has a fifth of itself there, the third nothing
    found = moved(scene((5, 5, 15, 15), (28, 5, 38, 15), (45, 5, 55, 15)), torch.tensor([0.5, 1.0]), torch.tensor([-0.5, 0]))
    assert found.classes.tolist() == [0, IGNORED]
    assert found.boxes[0].tolist() == pytest.approx([10, 5, 30, 15], abs=1e-3)
    assert found.boxes[1].tolist() == pytest.approx([56, 5, 60, 15], abs=1e-3)


def test_around_a_smaller_picture_it_is_grey():
    found = moved(scene((0, 0, 60, 40)), torch.tensor([2.0, 2.0]), torch.zeros(2))
    assert found.boxes[0].tolist() == pytest.approx([15, 10, 45, 30], abs=1e-3)
    assert found.pixels[:, 0, 0].tolist() == [0.5] * 3


def test_four_pictures_stand_in_a_mosaic_with_their_boxes():
    scenes = [scene((20, 10, 40, 30)) for _ in range(4)]
    found = mosaic(scenes)
    assert found.pixels.shape == (3, 40, 60)
    assert found.boxes.tolist() == [[10, 5, 20, 15], [40, 5, 50, 15], [10, 25, 20, 35], [40, 25, 50, 35]]
    for box in found.boxes.int().tolist():
        xmin, ymin, xmax, ymax = box
        assert found.pixels[:, ymin + 1 : ymax - 1, xmin + 1 : xmax - 1].min() > 0.95


@pytest.mark.parametrize(("height", "width"), [(1, 40), (40, 1)])
def test_four_pictures_do_not_stand_in_one_that_is_a_pixel_high_or_wide(height, width):
    options = SceneAugmentOptions(mosaic=1.0)
    thin, plain = augmented([scene(height=height, width=width), scene((5, 5, 30, 30))], options)
    assert thin.pixels.shape == (3, height, width)
    assert plain.pixels.shape == (3, 40, 60)


def test_pictures_without_boxes_are_changed_too():
    options = SceneAugmentOptions(mosaic=0.5)
    for one in augmented([scene(), scene(), scene((5, 5, 20, 20))], options):
        assert one.pixels.shape == (3, 40, 60)
        assert one.boxes.shape[1] == 4
