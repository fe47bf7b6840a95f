"""Checks within the parts of a set of pictures, and between them."""

import io
from pathlib import Path

import pytest
from PIL import Image

from regard.data.files import Files
from regard.data.pictures import Picture, check_pictures, describe_pictures, find_pictures, read_pictures
from tests.data.pictures.examples import classes, content, encoded, tree


def checked(folder, **parts):
    """What is said of folders of these files."""
    for split, files in parts.items():
        tree(folder / split, files)
    found = Files(**{split: folder / split for split in parts})
    return [
        str(one).replace(str(folder), "")
        for one in check_pictures(found, {name: read_pictures(path)[0] for name, path in found.items()})
    ]


GOOD = classes({"rose": 6, "tulip": 6})


def test_good_parts_have_no_findings(tmp_path):
    assert not checked(tmp_path, train=GOOD, dev=classes({"rose": 2}, 50), test=classes({"tulip": 1}, 60))


def test_a_picture_in_two_classes_is_told_with_both_paths(tmp_path):
    (finding,) = checked(tmp_path, train=GOOD | {"tulip/same.bmp": content(0, "BMP")})
    assert finding == (
        "error: /train: the same picture is in more than one class: rose/0.png (rose) and tulip/same.bmp (tulip). "
        "Keep it in one."
    )


@pytest.mark.parametrize(("others", "level"), [(1998, "error"), (1999, "warning")])
def test_few_of_many_pictures_in_two_classes_do_not_stop_training(others, level):
    twice = [Picture(None, f"{label}/0.png", label, digest="0") for label in ("rose", "tulip")]
    single = [Picture(None, f"rose/{number}.png", "rose", digest=str(number)) for number in range(1, 1 + others)]
    found = check_pictures(Files(dev=Path("dev")), {"dev": twice + single})
    assert [str(one) for one in found] == [
        f"{level}: dev: the same picture is in more than one class: rose/0.png (rose) and tulip/0.png (tulip). Keep it in one."
    ]


def test_a_picture_of_another_class_in_train_is_a_contradiction(tmp_path):
    dev = {"tulip/a.png": content(0), "rose/b.png": content(1), "rose/c.png": content(50)}
    findings = checked(tmp_path, train=GOOD, dev=dev)
    assert findings == [
        "error: /dev: the same picture has another class in train: tulip/a.png (tulip) here, rose/0.png (rose) there. "
        "Mend the wrong one, or take both out.",
        "warning: /dev: 2 of 3 pictures (66.7 %) are also in train, such as rose/b.png (as rose/1.png). "
        "Take them out of one of the two, else the score promises too much.",
    ]
    train = GOOD | {"tulip/same.png": content(0)}
    assert not [one for one in checked(tmp_path / "known", train=train, dev=dev) if "another class" in one]


def test_a_picture_that_comes_again_is_counted(tmp_path):
    (finding,) = checked(tmp_path, train=GOOD | {"rose/a.png": content(1), "rose/b.png": content(1)})
    assert finding == (
        "warning: /train: 2 of 14 pictures (14.3 %) are the same as an earlier one of the same class, such as "
        "rose/a.png (as rose/1.png). Keep one of each."
    )


def test_pictures_of_other_shapes_are_others(tmp_path):
    shapes = {f"rose/{mode}{size[0]}.png": encoded(Image.new(mode, size)) for mode in ("L", "RGB") for size in ((6, 2), (2, 6))}
    assert not checked(tmp_path, train=shapes | classes({"rose": 3, "tulip": 7}))


def test_one_class_alone_is_nothing_to_tell_apart(tmp_path):
    assert checked(tmp_path, train=classes({"rose": 8})) == [
        "error: /train: there must be two classes or more to tell apart, got rose alone."
    ]


def test_a_picture_that_train_has_too_is_told(tmp_path):
    findings = checked(tmp_path, train=GOOD, dev=classes({"rose": 3}, 3), test=classes({"rose": 1}, 99))
    assert findings == [
        "warning: /dev: 3 of 3 pictures (100.0 %) are also in train, such as rose/0.png (as rose/3.png). "
        "Take them out of one of the two, else the score promises too much."
    ]


def test_a_class_that_train_lacks_is_an_error_with_a_path(tmp_path):
    dev = classes({"Rose": 2, "daisy": 1}, 50)
    assert checked(tmp_path, train=GOOD, dev=dev) == [
        "error: /dev/Rose/0.png: the class must be in training too, Rose is not (2 pictures here). Is it rose? "
        "Add pictures of it to train, or take it out.",
        "error: /dev/daisy/0.png: the class must be in training too, daisy is not (1 picture here). "
        "Add pictures of it to train, or take it out.",
    ]


def test_rare_classes_are_told_by_their_different_pictures(tmp_path):
    train = GOOD | {f"daisy/{number}.png": content(90 + number % 4) for number in range(6)}
    findings = checked(tmp_path, train=train)
    assert len(findings) == 2
    assert "warning: /train: the label daisy stands 4 times in training; fewer than 5 are seldom learnt." in findings[1]


def test_slips_in_names_and_uneven_classes_are_told(tmp_path):
    findings = checked(tmp_path, train=classes({"rose": 121, "Rose": 6}))
    assert len(findings) == 2
    assert "the label Rose (6 times) looks like a slip for rose (121 times)" in findings[0]
    assert "the largest class, rose, has 121 pictures, more than 20 times the 6 of Rose." in findings[1]
    assert not checked(tmp_path / "even", train=classes({"rose": 120, "tulip": 6}))


def test_parts_are_described(tmp_path):
    tree(
        tmp_path / "train",
        {"a/1.png": encoded(Image.new("L", (5, 2))), "b/1.png": encoded(Image.new("L", (3, 4))), "b/2.png": b""},
    )
    pictures, _ = read_pictures(tmp_path / "train")
    assert describe_pictures(pictures) == {"pictures": 2, "classes": 2, "smallest": "5 x 2", "largest": "3 x 4"}
    assert describe_pictures([]) == {"pictures": 0, "classes": 0}


@pytest.fixture(scope="module")
def flowers(vision_data):
    files = find_pictures(vision_data / "flowers5", {})
    return files, {split: read_pictures(path) for split, path in files.items()}


def test_the_flowers_have_known_duplicates(flowers):
    files, parts = flowers
    assert {split: len(pictures) for split, (pictures, _) in parts.items()} == {"train": 2_934, "dev": 736}
    assert not [one for _, findings in parts.values() for one in findings]
    twice, again = check_pictures(files, {split: pictures for split, (pictures, _) in parts.items()})
    assert "roses/15922772266_1167a06620.jpg (roses) and tulips/15922772266_1167a06620.jpg (tulips)" in twice.message
    assert again.message.startswith("2 of 2,934 pictures (<0.1 %) are the same as an earlier one of the same class, such as")
    assert {one.level for one in (twice, again)} == {"warning"}


def test_real_sets_are_read_whole(vision_data):
    (test,) = (path for split, path in find_pictures(vision_data / "fashion-mnist", {}).items() if split == "test")
    pictures, findings = read_pictures(test)
    assert not findings
    assert describe_pictures(pictures) == {"pictures": 10_000, "classes": 10, "smallest": "28 x 28", "largest": "28 x 28"}
    assert {one.label for one in pictures} == set("0123456789")
    pictures, findings = read_pictures(vision_data / "twemoji64" / "twemoji64.zip")
    assert not findings
    assert describe_pictures(pictures)["pictures"] == 1_911


def test_transparent_pixels_of_real_pictures_are_white(vision_data):
    from regard.data.pictures import input_pictures, pixels

    picture = next(one for one in input_pictures(str(vision_data / "twemoji64" / "twemoji64.zip")))
    image = Image.open(io.BytesIO(picture.store.read(picture.key))).convert("RGBA")
    clear = [place for place in ((0, 0), (63, 0), (0, 63), (63, 63)) if image.getpixel(place)[3] == 0]
    assert clear
    assert all(pixels(picture)[y, x].tolist() == [255, 255, 255] for x, y in clear)
