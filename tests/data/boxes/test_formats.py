"""The same data set in each format, in folders and archives, and real ones with known counts."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from regard.data.boxes import Box, describe_scenes, find_scenes, read_scenes
from regard.data.boxes.scene import Scene
from regard.data.pictures import pixels
from tests.data.boxes.examples import BOXES, DATA_SETS, HAS_NO_CROWDS, ONE, YAML, coco, picture, voc, yolo
from tests.data.pictures.examples import made

WANTED = tuple(Box(*one) for one in BOXES)


def read(path: Path, split: str = "train") -> tuple[list[Scene], list[str]]:
    """The scenes of a part of a data set, and all findings as text that names files from its top."""
    scenes, findings = read_scenes(getattr(find_scenes(path, {}), split))
    return scenes, [str(one).replace(f"{path}/", "") for one in findings]


@pytest.mark.parametrize("ending", ["", ".zip", ".tar"])
@pytest.mark.parametrize("name", DATA_SETS)
def test_every_format_says_the_same(tmp_path, name, ending):
    path = made(tmp_path / f"data{ending}", DATA_SETS[name])
    (first, second), findings = read(path)
    crowd = replace(WANTED[2], is_crowd=not name.startswith(HAS_NO_CROWDS))
    assert [rounded(box) for box in first.boxes] == [*WANTED[:2], crowd]
    assert (first.width, first.height) == (second.width, second.height) == (20, 10)
    assert not second.boxes
    assert [one.picture.key[-5:] for one in (first, second)] == ["1.png", "2.png"]
    assert [pixels(one.picture)[0, 0, 0] for one in (first, second)] == [1, 2]
    assert [one for one in findings if "gaps" not in one] == []


def rounded(box: Box) -> Box:
    """Shares are not whole pixels."""
    return Box(box.label, *(round(end, 6) for end in (box.xmin, box.ymin, box.xmax, box.ymax)), box.is_crowd, box.area)


def test_lines_of_json_and_of_tables_are_kept(tmp_path):
    (first, second), _ = read(made(tmp_path / "coco", DATA_SETS["coco"]))
    text = coco().decode().split("\n")
    assert [text[line - 1].strip() for line in (first.line, second.line)] == ["{", "{"]
    assert '"id": 10' in text[second.line]
    assert [one.line for one in read(made(tmp_path / "csv", DATA_SETS["csv"]))[0]] == [2, 5]


def test_the_area_of_a_mask_is_kept(tmp_path):
    changed = coco().replace(b'"bbox"', b'"area": 12.5,\n   "bbox"')
    (scene, _), _ = read(made(tmp_path, {"train.json": changed, "1.png": ONE, "2.png": ONE}))
    assert [box.area for box in scene.boxes] == [12.5] * 3


def test_of_pictures_of_one_name_that_of_the_same_part_is_meant(tmp_path):
    files = {f"annotations/instances_{year}.json": coco(["1.png"]) for year in ("train2017", "val2017")}
    path = made(tmp_path, files | {"train2017/1.png": picture(5), "val2017/1.png": picture(6)})
    for split, value in (("train", 5), ("dev", 6)):
        assert pixels(read(path, split)[0][0].picture)[0, 0, 0] == value


def test_of_pictures_of_one_name_that_beside_the_annotations_is_meant(tmp_path):
    path = made(tmp_path, {"train.json": coco(["1.png"]), "1.png": picture(5), "smaller/1.png": picture(6)})
    assert [one.picture.key for one in read(path)[0]] == ["1.png"]


def test_a_name_that_could_be_several_pictures_is_an_error(tmp_path):
    path = made(tmp_path, {"train.json": coco(["1.png"]), "a/1.png": picture(5), "b/1.png": picture(6)})
    assert any("the picture '1.png' could be any of a/1.png, b/1.png. Write its path from" in one for one in read(path)[1])


def test_a_file_name_may_begin_in_a_folder(tmp_path):
    path = made(tmp_path, {"train.json": coco(["a/1.png", "b/1.png"]), "x/a/1.png": picture(3), "x/b/1.png": picture(4)})
    assert [pixels(one.picture)[0, 0, 0] for one in read(path)[0]] == [3, 4]


def test_a_picture_of_the_same_name_in_another_folder_is_not_taken(tmp_path):
    path = made(tmp_path, {"train.json": coco(["a/1.png", "b/1.png"]), "b/1.png": picture(4)})
    scenes, findings = read(path)
    assert [one.picture.key for one in scenes] == ["b/1.png"]
    assert any("there is no picture 'a/1.png'" in one for one in findings)


def test_a_voc_annotation_may_name_its_picture(tmp_path):
    path = made(tmp_path, {"train/a.xml": voc(BOXES, name="1.png"), "train/1.png": ONE})
    assert [one.picture.key for one in read(path)[0]] == ["train/1.png"]


def test_the_nearest_names_of_classes_are_meant(tmp_path):
    files = {"data.yaml": b"names: [other]", "top/data.yaml": YAML, "top/classes.txt": b"x\ny\n"}
    files |= {"top/images/train/1.png": ONE, "top/labels/train/1.txt": yolo()}
    ((scene,), _) = read(made(tmp_path / "data.zip", files))
    assert [box.label for box in scene.boxes] == ["cat", "dog", "cat"]


@pytest.mark.parametrize("place", ["", "BCCD.zip"])
def test_bccd(vision_data, place):
    files = find_scenes(vision_data / "bccd" / place, {})
    assert {split: path.name for split, path in files.items()} == {split: f"{file}.txt" for split, file in PARTS.items()}
    parts, warnings = {}, []
    for split, path in files.items():
        parts[split], findings = read_scenes(path)
        warnings += [f"{one.file.name}:{one.line}" for one in findings if "no area" in one.message]
        assert len(findings) == len([one for one in findings if one.level == "warning"])
    assert {split: len(scenes) for split, scenes in parts.items()} == {"train": 205, "dev": 87, "test": 72}
    assert [describe_scenes(scenes)["boxes"] for scenes in parts.values()] == [2804, 1137, 945]
    counts = sum((Counter(box.label for one in scenes for box in one.boxes) for scenes in parts.values()), Counter())
    assert counts == {"RBC": 4155 - 2, "WBC": 372, "Platelets": 361}
    assert warnings == ["BloodImage_00343.xml:50", "BloodImage_00338.xml:158"]


PARTS = {"train": "train", "dev": "val", "test": "test"}


def test_bccd_says_the_same_in_cocos_form(vision_data):
    top = vision_data / "bccd" / "BCCD.zip" / "BCCD"
    ours, _ = read_scenes(top / "ImageSets" / "Main" / "val.txt")
    theirs, _ = read_scenes(top / "coco" / "instances_val.json")
    boxes = [{one.picture.key: [replace(box, area=None) for box in one.boxes] for one in scenes} for scenes in (ours, theirs)]
    assert boxes[0] == boxes[1]


def test_coco_openlicence33(vision_data):
    files = find_scenes(vision_data / "coco-openlicence33", {})
    assert [split for split, _ in files.items()] == ["dev"]
    scenes, findings = read_scenes(vision_data / "coco-openlicence33" / "coco33.zip")
    known = describe_scenes(scenes)
    assert {name: known[name] for name in ("pictures", "boxes", "crowds")} == {"pictures": 33, "boxes": 246, "crowds": 3}
    assert len({box.label for one in scenes for box in one.boxes}) == 44
    assert all(box.area is not None for one in scenes for box in one.boxes)
    assert [one.message[:54] for one in findings] == ["the ids of categories have gaps, 10 numbers in all, th"]
