"""Where the parts are, and what a prediction reads."""

import io
import subprocess
import sys

import pytest

from regard.data.pictures import find_pictures, input_pictures, pixels
from regard.errors import InputError
from tests.data.pictures.examples import classes, content, packed, tree


def names(files):
    return {split: path.name for split, path in files.items()}


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("train/ val/ test/", {"train": "train", "dev": "val", "test": "test"}),
        ("train_1000_per_class.zip test.tar.gz", {"train": "train_1000_per_class.zip", "test": "test.tar.gz"}),
        ("Train.CSV valid.tsv.gz train/", {"train": "Train.CSV", "dev": "valid.tsv.gz"}),
        ("train.zip train_old.zip train.txt", {"train": "train.zip"}),
        ("training/ validation.tgz trainer/ tests/ testing.zip", {"train": "training", "dev": "validation.tgz"}),
        (
            "train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz t10k-images-idx3-ubyte t10k-labels-idx1-ubyte",
            {"train": "train-images-idx3-ubyte.gz", "test": "t10k-images-idx3-ubyte"},
        ),
        (
            "train-00000-of-00002.parquet train-00001-of-00002.parquet test-00000-of-00001.parquet",
            {"train": "train-00000-of-00002.parquet", "test": "test-00000-of-00001.parquet"},
        ),
    ],
)
def test_parts_are_found_by_how_their_names_begin(tmp_path, inside, expected):
    tree(tmp_path, dict.fromkeys(inside.split(), b""))
    assert names(find_pictures(tmp_path, {})) == expected


def test_a_part_named_singly_replaces_that_of_the_folder(tmp_path):
    tree(tmp_path, dict.fromkeys(["data/train/", "data/val/", "other/", "more.zip"], b""))
    files = find_pictures(
        tmp_path / "data", {"train": str(tmp_path / "other"), "dev": None, "test": str(tmp_path / "more.zip")}
    )
    assert names(files) == {"train": "other", "dev": "val", "test": "more.zip"}
    assert names(find_pictures(None, {"test": str(tmp_path / "more.zip")})) == {"test": "more.zip"}


def test_a_folder_of_classes_is_all_for_training(tmp_path):
    assert names(find_pictures(tree(tmp_path / "flowers", classes({"rose": 1})), {})) == {"train": "flowers"}


def test_where_classes_are_not_needed_an_archive_is_all_for_training(tmp_path):
    for files in ({"1.png": content(1)}, classes({"rose": 1, "train": 1}), classes({"top/rose": 1, "top/daisy": 1})):
        path = packed(tmp_path / "all.zip", files)
        assert names(find_pictures(path, {}, is_labelled=False)) == {"train": "all.zip"}


@pytest.mark.parametrize("name", ["all.zip", "all.tar.gz"])
@pytest.mark.parametrize("top", ["", "flowers/"])
@pytest.mark.parametrize("inside", ["rose/", ""])
def test_parts_in_one_archive_are_not_taken_for_classes(tmp_path, name, top, inside):
    path = packed(tmp_path / name, {f"{top}{part}/{inside}1.png": content(1) for part in ("train", "val", "test")})
    with pytest.raises(InputError, match=f"{name}: it must hold one part, got test, train, val. Unpack it"):
        find_pictures(path, {}, is_labelled=False)
    assert names(find_pictures(None, {"test": str(path)}, is_labelled=False)) == {"test": name}


def test_what_cannot_be_found_is_told(tmp_path):
    tree(tmp_path, {"two/train.zip": b"", "two/train/": b"", "none/a.png": content(0), "empty/": b""})
    with pytest.raises(InputError, match=r"several could be train: train, train\.zip\. Name one with --train PATH\."):
        find_pictures(tmp_path / "two", {})
    for folder in ("none", "empty"):
        with pytest.raises(InputError, match=r"it must hold train, dev or test .*, or a folder for each class"):
            find_pictures(tmp_path / folder, {})
    with pytest.raises(InputError, match="nowhere: --data must be a folder that exists"):
        find_pictures(tmp_path / "nowhere", {})
    with pytest.raises(InputError, match="nowhere: there is no such file"):
        find_pictures(None, {"train": str(tmp_path / "nowhere")})
    with pytest.raises(InputError, match="No data was given"):
        find_pictures(None, {})


def test_a_prediction_reads_a_picture_a_folder_or_an_archive(tmp_path):
    tree(tmp_path / "a", {"2.png": content(2), "in/1.jpg": content(1, "JPEG"), "in/notes.txt": b"", ".hidden/1.png": b""})
    found = list(input_pictures(str(tmp_path / "a")))
    assert [(one.name, one.label, one.digest) for one in found] == [
        (f"{tmp_path}/a/2.png", None, ""),
        (f"{tmp_path}/a/in/1.jpg", None, ""),
    ]
    (tmp_path / "picture").write_bytes(content(9))
    (one,) = input_pictures(str(tmp_path / "picture"))
    assert one.name == f"{tmp_path}/picture"
    assert pixels(one)[0, 0].tolist() == [9, 0, 7]
    path = packed(tmp_path / "a.zip", {"1.png": content(1), "broken.png": b""})
    assert [one.name for one in input_pictures(str(path))] == [f"{path}/1.png", f"{path}/broken.png"]


def test_a_prediction_reads_paths_of_standard_input(tmp_path, monkeypatch):
    tree(tmp_path, {"1.png": content(1)})
    lines = f"{tmp_path}/1.png\n\n{tmp_path}/none.png\nnull\0.png\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    good, missing, odd = input_pictures("-")
    assert pixels(good)[0, 0, 0] == 1
    for one in (missing, odd):
        with pytest.raises(InputError, match="there is no such file"):
            pixels(one)


def test_a_prediction_of_nothing_is_told(tmp_path):
    for name, message in ((tmp_path, "it must hold pictures, got none"), (tmp_path / "none.png", "there is no such file")):
        with pytest.raises(InputError, match=message):
            list(input_pictures(str(name)))


def test_importing_it_imports_nothing_heavy():
    code = "import sys, regard.data.pictures; print({'numpy', 'PIL', 'pyarrow', 'torch', 'datasets'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
