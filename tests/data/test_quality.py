"""What is wrong between the parts of labelled data, and in one as a whole."""

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from regard.data.files import Files
from regard.data.quality import Labelled, check_parts, first_few, summary_table
from regard.data.typos import near_duplicates

FILES = Files(Path("train"), Path("dev"), Path("test"))
OFTEN = [Labelled((f"word{i}", "x"), ("PER", "LOC"), 2 * i + 1) for i in range(60)]


def told(max_length=None, **parts) -> list[str]:
    """Findings of a data set whose parts are few sentences behind what is often seen in training."""
    train = OFTEN + parts.pop("train", [])
    return [str(one) for one in check_parts(FILES, {"train": train, "dev": [], "test": [], **parts}, max_length)]


def sentence(text: str, *labels: str, line: int = 1, answer=None) -> Labelled:
    return Labelled(tuple(text.split()), labels, line, answer)


def test_clean_data_is_not_told():
    assert told(dev=[sentence("a b", "PER")], test=[sentence("c d", "LOC")], max_length=2) == []


def test_sentences_of_dev_and_test_in_train_are_told():
    dev = [sentence("word3 x", line=5), sentence("new", line=7), sentence("word4 x", line=9)]
    (finding, _) = told(dev=dev, train=[replace(OFTEN[3], line=999)])[::-1]
    assert finding == (
        "warning: dev:5: 2 of 3 sentences (66.7 %) are also in train, 0 of them of 5 tokens or more; first line 5 (there 7), "
        "line 9 (there 9). Take them out of one of the two, else the score promises too much."
    )
    assert "test:5: 2 of 3" in told(test=dev)[0]


def test_repeats_are_told_and_those_labelled_otherwise_by_their_lines():
    dev = [sentence("a b c d e", "PER", line=1), sentence("a b c d e", "PER", line=9), sentence("a b c d e", line=17)]
    repeated, contradiction = told(dev=dev)
    assert "dev:9: 2 of 3 sentences (66.7 %) repeat an earlier one, 2 of them of 5 tokens or more" in repeated
    assert "first line 9 (there 1), line 17 (there 1)" in repeated
    assert contradiction == (
        "warning: dev:17: these words are labelled otherwise in line 1: PER there, nothing here. Mend one."
    )


def test_the_same_labels_in_other_places_contradict():
    dev = [sentence("a b", "PER", answer=(0, 1)), sentence("a b", "PER", line=4, answer=(1, 2))]
    assert "dev:4: these words are labelled otherwise in line 1: PER there, PER here" in told(dev=dev)[1]


def test_long_sentences_are_told_the_first_few():
    findings = told(max_length=3, test=[sentence(f"{i} b c d", line=i) for i in range(1, 11)])
    assert len(findings) == 3
    assert findings[0].startswith("warning: test:1: the sentence has 4 tokens, more than the 3 that a model takes in")
    assert findings[2].endswith("Split it. And 7 more like this.")


def test_labels_that_training_has_not_are_told():
    (finding,) = told(test=[sentence("a", "PER", line=2), sentence("b", "EVENT", line=3), sentence("c", "EVENT", line=4)])
    assert finding == "warning: test:3: the label EVENT is not in the training file, so it can never be found."


def test_labels_seen_seldom_are_told():
    train = [sentence(f"e{i}", "EVENT", line=200 + i) for i in range(4)]
    assert "warning: train:200: the label EVENT stands 4 times in training; fewer than 5" in told(train=train)[0]
    assert "train:200: the label EVENT stands once" in told(train=train[:1])[0]
    assert not told(train=[*train, sentence("e5", "EVENT")])


def test_slips_are_told_where_they_first_stand():
    findings = told(dev=[sentence("a", "LOC", line=8), sentence("b", "PRE", line=9), sentence("c", "PRE", line=10)])
    assert findings[0] == (
        "warning: dev:9: the label PRE (2 times) looks like a slip for PER (60 times). Write PER if it is one."
    )


def test_a_part_alone_is_checked_too():
    files = Files(test=Path("test"))
    found = check_parts(files, {"test": [sentence("a b", "X"), sentence("a b", "X")]})
    assert [finding.line for finding in found] == [1]
    assert check_parts(Files(train=Path("t"), dev=Path("d")), {"train": [], "dev": [sentence("a", "X")]}) == []


@pytest.mark.parametrize(
    ("counts", "slips"),
    [
        ({"PER": 40, "PRE": 2}, {"PRE": "PER"}),
        ({"PER": 40, "PERSON": 4}, {"PERSON": "PER"}),
        ({"PERSON": 40, "PER": 4}, {"PER": "PERSON"}),
        ({"PER": 40, "PR": 1}, {}),
        ({"PERS": 40, "PER": 4, "PERZ": 4, "XPERS": 4}, {"PER": "PERS", "PERZ": "PERS", "XPERS": "PERS"}),
        ({"PER": 40, "PEX": 5}, {}),
        ({"PER": 40, "per": 39}, {"per": "PER"}),
        ({"creative-work": 9, "creative_work": 8}, {"creative_work": "creative-work"}),
        ({"creative-work": 9, "CreativeWork": 8}, {"CreativeWork": "creative-work"}),
        ({"ARG0": 400, "ARG1": 4, "ARGA": 1}, {}),
        ({"A0": 400, "A1": 4, "AM": 1}, {}),
        ({"ARG1": 40000, "ARG0": 30000, "R-ARG1": 700, "C-ARG0": 3, "R-ARG0": 700}, {}),
        ({"ARGM-ADV": 500, "ARGM-ADJ": 200, "R-ARGM-ADV": 32, "R-ARGM-ADJ": 1}, {}),
        ({"ARGM-TMP": 500, "ARGM-TPM": 2}, {"ARGM-TPM": "ARGM-TMP"}),
        ({"ARG1": 500, "ARG1-DSP": 5}, {}),
    ],
)  # fmt: skip
def test_labels_that_look_like_slips(counts, slips):
    assert dict(near_duplicates(Counter(counts))) == slips


def test_real_labels_have_no_slips(ner_data):
    from regard.data.entities import read_entities

    sentences, _ = read_entities(ner_data / "wnut17_en" / "train.conll")
    assert not near_duplicates(Counter(span.type for one in sentences for span in one.spans))


def test_checks_take_linear_time():
    same = [Labelled(("a", "b"), (f"label{i}",), i, i) for i in range(20_000)]
    other = [Labelled((f"{i}",), (f"a{chr(0x4E00 + i)}z",), i) for i in range(20_000)]
    start = time.perf_counter()
    findings = check_parts(FILES, {"train": same + other, "dev": same, "test": other}, 1)
    assert time.perf_counter() - start < 8
    assert len(findings) < 30


def test_the_table_is_aligned():
    parts = {"train": OFTEN[:3], "test": [sentence("a b c d", "LOC", "creative-work"), sentence("a")]}
    assert summary_table(parts) == [
        "       sentences  tokens  labels  mean length  longest",
        "train          3       6       6          2.0        2",
        "test           2       5       2          2.5        4",
        "",
        "label          train  test",
        "LOC                3     1",
        "PER                3     0",
        "creative-work      0     1",
    ]
    assert summary_table({"dev": []})[1].split() == ["dev", "0", "0", "0", "0.0", "0"]


def test_the_last_of_the_first_few_says_how_many_more():
    some = check_parts(FILES, {"train": [], "dev": [sentence(f"{i} b", line=i) for i in range(5)], "test": []}, 1)
    assert first_few(some, 9) == some
    assert first_few([]) == []
