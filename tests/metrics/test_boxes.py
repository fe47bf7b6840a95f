"""COCO's figures by hand and equal to pycocotools', on random boxes and on real ones; the best threshold."""

import contextlib
import io
import json
import random
import zipfile
from collections import namedtuple

import numpy as np
import pytest

from regard.metrics.boxes import FIGURES, best_threshold, found_and_missed, score_boxes
from tests.conftest import SHARED

Truth = namedtuple("Truth", "label xmin ymin xmax ymax is_crowd area", defaults=(False, None))
Found = namedtuple("Found", "label xmin ymin xmax ymax confidence")
FIRST, SECOND, FAR = (0, 0, 10, 10), (20, 0, 30, 10), (50, 50, 60, 60)


def reference(truth, found, kinds):
    """What pycocotools says: its evaluation, run."""
    pytest.importorskip("pycocotools", reason="needs pycocotools (regard[dev])")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def row(one, picture, number, **more):
        box = [one.xmin, one.ymin, one.xmax - one.xmin, one.ymax - one.ymin]
        return {"id": number, "image_id": picture, "category_id": 7 * kinds.index(one.label) + 3, "bbox": box, **more}

    with contextlib.redirect_stdout(io.StringIO()):
        gold = COCO()
        gold.dataset = {
            "images": [{"id": picture} for picture in range(len(truth))],
            "categories": [{"id": 7 * place + 3, "name": kind} for place, kind in enumerate(kinds)],
            "annotations": [
                row(one, picture, 1000 * picture + i + 1, iscrowd=int(one.is_crowd), area=area_of(one))
                for picture, boxes in enumerate(truth)
                for i, one in enumerate(boxes)
            ],
        }
        gold.createIndex()
        answers = [
            row(one, picture, 0, score=one.confidence)
            for picture, boxes in enumerate(found)
            for one in boxes
            if one.label in kinds
        ]
        run = COCOeval(gold, gold.loadRes(answers), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


def area_of(one):
    return (one.xmax - one.xmin) * (one.ymax - one.ymin) if one.area is None else one.area


def assert_equal(truth, found, names=()):
    kinds = list(dict.fromkeys([*names, *(one.label for boxes in truth for one in boxes)]))
    result, run = score_boxes(truth, found, names), reference(truth, found, kinds)
    percent = np.where(run.stats > -1, 100 * run.stats, -1)
    np.testing.assert_allclose([result[figure] for figure in FIGURES], percent, rtol=0, atol=1e-9)
    assert list(result["per_class"]) == kinds
    for place, row in enumerate(result["per_class"].values()):
        precision = run.eval["precision"][:, :, place, 0, 2]
        wanted = [-1 if (some == -1).all() else 100 * some.mean() for some in (precision, precision[0])]
        np.testing.assert_allclose([row["map_percent"], row["map50_percent"]], wanted, rtol=0, atol=1e-9)
    return result


def random_boxes(chance, num_pictures, kinds, most=12):
    """Truth of all sizes, a tenth crowds, some with a mask's area; found: moved truth, doubles, tied confidences, noise."""
    truth, found = [], []
    for _ in range(num_pictures):
        boxes, answers = [], []
        for _ in range(chance.randint(0, most)):
            size = chance.choice([8, 40, 120, 300])
            x, y, w, h = chance.random() * 400, chance.random() * 400, size * (0.3 + chance.random()), size * chance.random()
            area = chance.choice([None, w * h * chance.random()])
            boxes.append(Truth(chance.choice(kinds), x, y, x + w, y + h, chance.random() < 0.1, area))
        for one in boxes * chance.randint(0, 2):
            shift, stretch = chance.gauss(0, 0.1), 1 + chance.gauss(0, 0.1)
            w, h = one.xmax - one.xmin, one.ymax - one.ymin
            x, y = one.xmin + shift * w, one.ymin + shift * h
            label = one.label if chance.random() < 0.9 else chance.choice(kinds)
            answers.append(Found(label, x, y, x + w * stretch, y + h * abs(stretch), round(chance.random(), 2)))
        truth.append(boxes)
        found.append(answers)
    return truth, found


def test_by_hand():
    truth = [[Truth("a", *FIRST), Truth("a", *SECOND), Truth("b", *FAR)], []]
    found = [[Found("a", *FIRST, 0.9), Found("a", 20, 0, 26, 10, 0.8), Found("b", *FAR, 0.5)], [Found("b", *FAR, 0.6)]]
    result = score_boxes(truth, found, ["b", "a", "c"])
    half = 100 * 51 / 101
    assert result["per_class"] == {
        "b": {"map_percent": pytest.approx(50), "map50_percent": pytest.approx(50), "num_gold": 1},
        "a": {"map_percent": pytest.approx((3 * 100 + 7 * half) / 10), "map50_percent": pytest.approx(100), "num_gold": 2},
        "c": {"map_percent": -1, "map50_percent": -1, "num_gold": 0},
    }
    assert result["map50_percent"] == pytest.approx(75)
    assert result["map75_percent"] == pytest.approx((50 + half) / 2)
    assert result["map_small_percent"] == pytest.approx(result["map_percent"])
    assert result["map_large_percent"] == result["mar_medium_percent"] == -1
    assert result["mar_1_percent"] == pytest.approx((50 + 100) / 2)


@pytest.mark.parametrize("seed", range(12))
def test_random_boxes_score_as_in_pycocotools(seed):
    chance = random.Random(seed)
    kinds = ["a", "b", "c", "d"][: 1 + seed % 4]
    truth, found = random_boxes(chance, 2 + 3 * seed, kinds)
    result = assert_equal(truth, found, [*kinds[::-1], "never seen"])
    assert sum(row["num_gold"] for row in result["per_class"].values()) == sum(not b.is_crowd for row in truth for b in row)


def test_only_the_hundred_surest_count():
    truth = [[Truth("a", 10 * i, 0, 10 * i + 9, 9) for i in range(130)]]
    found = [[Found("a", *one[1:5], (i * 37 % 130) / 130) for i, one in enumerate(truth[0])]]
    assert assert_equal(truth, found)["mar_100_percent"] == pytest.approx(100 * 100 / 130)


@pytest.mark.parametrize(
    ("truth", "found"),
    [
        ([], []),
        ([[]], [[]]),
        ([[]], [[Found("a", *FIRST, 0.5)]]),
        ([[Truth("a", *FIRST)]], [[Found("other", *FIRST, 0.5)]]),
        ([[Truth("a", *FIRST, True)]], [[Found("a", *FIRST, 0.5)]]),
        ([[Truth("a", *FIRST)]], [[Found("a", 5, 5, 5, 5, 0.5)]]),
    ],
)
def test_nothing_to_find_or_nothing_found_is_no_fault(truth, found):
    result = score_boxes(truth, found)
    assert result["map_percent"] == (0 if any(not one.is_crowd for boxes in truth for one in boxes) else -1)
    assert best_threshold(truth, found) == (0.5, 0)


def test_no_box_found_scores_as_in_pycocotools():
    truth, found = [[Truth("a", *FIRST)], []], [[], [Found("a", *FIRST, 0.1)]]
    assert assert_equal(truth, found)["map_percent"] == 0


def test_real_pictures_with_crowds_score_as_in_pycocotools():
    truth = coco_openlicence33()
    chance = random.Random(0)
    found = [[moved(one, chance) for one in boxes if chance.random() < 0.9] for boxes in truth]
    result = assert_equal(truth, found)
    assert sum(row["num_gold"] for row in result["per_class"].values()) == 243
    assert 20 < result["map_percent"] < 90
    perfect = [[Found(*one[:5], 1.0) for one in boxes] for boxes in truth]
    assert assert_equal(truth, perfect)["map_percent"] == pytest.approx(100)


def coco_openlicence33():
    path = SHARED / "vision" / "coco-openlicence33" / "coco33.zip"
    if not path.is_file():
        pytest.skip(f"no real data in {path}; set REGARD_DATA to a folder that has vision/coco-openlicence33")
    with zipfile.ZipFile(path) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".json"))
        content = json.loads(archive.read(name))
    truth = {one["id"]: [] for one in content["images"]}
    for one in content["annotations"]:
        x, y, w, h = one["bbox"]
        truth[one["image_id"]].append(Truth(str(one["category_id"]), x, y, x + w, y + h, bool(one["iscrowd"]), one["area"]))
    return list(truth.values())


def moved(one, chance):
    w, h = one.xmax - one.xmin, one.ymax - one.ymin
    x, y = one.xmin + w * chance.gauss(0, 0.07), one.ymin + h * chance.gauss(0, 0.07)
    return Found(one.label, x, y, x + w, y + h, chance.random())


def test_the_best_threshold_by_hand():
    truth = [[Truth("a", *FIRST), Truth("a", *SECOND)], [Truth("b", *FAR)]]
    found = [
        [Found("a", *FIRST, 0.9), Found("a", *FIRST, 0.8), Found("a", *SECOND, 0.7), Found("b", *FIRST, 0.7)],
        [Found("a", *FAR, 0.6), Found("b", *FIRST, 0.1)],
    ]
    assert best_threshold(truth, found) == (0.7, pytest.approx(400 / 7))


def test_what_lies_in_a_crowd_is_not_counted():
    truth = [[Truth("a", *FIRST), Truth("a", 0, 0, 100, 100, True)]]
    inside, outside = Found("a", *FAR, 0.9), Found("a", 90, 90, 130, 130, 0.8)
    right = Found("a", *FIRST, 0.2)
    assert best_threshold(truth, [[inside, inside, right]]) == (0.2, 100)
    assert best_threshold(truth, [[outside, right]]) == (0.2, pytest.approx(200 / 3))


@pytest.mark.parametrize("iou", [0.5, 0.75])
def test_the_best_threshold_counts_as_pycocotools(iou):
    """At each confidence F1 follows from how COCO paired the boxes of at least that confidence."""
    truth, found = random_boxes(random.Random(5), 20, ["a", "b"])
    best = best_threshold(truth, found, iou)
    scores = {one.confidence: f1_of_reference(truth, found, one.confidence, iou) for boxes in found for one in boxes}
    assert best.f1_percent == pytest.approx(max(scores.values()))
    assert best.confidence == max(one for one, f1 in scores.items() if f1 == pytest.approx(best.f1_percent))


def f1_of_reference(truth, found, confidence, iou):
    kept = [[one for one in boxes if one.confidence >= confidence] for boxes in found]
    run = reference(truth, kept, ["a", "b"])
    place = int(np.argmin(np.abs(run.params.iouThrs - iou)))
    num_kept = num_right = 0
    for one in run.evalImgs:
        if one is not None and one["aRng"] == run.params.areaRng[0]:
            counted = ~one["dtIgnore"][place].astype(bool)
            num_kept += counted.sum()
            num_right += (counted & (one["dtMatches"][place] > 0)).sum()
    num_gold = sum(not one.is_crowd for boxes in truth for one in boxes)
    return 200 * num_right / (num_kept + num_gold)


def test_what_is_false_and_what_is_missed_is_counted():
    there = [Truth("a", *FIRST), Truth("a", *SECOND), Truth("b", *FIRST), Truth("a", *FAR, True)]
    right, twice = Found("a", 0, 0, 10, 9, 0.9), Found("a", 0, 0, 9, 10, 0.8)
    other_class, in_crowd = Found("a", 0, 0, 1, 1, 0.7), Found("a", 52, 52, 58, 58, 0.6)
    assert found_and_missed(there, [right, twice, other_class, in_crowd]) == (2, 2)
    assert found_and_missed([], []) == (0, 0)
    assert found_and_missed(there, []) == (0, 3)
