from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from regard.data.pictures import read_any_pictures
from regard.errors import InputError
from regard.models.options import GanOptions, PainterOptions, PaintViewOptions
from regard.tasks.paint.encoder import PaintEncoder
from regard.tasks.paint.request import Given, Request
from regard.tasks.paint.task import Paint


def folder_of(path, classes, count=2, side=20, channels=3):
    random = np.random.default_rng(0)
    for name in classes:
        (path / name).mkdir(parents=True)
        for number in range(count):
            values = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
            image = Image.fromarray(values)
            (image if channels == 3 else image.convert("L")).save(path / name / f"{number}.png")
    return path


def fitted(path, views=None, **options):
    given = PainterOptions(**{"gan": GanOptions(d_latent=4, widths=(8, 8, 8))} | options)
    return PaintEncoder.fit(read_any_pictures(path)[0], given, views or PaintViewOptions())


@pytest.mark.parametrize(("side", "wanted"), [(20, 20), (22, 24), (27, 28), (9, 16), (200, 128)])
def test_a_side_is_the_nearest_that_the_maps_can_have(tmp_path, side, wanted):
    assert fitted(folder_of(tmp_path / "p", "ab", side=side)).viewer.size == wanted


def test_a_side_that_is_asked_for_is_kept(tmp_path):
    encoder = fitted(folder_of(tmp_path / "p", "ab"), PaintViewOptions(size=30))
    assert encoder.sizes.size == 30
    with pytest.raises(InputError, match="a multiple of 4"):
        encoder.sizes.sides((8, 8, 8))


def test_classes_are_minded_where_there_are_two(tmp_path):
    two, one = folder_of(tmp_path / "two", "ab"), folder_of(tmp_path / "one", "a")
    assert fitted(two).classes == ("a", "b")
    assert fitted(one).classes == fitted(two, classes="no").classes == ()
    with pytest.raises(InputError, match="two classes or more, in folders named like them, got a alone"):
        fitted(one, classes="yes")


def test_pictures_without_folders_have_no_classes(tmp_path):
    loose = folder_of(tmp_path / "p", ["."])
    assert fitted(loose).classes == ()
    with pytest.raises(InputError, match="got none"):
        fitted(loose, classes="yes")


def test_a_batch_of_training_has_pixels_and_classes_and_no_noise(tmp_path):
    path = folder_of(tmp_path / "p", "ab")
    encoder, pictures = fitted(path), read_any_pictures(path)[0]
    batch = encoder.collate(Paint().cut(encoder, pictures, is_training=True))
    assert set(batch) == {"pixels", "classes"}
    assert batch["pixels"].shape == (4, 3, 20, 20)
    assert -1 <= batch["pixels"].min() < -0.9
    assert 0.9 < batch["pixels"].max() <= 1
    assert batch["classes"].tolist() == [0, 0, 1, 1]


def test_of_pictures_to_score_each_has_noise_of_its_own(tmp_path):
    path = folder_of(tmp_path / "p", "ab")
    encoder, pictures = fitted(path), read_any_pictures(path)[0]
    requests = Paint().cut(encoder, pictures, is_training=False)
    whole, alone = encoder.collate(requests)["noise"], encoder.collate(requests[2:3])["noise"]
    assert torch.equal(whole[2], alone[0])
    assert len(whole.unique(dim=0)) == 4


def test_half_of_the_pictures_are_mirrored(tmp_path):
    path = folder_of(tmp_path / "p", "a", count=1)
    encoder = fitted(path, PaintViewOptions(mirror=True))
    requests = Paint().cut(encoder, read_any_pictures(path)[0], is_training=True) * 100
    torch.manual_seed(0)
    pixels = encoder.collate(requests)["pixels"]
    plain = encoder.collate([replace(requests[0], is_training=False)])["pixels"][0]
    turned = sum(torch.equal(one, plain.flip(2)) for one in pixels)
    assert 30 < turned < 70
    assert sum(torch.equal(one, plain) for one in pixels) == 100 - turned


def test_what_an_encoder_knows_comes_back(tmp_path):
    encoder = fitted(folder_of(tmp_path / "p", "ab"))
    assert PaintEncoder.load(encoder.to_json(), is_mirrored=False) == encoder


def test_classes_take_turns_where_none_is_asked_for(tmp_path):
    encoder = fitted(folder_of(tmp_path / "p", "abc"))
    assert [encoder.label_of(Request(seed)) for seed in range(4)] == ["a", "b", "c", "a"]
    assert encoder.label_of(Request(0, "c")) == "c"
    assert "must be one that the run knows (a, b, c), got d" in encoder.error_of(Request(0, "d"))


def test_a_class_is_refused_where_none_are_minded(tmp_path):
    path = folder_of(tmp_path / "p", "ab")
    encoder = fitted(path, classes="no")
    assert encoder.error_of(Request(0, "a")) == "this run paints without classes, got a. Leave the class out."
    for is_training in (True, False):
        requests = Paint().cut(encoder, read_any_pictures(path)[0], is_training=is_training)
        assert {encoder.error_of(request) for request in [*requests, Request(0)]} == {""}
    with Given.open(encoder.viewer, str(path), encoder.classes) as source:
        assert [encoder.error_of(request) for piece in source for request in piece] == [""] * 4
