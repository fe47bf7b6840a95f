"""Kinds of errors, by hand."""

import random

import pytest

from regard.metrics.errors import KINDS, on_page, split_errors
from regard.metrics.spans import score_spans


def kinds(gold, predicted):
    found = split_errors([gold], [predicted])
    return {kind: found[kind] for kind in KINDS if found[kind]}


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ([("PER", 0, 2)], [("PER", 0, 2)], {"right": 1}),
        ([("PER", 0, 2)], [("PER", 0, 1)], {"boundary": 1}),
        ([("PER", 0, 2)], [("LOC", 0, 2)], {"type": 1}),
        ([("PER", 0, 2)], [("LOC", 1, 3)], {"both": 1}),
        ([("PER", 0, 2)], [], {"missed": 1}),
        ([], [("PER", 0, 2)], {"spurious": 1}),
        ([("PER", 0, 2)], [("PER", 2, 4)], {"missed": 1, "spurious": 1}),  # beside it is not over it
    ],
)
def test_one_span(gold, predicted, expected):
    assert kinds(gold, predicted) == expected


def test_one_prediction_over_two_entities_is_one_error_and_one_missed():
    assert kinds([("PER", 0, 2), ("PER", 3, 4)], [("PER", 0, 4)]) == {"boundary": 1, "missed": 1}


def test_an_entity_cut_in_two_is_one_error_and_one_spurious():
    found = split_errors([[("ORG", 0, 5)]], [[("ORG", 0, 1), ("LOC", 1, 5)]])
    assert (found["boundary"], found["both"], found["spurious"]) == (1, 0, 1)  # the same type goes before more words
    assert found["per_type"]["LOC"] == {kind: int(kind == "spurious") for kind in KINDS}


def test_of_two_that_fit_alike_the_one_that_shares_more_is_taken():
    found = split_errors([[("PER", 0, 4)]], [[("LOC", 0, 1), ("ORG", 1, 3)]])
    assert (found["both"], found["spurious"]) == (1, 1)
    assert found["per_type"]["LOC"]["spurious"] == 1


def test_same_borders_go_before_the_same_type():
    found = split_errors([[("PER", 0, 2)]], [[("LOC", 0, 2), ("PER", 0, 1)]])
    assert (found["type"], found["boundary"], found["spurious"]) == (1, 0, 1)


def test_types_that_are_taken_for_one_another():
    gold = [[("PER", 0, 1), ("LOC", 2, 3)], [("PER", 0, 1)], [("PER", 0, 1)]]
    predicted = [[("ORG", 0, 1), ("PER", 2, 3)], [("ORG", 0, 1)], [("ORG", 0, 2)]]
    found = split_errors(gold, predicted)
    assert found["confusion"] == {"LOC": {"PER": 1}, "PER": {"ORG": 2}}
    assert found["per_type"]["PER"] == {"right": 0, "boundary": 0, "type": 2, "both": 1, "missed": 0, "spurious": 0}


def test_a_page_says_what_types_have_most_errors_and_which_are_mistaken():
    gold = [[("PER", 0, 1), ("LOC", 2, 3)], [("PER", 0, 1)], [("ORG", 0, 1)], [*((f"T{i}", i, i + 1) for i in range(9))]]
    predicted = [[("ORG", 0, 1), ("PER", 2, 3)], [("ORG", 0, 1)], [("ORG", 0, 1)], [*((f"T{i}", i, i + 1) for i in range(9))]]
    found = split_errors(gold, predicted)
    told = on_page({"errors": found, "errors_per_type": found["per_type"], "confusion": found["confusion"]})
    assert told["errors"] == "0 boundary, 3 type, 0 both, 0 missed, 0 spurious"
    assert list(told)[1:3] == ["errors of PER", "errors of LOC"]
    assert told["errors of PER"] == "0 boundary, 2 type, 0 both, 0 missed, 0 spurious"
    assert told["types mistaken"] == "PER read as ORG 2, LOC read as PER 1"
    assert len(told) == 4  # types without errors are not named
    right = split_errors(gold, gold)
    assert "types mistaken" not in on_page({"errors": right, "errors_per_type": right["per_type"], "confusion": {}})


def test_sentences_do_not_mix():
    found = split_errors([[("PER", 0, 1)], []], [[], [("PER", 0, 1)]])
    assert (found["missed"], found["spurious"]) == (1, 1)


def test_each_span_is_counted_once():
    """Random spans that overlap, cross and lie in one another; the sums are those of the strict score."""
    draw = random.Random(0)

    def spans():
        starts = (draw.randrange(12) for _ in range(draw.randrange(6)))
        return [(draw.choice("ABC"), start, start + draw.randrange(1, 5)) for start in starts]

    gold, predicted = [spans() for _ in range(200)], [spans() for _ in range(200)]
    found, score = split_errors(gold, predicted), score_spans(gold, predicted)
    paired = found["right"] + found["boundary"] + found["type"] + found["both"]
    assert found["right"] == score["num_right"] > 0
    assert paired + found["missed"] == score["num_gold"]
    assert paired + found["spurious"] == score["num_predicted"]
    assert {kind: sum(each[kind] for each in found["per_type"].values()) for kind in KINDS} == {k: found[k] for k in KINDS}
    for kind, each in found["per_type"].items():
        assert sum(each.values()) - each["spurious"] == score["per_type"][kind]["num_gold"]
    assert sum(sum(row.values()) for row in found["confusion"].values()) == found["type"]
