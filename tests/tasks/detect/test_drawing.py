"""Classes can be told apart by their colours, whoever looks."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regard.data.boxes import Scene
from regard.data.pictures import Picture, Store
from regard.data.pictures.stores import Folder
from regard.errors import InputError
from regard.tasks.detect.detection import Detection
from regard.tasks.detect.drawing import COLOURS, colour_of, draw, drawn, ink_on
from regard.tasks.detect.scenes import SceneView
from tests.data.pictures.examples import encoded

SIGHT = {  # Machado, Oliveira and Fernandes 2009, table 1, severity 1.0: on linear sRGB
    "all cones": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "no L cones": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no M cones": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no S cones": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])
DOZEN = [colour_of(number) for number in range(12)]


def linear(colour):
    share = np.array(colour) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(light):
    """CIELAB of linear sRGB."""
    xyz = TO_XYZ @ light.clip(0, 1) / TO_XYZ.sum(1)
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one, other):
    """WCAG 2.2."""
    low, high = sorted(TO_XYZ[1] @ linear(colour) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("sight", SIGHT.values(), ids=SIGHT)
def test_any_two_of_a_dozen_classes_differ_for_everyone(sight):
    seen = [lab(np.array(sight) @ linear(colour)) for colour in DOZEN]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 27


def test_labels_can_be_read():
    dice = np.random.default_rng(0)
    for colour in [*DOZEN, *map(tuple, dice.integers(0, 256, (200, 3)).tolist())]:
        assert contrast(ink_on(colour), colour) > 4.4  # 4.5 but for what the luminance is rounded by


def test_more_classes_than_colours_are_drawn():
    assert colour_of(len(COLOURS) + 2) == colour_of(2) == (0xFF, 0xAA, 0xFF)


def test_a_box_has_the_colour_of_its_class():
    found = [Detection("cell", 0.9, 20, 40, 60, 80, class_number=3), Detection("nucleus", 0.9, 70, 40, 90, 80, class_number=4)]
    image = drawn(np.zeros((100, 100, 1), np.uint8), found)
    assert image.getpixel((20, 60)) == image.getpixel((60, 60)) == colour_of(3)
    assert image.getpixel((90, 60)) == colour_of(4)
    assert image.getpixel((40, 60)) == (0, 0, 0)


def test_what_cannot_be_written_is_told(tmp_path):
    Image.new("L", (20, 20)).save(tmp_path / "a.png")
    view = SceneView(Scene(Picture(Folder(tmp_path), "a.png"), 20, 20, ()))
    draw(view, [], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-2.png", "a.png"]
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        draw(view, [], tmp_path / "none")


def test_names_of_what_is_drawn_keep_the_folder_and_the_row(tmp_path):
    class Table(Store):
        def name_of(self, key):
            return f"{self.path}:{key}"

        def read(self, key):
            return encoded(Image.new("L", (20, 20)))

    keys = ["a/1.png", "b/1.jpg", "b/1.png", "./x\\..\\C:/2.png", "é" * 150 + "/3.png", 1, 12]
    for key in keys:
        picture = Picture(Table(Path("photos/p3.parquet")), key)
        draw(SceneView(Scene(picture, 20, 20, ())), [], tmp_path)
    names = {"a-1.png", "b-1.png", "b-1-2.png", "x-C--2.png", "é" * 99 + "-3.png", "p3.parquet-1.png", "p3.parquet-12.png"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_a_label_stays_in_the_picture():
    def num_letters(left):
        """Pixels of ink: black on orange."""
        image = np.array(drawn(np.full((100, 700, 3), 128, np.uint8), [Detection("cell", 0.9, left, 60, left + 4, 80)]))
        return (image == ink_on(colour_of(0))).all(-1).sum()

    assert num_letters(695) == num_letters(20) > 20
