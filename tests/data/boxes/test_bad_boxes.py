"""What is wrong in one part: told with its file and line, and left out or mended where that is safe."""

import random
import re
from contextlib import suppress

import pytest

from regard.data.boxes import read_scenes
from regard.errors import InputError
from tests.data.boxes.examples import BOXES, DATA_SETS, ONE, TWO, coco, csv, picture, voc, yolo
from tests.data.boxes.test_formats import read
from tests.data.pictures.examples import made

PICTURES = {"1.png": ONE, "2.png": TWO}


def told_of_coco(tmp_path, content):
    scenes, findings = read(made(tmp_path, {"train.json": content, **PICTURES}))
    return scenes, [one for one in findings if "gaps" not in one]


def box(**changes):
    return [{"id": 5, "image_id": 0, "category_id": 3, "bbox": [2, 1, 6, 8]} | changes]


IMAGE = {"id": 0, "file_name": "1.png"}
CAT = {"id": 3, "name": "cat"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": box(bbox=["2", 1, 6, 8])}, 'bbox of annotation 5 must be 4 numbers [x, y, width, height], got ["2"'),
        ({"annotations": box(bbox="2 1 6 8")}, 'bbox of annotation 5 must be 4 numbers [x, y, width, height], got "2 1 6 8"'),
        ({"annotations": box(bbox=[2, 1, 6])}, "bbox of annotation 5 must be 4 numbers"),
        ({"annotations": box(bbox=None)}, "must be 4 numbers [x, y, width, height], got null"),
        ({"annotations": box(bbox=[2, True, 6, 8])}, "must be 4 numbers"),
        ({"annotations": box(bbox=[float("nan"), 1, 6, 8])}, "must be 4 numbers [x, y, width, height], got [NaN"),
        ({"annotations": box(bbox=[0, 1, float("inf"), 8])}, "must be 4 numbers"),
        ({"annotations": box(bbox=[0, 1, 10**400, 8])}, "must be 4 numbers"),
        ({"annotations": box(bbox=[2, 1, -6, 8])}, "must have a width and a height of at least 0, got -6 and 8"),
        ({"annotations": box(image_id=4)}, "image_id of annotation 5 must be the id of a listed image, got 4"),
        ({"annotations": box(image_id=[0])}, "image_id of annotation 5 must be a number, got [0]"),
        ({"annotations": box(category_id=4)}, "category_id of annotation 5 must be the id of a listed category, got 4"),
        ({"annotations": box(iscrowd="no")}, 'iscrowd of annotation 5 must be 0 or 1, got "no"'),
        ({"annotations": box(area="12")}, 'area of annotation 5 must be a number, got "12"'),
        ({"annotations": [7]}, "an annotation must be an object in braces, got 7"),
        (
            {"images": [IMAGE, IMAGE | {"id": 1}]},
            "each picture must be listed once, with an id of its own; got 1.png",
        ),
        ({"images": [IMAGE, IMAGE | {"file_name": "2.png"}]}, "each picture must be listed once, with an id of its own"),
        ({"images": [IMAGE, {"id": 1, "file_name": "3.png"}]}, "there is no picture '3.png'"),
        ({"images": [IMAGE, {"id": 1}]}, "file_name of image 1 must be text in quotes, got null"),
        ({"images": [IMAGE, {"id": 1.5, "file_name": "2.png"}]}, "id of an image must be a number, got 1.5"),
        ({"categories": [CAT, CAT | {"id": 7}]}, "each category must have an id and a name of its own"),
        ({"categories": [CAT, {"id": 7, "name": 7}]}, "the name of category 7 must be text in quotes, got 7"),
    ],
)
def test_what_is_wrong_in_coco_is_an_error_with_its_line(tmp_path, changes, message):
    (kind,) = changes
    content = coco(**{"images": [IMAGE], "annotations": box(), "categories": [CAT]} | changes)
    scenes, (finding,) = told_of_coco(tmp_path, content)
    assert finding.startswith("error: train.json:")
    assert message in finding
    lines = content.decode().split("\n")
    line = int(finding.split(":")[2])
    assert lines[line - 1].strip() in ("{", "7")
    assert next(one for one in reversed(lines[:line]) if one.startswith(' "')) == f' "{kind}": ['
    assert [one.picture.key for one in scenes] == ["1.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (coco()[:200], "this must be JSON: .* at line"),
        (b"", "this must be JSON"),
        (b"[]", "the file must be an object in braces, got"),
        (b'{"images": []}', '"annotations" of the object must be a list in brackets, got null. COCO'),
        (coco() + b"{}", "the file must hold one JSON object, got more behind it"),
        (b"\xff\xfe{", "the text must be UTF-8"),
    ],
)
def test_a_file_that_is_no_coco_is_told(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as error:
        read(made(tmp_path, {"train.json": content, **PICTURES}))
    assert str(error.value.file).endswith("train.json")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<xmin>2<", "<xmin>two<", '<xmin> of the cat must be a number, got "two"'),
        ("<xmin>2<", "<xmin>nan<", '<xmin> of the cat must be a number, got "nan"'),
        ("<xmin>2<", "<xmin><", '<xmin> of the cat must be a number, got ""'),
        ("<xmin>2<", "<xmin>9<", "a box must end where it begins or after, got xmin 9 and xmax 8"),
        ("<ymin>1<", "<ymin>9.5<", "a box must end where it begins or after, got ymin 9.5 and ymax 9"),
        ("<name>cat<", "<name> <", "an <object> must have a <name> with letters and a <bndbox>"),
        ("bndbox>", "box>", "an <object> must have a <name> with letters and a <bndbox>"),
    ],
)
def test_what_is_wrong_in_voc_is_an_error_with_its_line(tmp_path, old, new, message):
    content = voc(BOXES[:1]).decode().replace(old, new).encode()
    scenes, (finding,) = read(made(tmp_path, DATA_SETS["voc"] | {"top/Annotations/1.xml": content}))
    assert finding.startswith(f"error: top/Annotations/1.xml:2: {message}")
    assert [len(one.boxes) for one in scenes] == [0, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (voc(BOXES)[:90], "1.xml:2: this must be XML: "),
        (b"", "1.xml:1: this must be XML: no element found"),
        (b"<html/>", "1.xml:1: the XML must be an <annotation>, got <html>"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a/>', "1.xml:1: the XML must have no DOCTYPE"),
        (b'<?xml version="1.0" encoding="none"?><a/>', "the encoding must be|this must be XML"),
    ],
)
def test_an_annotation_that_is_no_voc_is_told_and_the_rest_is_read(tmp_path, content, message):
    scenes, (finding,) = read(made(tmp_path, DATA_SETS["voc"] | {"top/Annotations/1.xml": content}))
    assert re.search(message, finding)
    assert [one.picture.key for one in scenes] == ["top/JPEGImages/2.png"]


def test_what_a_list_of_voc_names_must_be_there_and_once(tmp_path):
    scenes, findings = read(made(tmp_path, DATA_SETS["voc"] | {"top/ImageSets/Main/train.txt": b"1\n1\n\n3\n"}))
    assert len(scenes) == 1
    assert findings == [
        "error: top/ImageSets/Main/train.txt:2: each picture must be listed once, got 1 again.",
        "error: top/ImageSets/Main/train.txt:4: there is no top/Annotations/3.xml for it. "
        "A picture without boxes needs one without objects.",
    ]


def test_two_annotations_of_a_picture_are_an_error(tmp_path):
    _, (finding,) = read(made(tmp_path, {"train/1.xml": voc(), "train/2.xml": voc(name="1.png"), "train/1.png": ONE}))
    assert finding == "error: train/2.xml: train/1.png has another annotation. Take one of them out."


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.1", "a line must be class, x, y, width and height, got 4 fields"),
        ("cat 0.5 0.5 0.1 0.1", "the class must be a number from 0 to 1, got cat"),
        ("2 0.5 0.5 0.1 0.1", "the class must be a number from 0 to 1, got 2"),
        (f"{'9' * 5000} 0.5 0.5 0.1 0.1", "the class must be a number from 0 to 1, got 999"),
        ("-1 0.5 0.5 0.1 0.1", "the class must be a number from 0 to 1, got -1"),
        ("0 312 40 20 10", "x, y, width and height must be shares of the picture, 0 to 1, got 312 40 20 10"),
        ("0 0.5 -2.5 0.1 0.1", "x, y, width and height must be shares of the picture, 0 to 1, got 0.5 -2.5 0.1 0.1"),
        ("0 0.5 0.5 -0.1 0.1", "a box must have a width and a height of at least 0, got -0.1 and 0.1"),
        ("0 nan 0.5 0.1 0.1", 'a share must be a number, got "nan"'),
    ],
)
def test_what_is_wrong_in_yolo_is_an_error_with_its_line(tmp_path, line, message):
    content = yolo(BOXES[:1]) + f"{line}\n".encode()
    scenes, (finding,) = read(made(tmp_path, DATA_SETS["yolo"] | {"labels/train/1.txt": content}))
    assert finding.startswith("error: labels/train/1.txt:2: ")
    assert message in finding
    assert [len(one.boxes) for one in scenes] == [1, 0]


def test_labels_without_a_picture_are_an_error(tmp_path):
    _, findings = read(made(tmp_path, DATA_SETS["yolo"] | {"labels/train/3.txt": yolo(), "labels/val/4.txt": yolo()}))
    assert [one.split(": there is no picture")[0] for one in findings] == ["error: labels/train/3.txt"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "images/train: the names of the classes must be in data.yaml or classes.txt"),
        (b"names: 2", "data.yaml: names must be a list of the classes"),
        (b"names: {1: cat, 2: dog}", "data.yaml: names must be a list of the classes"),
        (b"path: .\nnames: [cat\ndog: 1", "data.yaml:3: this must be YAML: expected ',' or ']', but got ':'."),
        (b"nc: 2\n\tnames: [cat]", "data.yaml:2: this must be YAML: found character '\\t' that cannot start any token."),
        (b"names: \x01", "data.yaml: this must be YAML: unacceptable character #x0001"),
        (b"names: 2001-99-99", "data.yaml: this must be YAML: month must be in 1..12."),
        (b"names: []", "data.yaml: the classes must have names, each its own, got none"),
        (b"names: [cat, cat]", "data.yaml: the classes must have names, each its own, got cat, cat"),
    ],
)
def test_yolo_needs_the_names_of_its_classes(tmp_path, content, message):
    files = {name: data for name, data in DATA_SETS["yolo"].items() if name != "data.yaml"}
    with pytest.raises(InputError) as error:
        read(made(tmp_path, files | ({} if content is None else {"data.yaml": content})))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1.png,20,10,cat,two,1,8,9", 'xmin must be a number, got "two"'),
        ("1.png,20,10,cat,inf,1,8,9", 'xmin must be a number, got "inf"'),
        ("1.png,20,10,cat,8,1,2,9", "a box must end where it begins or after, got xmin 8 and xmax 2"),
        ("1.png,20,10,,1,1,2,9", "a row must have all of xmin, ymin, xmax, ymax, class, or none, got 1, 1, 2, 9, ."),
        ("1.png,20,10,cat", "a row must have all of"),
        ("3.png,20,10,cat,1,1,2,9", "there is no picture '3.png'"),
        (",20,10,cat,1,1,2,9", "a row must have the name of a picture, got , 1, 1, 2, 9, cat."),
    ],
)
def test_what_is_wrong_in_a_table_is_an_error_with_its_line(tmp_path, row, message):
    content = csv(BOXES[:1]) + f"\n\n{row}\n".encode()
    scenes, (finding,) = read(made(tmp_path, {"train.csv": content, **PICTURES}))
    assert finding.startswith("error: train.csv:5: ")
    assert message in finding
    assert [len(one.boxes) for one in scenes] == [1, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"filename,xmin,ymin,xmax,class\n", "train.csv:1: the header must name filename, xmin, .*; ymax is not there"),
        (b"a,b\n1.png,2\n", "train.csv:1: the header must name"),
        (b'filename,xmin,ymin,xmax,ymax,class\n"' + b"x" * 200_000, "the table must be rows of columns: field larger"),
    ],
)
def test_a_file_that_is_no_table_of_boxes_is_told(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read(made(tmp_path, {"train.csv": content, **PICTURES}))


def test_boxes_without_area_or_outside_are_left_out_and_told(tmp_path):
    boxes = [("cat", 3, 3, 3, 8, False), ("cat", 21, 2, 25, 8, False), ("dog", 1, 1, 9, 9, False), ("cat", -8, 0, 0, 5, False)]
    scenes, findings = told_of_coco(tmp_path, coco(boxes=boxes))
    assert [[box.label for box in one.boxes] for one in scenes] == [["dog"], []]
    assert [one.split(": ", 2)[2] for one in findings] == [
        "the box 3, 3, 3, 8 of cat has no area: left out. The picture 1.png is 20 x 10.",
        "the box 21, 2, 25, 8 of cat is outside the picture: left out. The picture 1.png is 20 x 10.",
        "the box -8, 0, 0, 5 of cat is outside the picture: left out. The picture 1.png is 20 x 10.",
    ]
    assert all(one.startswith("warning: train.json:") for one in findings)


def test_boxes_that_reach_beyond_the_picture_are_cut_and_told(tmp_path):
    boxes = [("cat", -5, -2, 30, 8, False), ("dog", 1, 1, 20.4, 10.6, False)]
    scenes, findings = told_of_coco(tmp_path, coco(boxes=boxes))
    assert [(one.xmin, one.ymin, one.xmax, one.ymax) for one in scenes[0].boxes] == [(0, 0, 20, 8), (1, 1, 20, 10)]
    assert [one.split(": ", 2)[2] for one in findings] == [
        "the box -5, -2, 30, 8 of cat reaches beyond the picture: cut at its edge. The picture 1.png is 20 x 10."
    ]


def test_shares_of_yolo_that_reach_beyond_the_picture_are_cut_or_left_out_and_told(tmp_path):
    lines = ["0 -0.000001 0.5 0.2 0.3", "1 1.2 0.5 0.1 0.1", "1 0.9 0.5 0.4 1.2", "0 0.5 1.02 0.1 0.1"]
    scenes, findings = read(made(tmp_path, DATA_SETS["yolo"] | {"labels/train/1.txt": "\n".join(lines).encode()}))
    assert [one.label for one in scenes[0].boxes] == ["cat", "dog", "cat"]
    found = [(one.xmin, one.ymin, one.xmax, one.ymax) for one in scenes[0].boxes]
    for ends, wanted in zip(found, [(0, 3.5, 2, 6.5), (14, 0, 20, 10), (9, 9.7, 11, 10)], strict=True):
        assert ends == pytest.approx(wanted, abs=1e-4)
    beyond, outside = "reaches beyond the picture: cut at its edge", "is outside the picture: left out"
    assert [one.removeprefix("warning: labels/train/1.txt:").split(". The")[0] for one in findings] == [
        f"1: the box -0.100001, 0.35, 0.099999, 0.65 of cat {beyond}",
        f"3: the box 0.7, -0.1, 1.1, 1.1 of dog {beyond}",
        f"2: the box 1.15, 0.45, 1.25, 0.55 of dog {outside}",
    ]


def test_of_many_warnings_of_a_kind_a_handful_is_shown(tmp_path):
    boxes = [("cat", i, 3, i, 8, False) for i in range(9)]
    _, findings = told_of_coco(tmp_path, coco(boxes=boxes))
    assert len(findings) == 5
    assert findings[-1].endswith("And 4 more like this.")


def test_a_size_that_is_not_that_of_the_picture_is_told(tmp_path):
    files = {"top/Annotations/1.xml": voc(size="<width>10</width><height>20</height>")}
    files |= {"top/Annotations/2.xml": voc(size="<width>0</width><height>0</height>")}
    scenes, (finding,) = read(made(tmp_path, DATA_SETS["voc"] | files))
    assert finding == (
        "warning: top/Annotations/1.xml: the picture top/JPEGImages/1.png is 20 x 10, but said to be 10 x 20. "
        "Were its boxes drawn on it as it is now?"
    )
    assert (scenes[0].width, scenes[0].height) == (20, 10)


def test_broken_pictures_are_errors_and_the_rest_is_read(tmp_path):
    files = {"1.png": ONE[:40], "2.png": b"text", "3.png": b"", "4.png": picture(4)}
    scenes, findings = read(made(tmp_path, {"train.json": coco([*files]), **files}))
    assert [one.picture.key for one in scenes] == ["4.png"]
    errors = [one for one in findings if one.startswith("error")]
    assert [one.split(": ")[1] for one in errors] == ["1.png", "2.png", "3.png"]


def test_a_part_without_a_picture_is_an_error(tmp_path):
    scenes, findings = read_scenes(made(tmp_path, {"train.csv": b"filename,xmin,ymin,xmax,ymax,class\n"}) / "train.csv")
    assert not scenes
    assert [one.message for one in findings] == ["it must hold pictures, got none."]


@pytest.mark.parametrize("name", ["coco", "voc", "yolo", "csv"])
def test_no_damage_is_answered_by_anything_but_findings(tmp_path, name):
    """Bytes lost, changed and put in, anywhere but in pictures."""
    chance = random.Random(name)
    texts = [one for one in DATA_SETS[name] if not one.endswith(".png")]
    for trial in range(60):
        damaged = chance.choice(texts)
        content = bytearray(DATA_SETS[name][damaged])
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(content) + 1)
            content[place : place + chance.choice([0, 1, 5])] = chance.choice(
                [b"", b"0", b"-", b'"', b"<", b"\xff", b"\n", b"[", b"{"]
            )
        folder = made(tmp_path / str(trial), DATA_SETS[name] | {damaged: bytes(content)})
        with suppress(InputError):
            read(folder)


def test_gaps_between_the_ids_of_categories_are_told(tmp_path):
    categories = [CAT, {"id": 10**12, "name": "dog"}]
    scenes, findings = read(made(tmp_path, {"train.json": coco(annotations=box(), categories=categories), **PICTURES}))
    assert [box.label for box in scenes[0].boxes] == ["cat"]
    assert findings == [
        "warning: train.json: the ids of categories have gaps, 999,999,999,996 numbers in all, the first 4, 5, 6. "
        "Classes go by names, so they do no harm."
    ]
