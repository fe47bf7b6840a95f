"""Where the parts are: by the names of files and folders."""

from pathlib import Path

import pytest

from regard.data.boxes import find_scenes, read_scenes
from regard.errors import InputError
from tests.data.boxes.examples import DATA_SETS, ONE, coco, csv, voc
from tests.data.pictures.examples import made, packed

TWO = {"1.png": ONE, "2.png": ONE}


def found(folder: Path, **given) -> dict[str, str]:
    """Names of the parts from the folder."""
    return {split: path.relative_to(folder).as_posix() for split, path in find_scenes(folder, given).items()}


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["train.json", "val.json", "test.json"], ["train.json", "val.json", "test.json"]),
        (["a/instances_train2017.json", "a/captions_train2017.json"], ["a/instances_train2017.json"]),
        (["train/_annotations.csv", "valid/_annotations.csv"], ["train/_annotations.csv", "valid/_annotations.csv"]),
        (["my_train_labels.csv", "my-dev-labels.csv"], ["my_train_labels.csv", "my-dev-labels.csv"]),
        (["train set/train.csv", "train set/val.csv"], ["train set/train.csv", "train set/val.csv"]),
        (["train.json", "notes.xml"], ["train.json"]),
        (["boxes.json"], ["boxes.json"]),
        (["training.csv.gz"], ["training.csv.gz"]),
    ],
)
def test_parts_are_known_by_their_names(tmp_path, names, wanted):
    assert list(found(made(tmp_path, dict.fromkeys(names, b""))).values()) == wanted


def test_parts_may_be_archives_or_be_all_in_one(tmp_path):
    packed(tmp_path / "train.zip", DATA_SETS["coco"])
    packed(tmp_path / "val.tar.gz", {"boxes.csv": csv(), **TWO})
    assert found(tmp_path) == {"train": "train.zip", "dev": "val.tar.gz"}
    assert [len(read_scenes(tmp_path / name)[0]) for name in ("train.zip", "val.tar.gz")] == [2, 2]
    (tmp_path / "alone").mkdir()
    packed(tmp_path / "alone" / "all.zip", DATA_SETS["voc"])
    assert found(tmp_path / "alone") == {"train": "all.zip/top/ImageSets/Main/train.txt"}


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_part_is_found_again_by_its_path(tmp_path, name):
    path = find_scenes(made(tmp_path / "data", DATA_SETS[name]), {}).train
    assert len(read_scenes(path)[0]) == 2
    assert find_scenes(None, {"test": str(path)}).test == path


def test_a_folder_that_is_called_like_a_part_is_a_data_set_too(tmp_path):
    folder = made(tmp_path / "test", {"train.csv": csv(), **TWO})
    made(tmp_path, {"train.csv": csv(), "1.png": ONE})
    assert found(folder) == {"train": "train.csv"}
    scenes, findings = read_scenes(folder / "train.csv")
    assert not findings
    assert [one.picture.name for one in scenes] == [f"{folder}/1.png", f"{folder}/2.png"]


@pytest.mark.parametrize("name", ["coco", "images", "train", "test2017"])
@pytest.mark.parametrize("form", DATA_SETS)
def test_what_lies_beside_a_data_set_is_not_read(tmp_path, name, form):
    folder = made(tmp_path / name, DATA_SETS[form])
    made(tmp_path / "other", {**DATA_SETS[form], "data.yaml": b"names: [bird, fish]\n"})
    part = find_scenes(folder, {}).train
    for given in (part, folder):
        scenes, findings = read_scenes(given)
        assert [one for one in findings if "gaps" not in one.message] == []
        assert {box.label for box in scenes[0].boxes} == {"cat", "dog"}
        assert all(Path(scene.picture.name).is_relative_to(folder) for scene in scenes)


@pytest.mark.parametrize("name", ["coco", "images", "train"])
def test_a_picture_that_is_missing_is_not_taken_from_beside(tmp_path, name):
    folder = made(tmp_path / name, DATA_SETS["coco"])
    made(tmp_path / "other", DATA_SETS["coco"])
    (folder / "train2017" / "2.png").unlink()
    scenes, findings = read_scenes(find_scenes(folder, {}).train)
    assert [one.picture.name for one in scenes] == [f"{folder}/train2017/1.png"]
    assert [one.message for one in findings if one.level == "error"] == [
        f"there is no picture '2.png' in {folder}. Put it there, or take its boxes out."
    ]


def test_a_folder_of_yolo_s_test_pictures_has_its_classes_above(tmp_path):
    files = {"data.yaml": b"names: [cat, dog]\n", "test/images/1.png": ONE, "test/labels/1.txt": b"1 0.5 0.5 0.2 0.2\n"}
    folder = made(tmp_path, files)
    for given in (folder / "test", find_scenes(folder / "test", {}).train):
        scenes, findings = read_scenes(given)
        assert not findings
        assert [box.label for box in scenes[0].boxes] == ["dog"]


def test_voc_comes_before_cocos_form_beside_it(tmp_path):
    folder = made(tmp_path, DATA_SETS["voc"] | {"top/coco/train.json": coco()})
    assert found(folder) == {"train": "top/ImageSets/Main/train.txt"}
    assert found(folder, train=str(folder / "top" / "coco" / "train.json")) == {"train": "top/coco/train.json"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"x.txt": b""}, "No train, dev or test file in"),
        ({"train.json": b"", "a/train.json": b""}, "several could be train: .*Name one with --train PATH"),
    ],
)
def test_what_is_not_found_is_told(tmp_path, files, message):
    with pytest.raises(InputError, match=message):
        find_scenes(made(tmp_path, files), {})


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "there is no such file or folder"),
        ("broken.zip", "the file is damaged or not .zip"),
        ("two.zip", "one part must be named, here are several: .*train.csv, .*val.csv"),
        ("two.zip/other", "a part with boxes must be COCO's .json, PASCAL VOC's .xml"),
        ("text.txt", "a part with boxes must be COCO's .json"),
    ],
)
def test_a_path_that_is_no_part_is_told(tmp_path, path, message):
    made(tmp_path, {"broken.zip": b"PK?", "text.txt": b"", "1.xml": voc(name="1.png")})
    packed(tmp_path / "two.zip", {"train.csv": csv(), "val.csv": csv(), **TWO})
    for call in (lambda: find_scenes(None, {"train": str(tmp_path / path)}), lambda: read_scenes(tmp_path / path)):
        with pytest.raises(InputError, match=message):
            call()
