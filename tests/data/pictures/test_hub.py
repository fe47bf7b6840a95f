"""Data sets of the hub that hold pictures become archives."""

import zipfile

import pytest
from PIL import Image

from regard.data.hub import folder_from_hub
from regard.data.pictures import find_pictures, pixels, read_pictures
from regard.errors import InputError
from tests.data.pictures.examples import content


@pytest.fixture
def datasets(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return pytest.importorskip("datasets", reason="data sets of the hub need the optional library datasets")


def saved(datasets, folder, columns, features):
    table = datasets.Dataset.from_dict(columns, datasets.Features(features))
    datasets.DatasetDict({"train": table, "validation": table}).save_to_disk(str(folder))
    return str(folder)


def test_pictures_become_an_archive_of_class_folders(datasets, tmp_path):
    images = [{"bytes": content(1), "path": None}, {"bytes": content(2, "JPEG"), "path": "x.png"}, Image.new("L", (2, 2))]
    names = datasets.ClassLabel(names=["rose", "n/a"])
    features = {"id": datasets.Value("string"), "img": datasets.Image(), "label": names}
    folder = saved(datasets, tmp_path / "set", {"id": list("abc"), "img": images, "label": [0, 1, 0]}, features)
    files = find_pictures(folder_from_hub(folder, tmp_path / "cache"), {})
    assert [(split, path.name) for split, path in files.items()] == [("train", "train.zip"), ("dev", "dev.zip")]
    with zipfile.ZipFile(files.train) as archive:
        assert archive.namelist() == ["rose/0000001.png", "n∕a/0000002.jpg", "rose/0000003.png"]
        assert archive.read("n∕a/0000002.jpg") == content(2, "JPEG")
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    pictures, findings = read_pictures(files.train)
    assert not findings
    assert sorted(one.label for one in pictures) == ["n∕a", "rose", "rose"]
    assert {pixels(one).shape for one in pictures} == {(2, 3, 3), (2, 2, 1)}


def test_labels_may_be_text_or_numbers_without_names(datasets, tmp_path):
    features = {"image": datasets.Image(), "class": datasets.Value("string")}
    columns = {"image": [{"bytes": content(1), "path": None}] * 2, "class": [".rose", "tulip"]}
    files = find_pictures(folder_from_hub(saved(datasets, tmp_path / "a", columns, features), tmp_path / "cache"), {})
    assert [one.label for one in read_pictures(files.train)[0]] == ["_.rose", "tulip"]
    columns, features = (
        {"image": columns["image"], "label": [0, 7]},
        {"image": datasets.Image(), "label": datasets.Value("int64")},
    )
    files = find_pictures(folder_from_hub(saved(datasets, tmp_path / "b", columns, features), tmp_path / "cache"), {})
    assert [one.label for one in read_pictures(files.train)[0]] == ["0", "7"]


@pytest.mark.parametrize("label", [None, "ClassLabel"])
def test_a_test_split_without_classes_is_left_out_and_told(datasets, tmp_path, capsys, label):
    names = datasets.ClassLabel(names=["rose", "tulip"]) if label else datasets.Value("int64")
    features = datasets.Features({"image": datasets.Image(), "label": names})
    images = [{"bytes": content(value), "path": None} for value in range(2)]
    splits = {"train": [0, 1], "validation": [1, 0], "test": [-1, -1]}
    tables = {
        split: datasets.Dataset.from_dict({"image": images, "label": labels}, features) for split, labels in splits.items()
    }
    folder = str(tmp_path / "set")
    datasets.DatasetDict(tables).save_to_disk(folder)
    files = find_pictures(folder_from_hub(folder, tmp_path / "cache"), {})
    assert [split for split, _ in files.items()] == ["train", "dev"]
    told = f"warning: the data set {folder!r}, split test, has pictures without a class: it is left out."
    assert told in capsys.readouterr().err.splitlines()


def test_training_pictures_without_classes_are_an_error(datasets, tmp_path):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["rose"])})
    table = datasets.Dataset.from_dict({"image": [{"bytes": content(1), "path": None}], "label": [-1]}, features)
    datasets.DatasetDict({"train": table}).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(InputError, match="split train, must have a class in each row, row 1 has -1"):
        folder_from_hub(str(tmp_path / "set"), tmp_path / "cache")


def test_rows_without_a_class_or_a_picture_are_told(datasets, tmp_path):
    image, names = datasets.Image(), datasets.ClassLabel(names=["rose"])
    picture = {"bytes": content(1), "path": None}
    for place, (columns, label, message) in enumerate(
        [
            ({"image": [picture, picture], "label": [0, -1]}, names, "must have a class in each row, row 2 has -1"),
            ({"image": [None], "label": [0]}, names, "must have a picture in each row, row 1 has none"),
            (
                {"image": [picture], "size": [0]},
                datasets.Value("int64"),
                r"must have a column of classes \(label, .*got image, size",
            ),
        ]
    ):
        features = {"image": image, next(name for name in columns if name != "image"): label}
        with pytest.raises(InputError, match=message):
            folder_from_hub(saved(datasets, tmp_path / str(place), columns, features), tmp_path / "cache")


def test_sentences_that_come_with_a_picture_stay_sentences(datasets, tmp_path):
    features = {"tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(datasets.Value("string"))}
    columns = {"tokens": [["Ada"]], "ner_tags": [["B-PER"]], "image": [{"bytes": content(1), "path": None}]}
    folder = saved(datasets, tmp_path / "set", columns, features | {"image": datasets.Image()})
    assert (folder_from_hub(folder, tmp_path / "cache") / "train.jsonl").is_file()
