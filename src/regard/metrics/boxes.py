"""COCO's figures of object detection, the same as pycocotools', and the confidence from which a found box is worth keeping.

A crowd region is neither found nor missed, and a box that lies in it for at least the share asked for is not counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from faster_coco_eval import COCO

FIGURES = (
    *("map_percent", "map50_percent", "map75_percent", "map_small_percent", "map_medium_percent", "map_large_percent"),
    *("mar_1_percent", "mar_10_percent", "mar_100_percent", "mar_small_percent", "mar_medium_percent", "mar_large_percent"),
)
"""As pycocotools orders them. Precision: its mean over IoU 0.50, 0.55 … 0.95; at 0.50; at 0.75; for boxes under 32², under 96²
and above, in pixels. Recall, over the same IoUs: of the 1, 10 and 100 surest boxes of a class and picture; then by size."""
_UNDECIDED = 0.5


class Region(Protocol):
    """A class and where it is, in pixels."""

    @property
    def label(self) -> str: ...
    @property
    def xmin(self) -> float: ...
    @property
    def ymin(self) -> float: ...
    @property
    def xmax(self) -> float: ...
    @property
    def ymax(self) -> float: ...


class Truth(Region, Protocol):
    """What there is; `area` is that of the object's mask, None where only its box is known."""

    @property
    def is_crowd(self) -> bool: ...
    @property
    def area(self) -> float | None: ...


class Found(Region, Protocol):
    """What was found."""

    @property
    def confidence(self) -> float: ...


class Threshold(NamedTuple):
    """F1, all classes together, when the boxes of at least this confidence are kept."""

    confidence: float
    f1_percent: float


def score_boxes(
    truth: Sequence[Sequence[Truth]], found: Sequence[Sequence[Found]], names: Sequence[str] = ()
) -> dict[str, Any]:
    """The twelve figures, a picture a row, and two of each class: those of `names`, then others in `truth`.

    As in pycocotools a figure is -1 where there is nothing to find, and classes of -1 are left out of the means.
    """
    from faster_coco_eval import COCOeval_faster

    gold = Counter(one.label for boxes in truth for one in boxes if not one.is_crowd)
    kinds = list(dict.fromkeys([*names, *(one.label for boxes in truth for one in boxes)]))
    run = COCOeval_faster(_as_coco(truth, kinds, _of_truth), _as_coco(found, kinds, _of_found), "bbox")
    run.run()
    precision = run.eval["precision"][..., 0, -1]
    per_class = {
        kind: {
            "map_percent": _percent(precision[:, :, place].mean()),
            "map50_percent": _percent(precision[0, :, place].mean()),
            "num_gold": gold[kind],
        }
        for place, kind in enumerate(kinds)
    }
    return {**dict(zip(FIGURES, map(_percent, run.stats), strict=True)), "per_class": per_class}


def best_threshold(truth: Sequence[Sequence[Truth]], found: Sequence[Sequence[Found]], iou: float = 0.5) -> Threshold:
    """The highest confidence of those that give the best F1; 0.5 where no box found is right.

    A box is right where it overlaps one of its class by `iou`; boxes are paired as COCO pairs them, the surest first.
    """
    num_gold = sum(not one.is_crowd for boxes in truth for one in boxes)
    verdicts = sorted(_verdicts(truth, found, iou), reverse=True)
    best, num_right = Threshold(_UNDECIDED, 0.0), 0
    for number, (confidence, is_right) in enumerate(verdicts, 1):
        num_right += is_right
        is_cut = number == len(verdicts) or verdicts[number][0] < confidence
        f1 = 200 * num_right / (number + num_gold)
        if is_cut and f1 > best.f1_percent:
            best = Threshold(confidence, f1)
    return best


def _as_coco(pictures: Sequence[Sequence[Any]], kinds: Sequence[str], also: Callable[[Any], dict[str, Any]]) -> COCO:
    """Boxes of known kinds as COCO's JSON has them. Its numbers are from 1: 0 stands for none when boxes are paired."""
    from faster_coco_eval import COCO

    numbers = {kind: number for number, kind in enumerate(kinds, 1)}
    rows = [(number, one) for number, boxes in enumerate(pictures, 1) for one in boxes if one.label in numbers]
    annotations = [
        {"id": i, "image_id": number, "category_id": numbers[one.label], "bbox": _xywh(one), **also(one)}
        for i, (number, one) in enumerate(rows, 1)
    ]
    return COCO(
        {
            "images": [{"id": number} for number in range(1, len(pictures) + 1)],
            "categories": [{"id": number, "name": kind} for kind, number in numbers.items()],
            "annotations": annotations,
        }
    )


def _of_truth(one: Truth) -> dict[str, Any]:
    return {"iscrowd": int(one.is_crowd), "area": _area(one) if one.area is None else one.area}


def _of_found(one: Found) -> dict[str, Any]:
    return {"iscrowd": 0, "area": _area(one), "score": one.confidence}


def _xywh(one: Region) -> list[float]:
    return [one.xmin, one.ymin, one.xmax - one.xmin, one.ymax - one.ymin]


def _area(one: Region) -> float:
    return (one.xmax - one.xmin) * (one.ymax - one.ymin)


def _percent(value: float) -> float:
    return 100 * float(value) if value > -1 else -1.0


def found_and_missed(truth: Sequence[Truth], found: Sequence[Found], iou: float = 0.5) -> tuple[int, int]:
    """Boxes of one picture that are not there, and those that are and were not found."""
    verdicts = [is_right for _, is_right in _verdicts([truth], [found], iou)]
    return verdicts.count(False), sum(not one.is_crowd for one in truth) - verdicts.count(True)


def _verdicts(truth: Sequence[Sequence[Truth]], found: Sequence[Sequence[Found]], iou: float) -> Iterator[tuple[float, bool]]:
    """The confidence of each box found, and whether it is right; of those in a crowd nothing."""
    for boxes, answers in zip(truth, found, strict=True):
        by_label = defaultdict[str, list[Found]](list)
        for answer in sorted(answers, key=lambda one: -one.confidence):
            by_label[answer.label].append(answer)
        for label, given in by_label.items():
            wanted = [one for one in boxes if one.label == label]
            for one, is_right in zip(given, _paired(given, wanted, iou), strict=True):
                if is_right is not None:
                    yield one.confidence, is_right


def _paired(given: Sequence[Found], wanted: Sequence[Truth], iou: float) -> Iterator[bool | None]:
    """Whether each box, in their order, is right: None for one that has no box of its own but lies in a crowd."""
    import numpy as np
    from faster_coco_eval import mask

    if not wanted:
        yield from [False] * len(given)
        return
    is_crowd = np.array([one.is_crowd for one in wanted])
    is_free = ~is_crowd
    for row in mask.iou([*map(_xywh, given)], [*map(_xywh, wanted)], is_crowd.astype(int).tolist()):
        place = int(np.where(is_free, row, -1).argmax())
        if is_free[place] and row[place] >= iou:
            is_free[place] = False
            yield True
        else:
            yield None if (row[is_crowd] >= iou).any() else False
