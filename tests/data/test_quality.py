"""What is wrong between the parts of labelled data, and in one as a whole."""

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from regard.data.files import Files
from regard.data.findings import MOST_LISTED, Finding, first_few, num_findings
from regard.data.quality import Fact, Labelled, check_parts
from regard.data.typos import near_duplicates

FILES = Files(Path("train"), Path("dev"), Path("test"))
OFTEN = [Labelled((f"word{i}", "x"), ("PER", "LOC"), 2 * i + 1) for i in range(60)]


def told(max_length=None, **parts) -> list[str]:
    """Findings of a data set whose parts are few sentences behind what is often seen in training."""
    train = OFTEN + parts.pop("train", [])
    return [str(one) for one in check_parts(FILES, {"train": train, "dev": [], "test": [], **parts}, max_length)]


def sentence(text: str, *facts: Fact | str, line: int = 1) -> Labelled:
    """A label alone is that of the first token."""
    facts = tuple(Fact(fact, 0, 1) if isinstance(fact, str) else fact for fact in facts)
    return Labelled(tuple(text.split()), tuple(fact.label for fact in facts), line, facts)


def test_clean_data_is_not_told():
    assert told(dev=[sentence("a b", "PER")], test=[sentence("c d", "LOC")], max_length=2) == []


def test_sentences_of_dev_and_test_in_train_are_told():
    dev = [sentence("word3 x", line=5), sentence("new", line=7), sentence("word4 x", line=9)]
    (finding, _) = told(dev=dev, train=[replace(OFTEN[3], line=999)])[::-1]
    assert finding == (
        "warning: dev:5: 2 of 3 sentences (66.7 %) are also in train, none with 5 tokens or more: lines 5 (as 7), 9 (as 9). "
        "Take them out of one of the two files, else the score promises too much."
    )
    assert "test:5: 2 of 3" in told(test=dev)[0]
    assert (
        "1 of 1 sentence (100.0 %) is also in train, none with 5 tokens or more: line 5 (as 7). Take" in told(test=dev[:1])[0]
    )


def test_repeats_are_told_and_those_labelled_otherwise_by_their_lines():
    dev = [sentence("a b c d e", "PER", line=1), sentence("a b c d e", "PER", line=9), sentence("a b c d e", line=17)]
    repeated, contradiction = told(dev=dev)
    assert repeated == (
        "warning: dev:9: 2 of 3 sentences (66.7 %) repeat an earlier one, 2 with 5 tokens or more: lines 9 (as 1), 17 (as 1). "
        "Keep one of each, unless the text repeats itself."
    )
    assert contradiction == (
        'warning: dev:17: line 1 has the same words with other labels: "a" is PER there, nothing here. Mend one.'
    )


def test_of_many_repeats_the_first_are_shown():
    dev = [sentence(f"{i}", line=i) for i in range(1, 5000)] + [sentence("1", line=9000 + i) for i in range(5)]
    (finding,) = told(dev=dev[:5000])
    assert "1 of 5,000 sentences (<0.1 %) repeats an earlier one, none with 5 tokens or more: line 9000 (as 1). " in finding
    assert "lines 9000 (as 1), 9001 (as 1), 9002 (as 1) and 2 more. Keep" in told(dev=dev)[0]


def contradiction(there: tuple[Fact, ...], here: tuple[Fact, ...], text: str = "Ada met Bob in May") -> str:
    findings = told(dev=[sentence(text, *there), sentence(text, *here, line=4)])
    (finding,) = (one for one in findings if "other labels" in one)
    return finding.removeprefix("warning: dev:4: line 1 has the same words with other labels: ").removesuffix(" Mend one.")


def test_a_contradiction_is_told_by_what_differs():
    ada, bob = Fact("PER", 0, 1), Fact("PER", 2, 3)
    assert contradiction((ada, bob), (bob, ada._replace(stop=2))) == (
        '"Ada" is PER there, nothing here; "Ada met" is nothing there, PER here.'
    )
    assert contradiction((ada,), (ada._replace(label="LOC"),)) == '"Ada" is PER there, LOC here.'
    assert contradiction((ada,), (bob, ada._replace(label="LOC"), Fact("DATE", 3, 5))) == (
        '"Ada" is PER there, LOC here; "Bob" is nothing there, PER here; and 1 more.'
    )


def test_roles_are_told_with_their_predicate():
    sense, role = Fact("meet.02", 1, 2, 1), Fact("ARG0", 0, 1, 1)
    assert contradiction((sense, role), (sense._replace(label="meet.01"), role)) == '"met" is meet.02 there, meet.01 here.'
    assert contradiction((sense, role), (sense,)) == '"Ada" of "met" is ARG0 there, nothing here.'


def test_long_words_are_quoted_in_part():
    text = " ".join(f"word{i}" for i in range(40))
    quoted = contradiction((Fact("X", 0, 40),), (), text).split(" is ")[0]
    assert quoted == '"word0 word1 word2 word3 word4 word5 … d38 word39"'


def test_long_sentences_are_told_the_first_few():
    findings = told(max_length=3, test=[sentence(f"{i} b c d", line=i) for i in range(1, 11)])
    assert len(findings) == 3
    assert findings[0].startswith("warning: test:1: the sentence has 4 tokens, more than 3. See that")
    assert findings[2].endswith("encoder reads it in windows. And 7 more like this.")


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


def test_what_is_too_long_to_be_a_label_is_not_compared():
    assert near_duplicates(Counter({"x" * 3000: 50, "x" * 2999: 1, "PER": 50, "PERS": 1})) == [("PERS", "PER")]


def test_real_labels_have_no_slips(ner_data):
    from regard.data.entities import read_entities

    sentences, _ = read_entities(ner_data / "wnut17_en" / "train.conll")
    assert not near_duplicates(Counter(span.type for one in sentences for span in one.spans))


def test_checks_take_linear_time():
    def seconds(size):
        same = [Labelled(("a", "b"), (f"label{i}",), i, (Fact(f"label{i}", 0, 1),)) for i in range(size)]
        other = [Labelled((f"{i}",), (f"a{chr(0x4E00 + i)}z",), i) for i in range(size)]
        start = time.process_time()  # whatever else the machine does
        findings = check_parts(FILES, {"train": same + other, "dev": same, "test": other}, 1)
        assert len(findings) < 30
        return time.process_time() - start

    assert seconds(20_000) < 20 * seconds(2_000) + 1  # a square would be 100 times


def test_of_a_kind_the_first_are_shown_and_all_are_listed():
    some = [Finding("warning", Path("dev"), line, f"of {line}") for line in range(1, 6)]
    assert first_few(some, 9) == some
    assert first_few([]) == []
    shown = first_few(some)
    assert [str(one) for one in shown][1:] == ["warning: dev:2: of 2", "warning: dev:3: of 3 And 2 more like this."]
    assert [one["line"] for finding in shown for one in finding.listed()] == [1, 2, 3, 4, 5]
    assert num_findings(shown) == 5
    again = first_few(first_few(some, 2) + some, 2)
    assert [one["line"] for finding in again for one in finding.listed()] == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]


def test_of_very_many_the_first_are_held_and_the_number_of_the_rest_is_told():
    def many():
        for line in range(5 * MOST_LISTED):
            yield Finding("error", Path("train"), line + 1, "wrong")

    for most in (3, MOST_LISTED):
        shown = first_few(many(), most)
        *listed, last = [one for finding in shown for one in finding.listed()]
        assert (len(shown), len(listed), num_findings(shown)) == (most, MOST_LISTED, 5 * MOST_LISTED)
        assert last["message"] == "… and 4,000 more like these, which are not listed."
