"""Pictures brought to one size."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from regard.data.pictures import Picture, read_any_pictures
from regard.data.pictures.stores import Folder
from regard.models.options import ViewOptions
from regard.tasks.pictures import views as module
from regard.tasks.pictures.views import View, Viewer


def picture_of(tmp_path, values, name="one.png"):
    Image.fromarray(values).save(tmp_path / name)
    return Picture(Folder(tmp_path), name, "a")


def ramp(height, width):
    return np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8), (height, width))


def test_a_picture_of_the_right_size_is_seen_as_it_is(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    found = Viewer(12, 3, 0.5).view(picture_of(tmp_path, values))
    assert torch.equal(found, torch.from_numpy(values).permute(2, 0, 1))


def test_of_a_photo_the_middle_is_seen(tmp_path):
    found = Viewer(50, 1, 1.0).view(picture_of(tmp_path, ramp(100, 200)))
    assert found.shape == (1, 50, 50)
    assert found[0, 0, 0] == pytest.approx(64, abs=3)
    assert found[0, 0, -1] == pytest.approx(191, abs=3)
    half = Viewer(50, 1, 0.5).view(picture_of(tmp_path, ramp(100, 200)))
    assert half[0, 0, 0] == pytest.approx(96, abs=3)


def test_training_keeps_room_to_cut_from(tmp_path):
    viewer = Viewer(40, 1, 0.9)
    assert viewer.view(picture_of(tmp_path, ramp(100, 130)), is_training=True).shape == (1, 46, 60)
    assert viewer.view(picture_of(tmp_path, ramp(100, 900)), is_training=True).shape[1:] == (46, 92)
    assert viewer.view(picture_of(tmp_path, ramp(40, 40)), is_training=True).shape == (1, 40, 40)


@pytest.mark.parametrize(("shape", "channels"), [((9, 9), 3), ((9, 9, 3), 1), ((30, 20), 3), ((30, 20, 3), 1)])
def test_grey_and_colour_become_one_another(tmp_path, shape, channels):
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert Viewer(9, channels, 1.0).view(picture_of(tmp_path, values)).shape == (channels, 9, 9)


def test_what_is_left_open_is_as_the_pictures_are(tmp_path):
    shapes = [(30, 40), (50, 32), (36, 36)]
    for number, shape in enumerate(shapes):
        picture_of(tmp_path, ramp(*shape), f"{number}.png")
    pictures, _ = read_any_pictures(tmp_path)
    assert Viewer.fit(pictures, ViewOptions()) == Viewer(32, 1, 0.9)
    assert Viewer.fit(pictures, ViewOptions(size=20, channels=3)) == Viewer(20, 3, 0.9)
    picture_of(tmp_path, np.zeros((400, 500, 3), np.uint8), "big.png")
    *_, colour = read_any_pictures(tmp_path)[0]
    assert Viewer.fit([*pictures, colour], ViewOptions()).channels == 3
    assert Viewer.fit([colour], ViewOptions()).size == 224


def test_what_is_left_open_is_as_all_pictures_are():
    small = [Picture(Folder(Path("none")), str(number), size=(9, 8), channels=1) for number in range(100)]
    large = [Picture(Folder(Path("none")), str(number), size=(50, 40), channels=3) for number in range(101)]
    assert Viewer.fit(small + large, ViewOptions()) == Viewer(40, 3, 0.9)


def test_beyond_the_memory_pictures_are_decoded_anew(tmp_path, monkeypatch):
    pictures = [picture_of(tmp_path, ramp(8, 8), f"{n}.png") for n in range(4)]
    monkeypatch.setattr(module, "MOST_BYTES", 2 * 64)
    viewer = Viewer(8, 1, 1.0)
    found = viewer.views(pictures, is_training=False)
    assert [view.values is None for view in found] == [False, False, True, True]
    assert torch.equal(viewer.values_of(found[3]), viewer.values_of(found[0]))


def test_a_broken_picture_says_why_and_is_grey(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    viewer = Viewer(8, 3, 1.0)
    good, bad = viewer.tolerant([View(picture_of(tmp_path, ramp(8, 8))), View(Picture(Folder(tmp_path), "bad.png"))])
    assert good.error == ""
    assert "must be PNG" in bad.error
    assert (viewer.values_of(bad) == 128).all()
