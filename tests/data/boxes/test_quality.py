"""What is wrong in a part as a whole, and between parts."""

from pathlib import Path

from regard.data.boxes import Box, Scene, check_scenes, describe_scenes, find_scenes, read_scenes
from regard.data.files import Files
from tests.data.boxes.examples import BOXES, coco, csv, picture
from tests.data.pictures.examples import made


def told(folder: Path) -> list[str]:
    """Findings of a data set, what its parts told by themselves left out."""
    files = find_scenes(folder, {})
    parts = {split: read_scenes(path)[0] for split, path in files.items()}
    return [str(one).replace(f"{folder}/", "") for one in check_scenes(files, parts)]


MANY = [box for box in BOXES[:2] for _ in range(5)]
CLEAN = {
    "train.json": coco(["1.png"], MANY),
    "val.json": coco(["2.png"], MANY[:1]),
    "1.png": picture(1),
    "2.png": picture(2),
}


def test_clean_data_is_not_told(tmp_path):
    assert told(made(tmp_path, CLEAN)) == []


def test_empty_and_grey_pictures_are_told(tmp_path):
    files = {"train.json": coco(["1.png", "3.png"], MANY), "3.png": picture(3, "L")}
    assert told(made(tmp_path, CLEAN | files)) == [
        "warning: train.json:9: 1 of 2 pictures (50.0 %) has no box, such as 3.png: kept, to learn from what is not there.",
        "warning: train.json:9: 1 of 2 pictures (50.0 %) has no colours, such as 3.png: kept, and read as three equal ones.",
    ]


def test_a_class_that_training_lacks_is_an_error(tmp_path):
    rows = [*MANY[:1], ("lion", 1, 1, 5, 5, False), ("lion", 1, 1, 5, 5, False), ("Dog", 1, 1, 5, 5, False)]
    folder = made(tmp_path, CLEAN)
    (folder / "val.json").unlink()
    (folder / "val.csv").write_bytes(csv(rows).replace(b"1.png", b"3.png"))
    (folder / "3.png").write_bytes(picture(3))
    scenes = {"train": read_scenes(folder / "train.json")[0], "dev": read_scenes(folder / "val.csv")[0]}
    findings = check_scenes(Files(Path("train"), Path("dev")), scenes)
    errors = [str(one) for one in findings if one.level == "error"]
    assert errors == [
        "error: dev:2: the class must be in training too, lion is not (2 here, the first in 3.png). "
        "Add boxes of it to train, or take it out.",
        "error: dev:2: the class must be in training too, Dog is not (1 here, the first in 3.png). Is it dog? "
        "Add boxes of it to train, or take it out.",
    ]


def test_a_class_of_crowds_only_is_not_missed(tmp_path):
    boxes = [("cat", 1, 1, 5, 5, False)] * 5
    files = {"train.json": coco(["1.png"], boxes), "val.json": coco(["2.png"], [*boxes, ("dog", 1, 1, 5, 5, True)])}
    assert told(made(tmp_path, CLEAN | files)) == []


def test_pictures_that_come_twice_are_told(tmp_path):
    files = {"val.json": coco(["2.png", "3.png", "4.png"], MANY[:1]), "3.png": picture(2), "4.png": picture(1)}
    findings = [one for one in told(made(tmp_path, CLEAN | files)) if "no box" not in one]
    assert findings == [
        "warning: val.json:9: 1 of 3 pictures (33.3 %) has come before, such as 3.png (as 2.png). Keep one of each.",
        "warning: val.json:15: 1 of 3 pictures (33.3 %) has a place in train.json too, such as 4.png (as 1.png). "
        "Take them out of one of the two, else the score promises too much.",
    ]


def test_rare_classes_and_slips_are_told(tmp_path):
    boxes = [("cat", 1, 1, 5, 5, False)] * 30 + [("dog", 1, 1, 5, 5, False)] * 2
    (finding,) = told(made(tmp_path, CLEAN | {"train.json": coco(["1.png"], boxes)}))
    assert "the label dog stands 2 times in training" in finding


def test_training_needs_boxes(tmp_path):
    findings = told(made(tmp_path, {"train.json": coco(["1.png"], []), "1.png": picture(1)}))
    assert "error: train.json: the training pictures must have boxes, none has one." in findings


def test_counts(tmp_path):
    scenes = [
        Scene(None, 9, 9, (Box("b", 0, 0, 1, 1), Box("a", 0, 0, 1, 1), Box("b", 0, 0, 1, 1, True))),
        Scene(None, 9, 9, ()),
    ]
    assert describe_scenes(scenes) == {"pictures": 2, "empty": 1, "boxes": 3, "crowds": 1, "per_class": {"a": 1, "b": 1}}
