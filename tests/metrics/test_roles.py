"""Role scores by hand, and equal to what srl-eval.pl printed."""

from collections import namedtuple

import pytest

from regard.data.roles import read_roles
from regard.metrics.roles import format_table, score_predicates, score_roles
from tests.conftest import SHARED

Proposition = namedtuple("Proposition", "predicate arguments sense", defaults=((), None))


def score(gold, predicted):
    return score_roles([[Proposition(0, tuple(gold))]], [[Proposition(0, tuple(predicted))]])


def counts(row):
    return row["num_right"], row["num_predicted"] - row["num_right"], row["num_gold"] - row["num_right"]


def test_by_hand():
    gold = [[Proposition(1, (("A0", 0, 1), ("A1", 2, 4)), "see.01")], [Proposition(2, (("A1", 0, 2),), "go.01")], []]
    predicted = [[Proposition(1, (("A0", 0, 1), ("A1", 2, 3)), "see.01")], [Proposition(2, (("A1", 0, 2),), "go.02")], []]
    result = score_roles(gold, predicted)
    assert (counts(result), counts(result["predicate_span"])) == ((2, 1, 1), (2, 0, 0))
    assert {label: counts(row) for label, row in result["per_type"].items()} == {"A0": (1, 0, 0), "A1": (1, 1, 1)}
    assert result["f1_percent"] == result["precision_percent"] == result["recall_percent"] == pytest.approx(200 / 3)
    assert (result["perfect_percent"], result["num_propositions"], result["num_sentences"]) == (50, 2, 3)


def test_the_official_table():
    folder = SHARED.parent / "oracles" / "srl_conll05"
    if not folder.is_dir():
        pytest.skip(f"no outputs of srl-eval.pl in {folder}")
    gold, predicted = ([one.propositions for one in read_roles(folder / f"{name}.props")[0]] for name in ("gold", "pred"))
    assert format_table(score_roles(gold, predicted)) == (folder / "expected.txt").read_text().splitlines()


def test_the_table_by_hand():
    assert format_table(score([("A0", 1, 2), ("R-AM-LOC", 3, 4)], [("A0", 1, 2)])) == [
        "Number of Sentences    :           1",
        "Number of Propositions :           1",
        "Percentage of perfect props :   0.00",
        "",
        "              corr.  excess  missed    prec.    rec.      F1",
        "------------------------------------------------------------",
        "   Overall        1       0       1   100.00   50.00   66.67",
        "----------",
        "        A0        1       0       0   100.00  100.00  100.00",
        "  R-AM-LOC        0       0       1     0.00    0.00    0.00",
        "------------------------------------------------------------",
        "         V        1       0       0   100.00  100.00  100.00",
        "------------------------------------------------------------",
    ]


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ("A1:1-2 C-A1:3-4", "A1:1-2 C-A1:3-4", (1, 0, 0)),
        ("A1:1-2 C-A1:3-4", "A1:1-2", (0, 1, 1)),
        ("A1:1-2 C-A1:3-4", "A1:1-2 C-A1:4-5", (0, 1, 1)),
        ("A1:1-4", "A1:1-2 C-A1:3-4", (0, 1, 1)),
        ("A1:1-2 A0:2-3 C-A1:3-4", "A1:1-2 A0:2-3", (1, 1, 1)),
        ("A1:1-2 A1:3-4 C-A1:5-6", "A1:1-2 A1:3-4 C-A1:5-6", (2, 0, 0)),
        ("A1:1-2 A1:3-4 C-A1:5-6", "A1:1-2 A1:3-4", (1, 1, 1)),
        ("A1:3-4", "C-A1:3-4", (1, 0, 0)),
        ("A1:1-2 C-A1:3-4", "C-A1:1-2 C-A1:3-4", (1, 0, 0)),
        ("A1:3-4", "C-A1:1-2 A1:3-4", (1, 1, 0)),
        ("R-A1:1-2 C-R-A1:3-4", "R-A1:1-2 C-R-A1:3-4", (1, 0, 0)),
        ("A1:1-2", "R-A1:1-2", (0, 1, 1)),
        ("A1:1-2 A1:1-2", "A1:1-2", (1, 0, 0)),
        ("", "", (0, 0, 0)),
    ],
)
def test_continued_arguments_are_one(gold, predicted, expected):
    def spans(text):
        return [(label, *map(int, ids.split("-"))) for label, ids in (part.rsplit(":") for part in text.split())]

    assert counts(score(spans(gold), spans(predicted))) == expected


def test_the_predicate_is_counted_apart_and_does_not_spoil_a_perfect_proposition():
    result = score([("V", 0, 2), ("C-V", 3, 4), ("A1", 4, 5)], [("A1", 4, 5)])
    assert (counts(result), counts(result["predicate_span"]), result["perfect_percent"]) == ((1, 0, 0), (0, 1, 1), 100)
    rest_only = score([("C-V", 0, 2)], [("V", 0, 2)])
    assert counts(rest_only["predicate_span"]) == (1, 0, 0)


def test_a_predicate_not_found_misses_its_arguments_and_one_too_many_is_passed_over():
    result = score_roles([[Proposition(0, (("A1", 1, 2),))]], [[Proposition(3, (("A0", 1, 2), ("A1", 1, 2)))]])
    assert (counts(result), counts(result["predicate_span"])) == ((0, 0, 1), (0, 0, 1))
    assert list(result["per_type"]) == ["A1"]


def test_nothing_at_all_is_zero():
    result = score_roles([[]], [[]])
    assert (result["f1_percent"], result["perfect_percent"], result["per_type"]) == (0, 0, {})
    assert set(score_predicates([[]], [[]]).values()) == {0}


def test_predicates_and_senses():
    gold = [[Proposition(0, (), "a.01"), Proposition(2, (), "b.01"), Proposition(4, (), None)], [Proposition(1, (), "c.01")]]
    predicted = [[Proposition(0, (), "a.01"), Proposition(2, (), "b.02"), Proposition(5, (), "c.01")], []]
    assert score_predicates(gold, predicted) == {
        "predicate_f1_percent": pytest.approx(100 * 2 * 2 / 7),
        "predicate_precision_percent": pytest.approx(100 * 2 / 3),
        "predicate_recall_percent": 50,
        "sense_accuracy_percent": pytest.approx(100 / 3),
    }


def test_sentences_must_be_as_many():
    with pytest.raises(ValueError, match="zip"):
        score_roles([[]], [])
