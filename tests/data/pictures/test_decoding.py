"""What pixels a content has, and what is said of one that has none."""

import re
import warnings

import numpy as np
import pytest
from PIL import Image

from regard.data.pictures.decoding import MAX_PIXELS, decode, ending_of
from regard.errors import InputError
from tests.data.pictures.examples import bomb, content, encoded, noise

RED, WHITE = [255, 0, 0], [255, 255, 255]


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("PPM", {}), ("WEBP", {"lossless": True})],
)
def test_formats_without_loss_give_back_the_pixels(kind, options):
    values = noise(5, 4)
    found = decode(encoded(Image.fromarray(values), kind, **options), "a")
    assert found.dtype == np.uint8
    assert np.array_equal(found, values)


def test_formats_with_loss_are_read_by_their_content():
    smooth = Image.linear_gradient("L").convert("RGB")
    for kind, ending in (("JPEG", "jpg"), ("WEBP", "webp")):
        data = encoded(smooth, kind, quality=95)
        assert ending_of(data) == ending
        assert np.abs(decode(data, "a.png").astype(int) - np.asarray(smooth)).max() < 12
    assert ending_of(encoded(smooth, "GIF")) == "gif"
    assert ending_of(b"text") is None


def test_grey_stays_one_channel():
    values = noise(3, 4, 1)[:, :, 0]
    assert np.array_equal(decode(encoded(Image.fromarray(values)), "a")[:, :, 0], values)
    assert decode(encoded(Image.new("1", (2, 2), 1)), "a").tolist() == [[[255], [255]], [[255], [255]]]


def test_sixteen_bits_become_eight():
    values = np.array([[0, 256, 40_000, 65_535]], np.uint16)
    assert decode(encoded(Image.fromarray(values)), "a")[0, :, 0].tolist() == [0, 1, 156, 255]
    with pytest.raises(InputError, match="a: a picture must have 8 or 16 bits a channel, got 32"):
        decode(encoded(Image.new("F", (2, 2)), "TIFF"), "a")


def test_alpha_is_put_on_white():
    values = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    assert decode(encoded(Image.fromarray(values)), "a").tolist() == [[RED, WHITE, [127, 127, 127]]]
    grey = Image.fromarray(np.array([[[9, 255], [9, 0]]], np.uint8), "LA")
    assert decode(encoded(grey), "a").tolist() == [[[9], [255]]]


def test_a_palette_is_resolved_and_its_transparent_colour_is_white():
    image = Image.new("P", (2, 1), 1)
    image.putpalette([0, 0, 0, *RED])
    image.putpixel((1, 0), 0)
    assert decode(encoded(image), "a").tolist() == [[RED, [0, 0, 0]]]
    for kind in ("PNG", "GIF"):
        assert decode(encoded(image, kind, transparency=0), "a").tolist() == [[RED, WHITE]]


def test_inks_become_colours():
    assert decode(encoded(Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "TIFF"), "a").tolist() == [[RED]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_a_picture_is_turned_as_its_camera_was_held(orientation, kind):
    upright = noise(2, 3)
    # what a camera keeps of the picture, by the EXIF standard: the places of the first row and column
    flips = {2: np.s_[:, ::-1], 3: np.s_[::-1, ::-1], 4: np.s_[::-1, :]}
    turned = {5: np.s_[:, :], 6: np.s_[::-1, :], 7: np.s_[::-1, ::-1], 8: np.s_[:, ::-1]}
    kept = upright.transpose(1, 0, 2)[turned[orientation]] if orientation > 4 else upright[flips.get(orientation, np.s_[:])]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(Image.fromarray(np.ascontiguousarray(kept)), kind, exif=exif, **options)
    assert np.array_equal(decode(data, "a"), upright)


def test_only_the_first_frame_counts():
    frames = [Image.new("P", (2, 2), 0), Image.new("P", (2, 2), 1)]
    for frame in frames:
        frame.putpalette([*RED, 0, 255, 0])
    assert decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), "a")[0, 0].tolist() == RED


def test_a_bomb_is_refused_by_its_size_before_it_is_decoded():
    message = "a.png: a picture must have at most 100,000,000 pixels, got 60,000 x 60,000 = 3,600,000,000. Make it smaller."
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            decode(bomb(60_000, 60_000), "a.png")
        with pytest.raises(InputError, match=r"got 100,000,001 x 1 = 100,000,001\. Make"):
            decode(bomb(MAX_PIXELS + 1, 1), "a.png")


def test_a_bomb_in_webp_is_refused_before_there_is_memory_for_it():
    data = bytearray(encoded(Image.new("RGBA", (2, 2), (1, 2, 3, 4)), "WEBP", exif=Image.Exif().tobytes() + b"x"))
    assert data[12:16] == b"VP8X"
    data[24:30] = (59_999).to_bytes(3, "little") * 2
    with pytest.raises(InputError, match=r"a\.webp: (a picture must have at most 100,000,000 pixels|the picture is damaged)"):
        decode(bytes(data), "a.webp")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "a.png: a picture must hold something, got 0 bytes. Copy it again, or take it out."),
        (
            b"some text",
            "a.png: a picture must be PNG, JPEG, WebP, GIF, BMP, TIFF or PPM, got a file that begins with b'some text'.",
        ),
        (content(0, "JPEG")[:-20], "a.png: the picture is damaged or cut off: "),
        (content(0)[:30], "a.png: the picture is damaged or cut off: "),
        (b"BM", "a.png: the picture is damaged or cut off: "),
    ],
)
def test_what_is_no_whole_picture_is_told(data, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}") as caught:
        decode(data, "a.png")
    assert str(caught.value.file) == "a.png"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
@pytest.mark.filterwarnings("ignore")
def test_damage_gives_pixels_or_an_error_of_ours(kind):
    random = np.random.default_rng(0)
    whole = encoded(Image.fromarray(noise(9, 7)), kind)
    num_told = 0
    for _ in range(300):
        data = bytearray(whole[: random.integers(1, len(whole))] if random.random() < 0.3 else whole)
        for _ in range(random.integers(1, 4)):
            data[random.integers(len(data))] = random.integers(256)
        try:
            assert decode(bytes(data), "a").shape[2] in (1, 3)
        except InputError:
            num_told += 1
    assert num_told > 20
