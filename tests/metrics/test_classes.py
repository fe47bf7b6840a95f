"""Classification scores, by hand."""

import numpy as np
import pytest

from regard.metrics.classes import calibration_error, score_classes

NAMES = ["a", "b", "c"]
SHARES = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.1, 0.3, 0.6], [0.2, 0.7, 0.1]])


def test_accuracy_and_confusion_are_counted():
    found = score_classes([0, 1, 2, 0], SHARES, NAMES)
    assert found["top1_percent"] == 50
    assert found["top5_percent"] == 100
    assert found["confusion"] == {"classes": NAMES, "counts": [[1, 1, 0], [1, 0, 0], [0, 0, 1]]}
    of_a = found["per_class"]["a"]
    assert (of_a["num_gold"], of_a["num_predicted"], of_a["num_right"]) == (2, 2, 1)
    assert found["mean_class_recall_percent"] == pytest.approx(50)


def test_top5_counts_the_five_most_probable():
    shares = np.tile(np.arange(7, 0, -1) / 28, (7, 1))
    found = score_classes(range(7), shares, list("abcdefg"))
    assert found["top5_percent"] == pytest.approx(500 / 7)


def test_a_picture_of_which_nothing_was_said_is_wrong():
    found = score_classes([0, 1], np.array([[0.0, 0, 0], [0, 1, 0]]), NAMES)
    assert found["top1_percent"] == 50
    assert sum(map(sum, found["confusion"]["counts"])) == 1


def test_equal_probabilities_are_one_answer():
    assert score_classes([0, 1, 2], np.full((3, 3), 1 / 3), NAMES)["top1_percent"] == pytest.approx(100 / 3)


def test_the_calibration_error_is_the_mean_distance_of_bins():
    # bin of 0.95: two answers, one right → |0.95 − 0.5|; bin of 0.55: one answer, right → 0.45
    error = calibration_error(np.array([0.95, 0.95, 0.55]), np.array([True, False, True]))
    assert error == pytest.approx((2 * 0.45 + 0.45) / 3)


def test_nothing_scores_nothing():
    found = score_classes([], np.zeros((0, 3)), NAMES)
    assert found["top1_percent"] == 0
    assert found["calibration_error_percent"] == 0
