"""Span scores by hand, and equal to seqeval's."""

import random
import warnings

import pytest

from regard.data.spans import Span, spans_of
from regard.metrics.spans import score_spans


def test_by_hand():
    gold = [[Span("PER", 0, 2), Span("LOC", 3, 4)], [Span("PER", 0, 1)]]
    predicted = [[Span("PER", 0, 2), Span("PER", 3, 4)], [Span("PER", 0, 2)]]
    score = score_spans(gold, predicted)
    assert score["precision_percent"] == pytest.approx(100 / 3)
    assert score["recall_percent"] == pytest.approx(100 / 3)
    assert score["f1_percent"] == pytest.approx(100 / 3)
    assert score["per_type"]["PER"]["precision_percent"] == pytest.approx(100 / 3)
    assert score["per_type"]["PER"]["recall_percent"] == 50
    assert score["per_type"]["LOC"] == {
        "f1_percent": 0.0,
        "precision_percent": 0.0,
        "recall_percent": 0.0,
        "num_gold": 1,
        "num_predicted": 0,
        "num_right": 0,
    }


def test_nothing_to_find_and_nothing_found_is_zero():
    assert score_spans([[]], [[]])["f1_percent"] == 0


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_seqeval(seed):
    from seqeval.metrics import f1_score, precision_score, recall_score
    from seqeval.scheme import IOB2

    from regard.data.spans import to_bio

    draw = random.Random(seed)

    def sequence(length):
        return to_bio(spans_of([draw.choice(["O", "O", "B-A", "I-A", "B-B", "I-B"]) for _ in range(length)]), length)

    lengths = [draw.randint(1, 12) for _ in range(200)]
    gold, predicted = [sequence(n) for n in lengths], [sequence(n) for n in lengths]
    ours = score_spans(list(map(spans_of, gold)), list(map(spans_of, predicted)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, theirs in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
            expected = 100 * theirs(gold, predicted, mode="strict", scheme=IOB2)
            assert ours[f"{name}_percent"] == pytest.approx(expected, abs=1e-9)
