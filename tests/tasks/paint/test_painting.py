import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from regard.models.painting import Painted
from regard.tasks.paint.painting import Painting, drawn, in_bytes
from regard.tasks.paint.request import Request
from regard.tasks.paint.sheets import GAP, sheet


def test_numbers_become_bytes():
    pixels = torch.tensor([-1.5, -1, -127 / 127.5 + 1 / 127.5 / 3, 0, 1, 1.5]).view(1, 1, 6)
    assert in_bytes(pixels).flatten().tolist() == [0, 0, 1, 128, 255, 255]
    every = torch.arange(256).view(1, 16, 16)
    assert torch.equal(in_bytes(every / 127.5 - 1), every.to(torch.uint8))
    assert in_bytes(None) is None


@pytest.mark.parametrize("channels", [1, 3])
def test_a_record_holds_the_picture(channels, tmp_path):
    values = torch.rand(channels, 8, 8) * 2 - 1
    request = Request(5, "a/b", line=1)
    record = Painting.of(Painted(values), "a/b", "").to_json(request)
    assert record["seed"] == 5
    assert record["class"] == "a/b"
    read = np.asarray(Image.open(io.BytesIO(base64.b64decode(record["png"]))))
    assert np.array_equal(read.reshape(8, 8, channels), in_bytes(values).permute(1, 2, 0).numpy())
    drawn(request, record, tmp_path)
    drawn(request, record, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seed-5-a-b-2.png", "seed-5-a-b.png"]


def test_an_error_is_all_that_a_record_has():
    record = Painting.of(Painted(torch.zeros(1, 8, 8)), None, "wrong").to_json(Request(0, line=3))
    assert record == {"line": 3, "error": "wrong"}


def test_a_sheet_has_rows_with_gaps_and_small_pictures_are_enlarged():
    tiles = [torch.full((1, 24, 24), value, dtype=torch.uint8) for value in (10, 20, 30)]
    image = np.asarray(Image.open(io.BytesIO(sheet(tiles, 2))))
    assert image.shape == (2 * 48 + 3 * GAP, 2 * 48 + 3 * GAP)
    assert image[GAP, GAP] == 10
    assert image[GAP, 2 * GAP + 48] == 20
    assert image[2 * GAP + 48, GAP] == 30
    assert image[0, 0] == 255
    assert image[2 * GAP + 48, 2 * GAP + 48] == 255
