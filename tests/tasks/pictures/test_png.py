import io

import numpy as np
import pytest
import torch
from PIL import Image

from regard.tasks.pictures.png import enlarged, png_of


@pytest.mark.parametrize("channels", [1, 3])
def test_a_file_holds_every_pixel(channels):
    values = torch.randint(0, 256, (channels, 5, 7), dtype=torch.uint8)
    read = np.asarray(Image.open(io.BytesIO(png_of(values)))).reshape(5, 7, channels)
    assert np.array_equal(read, values.permute(1, 2, 0))


@pytest.mark.parametrize(("shortest", "scale"), [(5, 1), (6, 2), (4, 1), (26, 6)])
def test_small_pictures_grow_by_whole_pixels(shortest, scale):
    values = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8)
    large = enlarged(values, shortest)
    assert large.shape == (3, 5 * scale, 7 * scale)
    assert torch.equal(large[:, ::scale, ::scale], values)
    assert torch.equal(large[:, scale - 1 :: scale, scale - 1 :: scale], values)
