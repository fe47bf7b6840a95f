"""Pictures to paint like: with classes where all have one, else without, and whatever can be read of them."""

import gzip
import shutil
import struct

import numpy as np
import pytest
from PIL import Image

from regard.data.pictures import find_pictures, names_pictures, read_any_pictures
from regard.errors import InputError


def save(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 6), value, np.uint8)).save(path)


def test_classes_count_where_all_pictures_have_one(tmp_path):
    for number, name in enumerate(("a/1.png", "b/1.png")):
        save(tmp_path / name, number)
    assert [one.label for one in read_any_pictures(tmp_path)[0]] == ["a", "b"]
    save(tmp_path / "loose.png", 9)
    pictures, (finding,) = read_any_pictures(tmp_path)
    assert [one.label for one in pictures] == [None] * 3
    assert "2 of 3 pictures have a class and the others have none: they are taken without." in finding.message


def test_pictures_that_cannot_be_read_are_counted_and_left_out(tmp_path):
    for number in range(3):
        save(tmp_path / f"{number}.png", number)
    for name in ("x.png", "y.jpg"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n half")
    pictures, (finding,) = read_any_pictures(tmp_path)
    assert len(pictures) == 3
    assert finding.level == "warning"
    assert finding.message.startswith("2 of 5 pictures (40.0 %) cannot be read, such as")


def test_where_none_can_be_read_that_is_an_error(tmp_path):
    (tmp_path / "x.png").write_bytes(b"")
    assert read_any_pictures(tmp_path)[1][-1].level == "error"


def test_idx_without_labels_beside_it_is_read(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    with gzip.open(path, "wb") as file:
        file.write(struct.pack(">4I", 0x803, 2, 3, 3) + bytes(18))
    assert [one.label for one in read_any_pictures(path)[0]] == [None, None]


def test_a_table_without_a_column_of_classes_is_read(tmp_path):
    save(tmp_path / "1.png")
    (tmp_path / "train.csv").write_text("path\n1.png\n")
    assert len(read_any_pictures(tmp_path / "train.csv")[0]) == 1


def test_a_folder_or_an_archive_without_parts_is_all_for_training(tmp_path):
    save(tmp_path / "loose" / "1.png")
    assert find_pictures(tmp_path / "loose", {}, is_labelled=False).train == tmp_path / "loose"
    with pytest.raises(InputError, match="or a folder for each class"):
        find_pictures(tmp_path / "loose", {})
    shutil.make_archive(str(tmp_path / "many"), "zip", tmp_path / "loose")
    assert find_pictures(tmp_path / "many.zip", {}, is_labelled=False).train == tmp_path / "many.zip"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"or pictures; got neither"):
        find_pictures(tmp_path / "empty", {}, is_labelled=False)


def test_what_names_pictures(tmp_path):
    assert names_pictures("a/b.JPG")
    assert names_pictures("some.zip")
    assert names_pictures(str(tmp_path))
    assert not names_pictures("lines.txt")
    assert not names_pictures("-")
