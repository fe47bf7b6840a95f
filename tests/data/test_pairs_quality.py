"""What is told of sentence pairs that can be read."""

from pathlib import Path

import pytest

from regard.data.files import Files
from regard.data.pairs import Languages, Pair, check_pairs, read_pairs
from regard.data.pairs.pharaoh import parse_pharaoh, to_pharaoh
from regard.errors import InputError
from tests.conftest import SHARED

GOOD = [(f"one {i}", f"eins {i}") for i in range(10)]


def read(folder: Path, pairs: list[tuple[str, str]]) -> tuple[list[Pair], list[str]]:
    path = folder / "a.tsv"
    path.write_text("".join(f"{source}\t{target}\n" for source, target in pairs))
    kept, findings = read_pairs(path, Languages())
    return kept, [str(finding).replace(str(path), "a") for finding in findings]


def test_a_pair_with_an_empty_side_is_dropped_and_told(tmp_path):
    kept, findings = read(tmp_path, [("a", " "), *GOOD, ("\u2003", "b"), ("", "")])
    assert [pair.line for pair in kept] == list(range(2, 12))
    assert findings == [f"warning: a:{line}: the pair has an empty side: dropped." for line in (1, 12, 13)]


def test_many_are_counted(tmp_path):
    kept, findings = read(tmp_path, [*GOOD, *[("a", "")] * 12])
    assert len(kept) == 10
    assert findings == ["warning: a:11: 12 pairs have an empty side, first line 11: dropped."]


def test_empty_pairs_alone_are_no_data(tmp_path):
    assert read(tmp_path, [("a", "")])[1] == [
        "error: a: the file holds no pair of texts.",
        "warning: a:1: the pair has an empty side: dropped.",
    ]


@pytest.mark.parametrize(
    ("text", "is_told"), [("ab" + " ab" * 999, False), ("a" + " a" * 1000, True), ("a" * 10_000, False), ("a" * 10_001, True)]
)
def test_a_long_side_is_kept_and_told(text, is_told, tmp_path):
    told = "a:11: the pair has a side of more than 1,000 words or 10,000 characters: kept, and shortened in training."
    for pair in ((text, text.upper()), (text.upper(), text)):
        kept, findings = read(tmp_path, [*GOOD, pair])
        assert len(kept) == 11
        assert findings == ([f"warning: {told}"] if is_told else [])


@pytest.mark.parametrize(("length", "other", "is_told"), [(54, 6, False), (55, 6, True), (50, 1, False), (51, 1, True)])
def test_sides_of_very_unequal_length_are_told(length, other, is_told, tmp_path):
    for pair in (("a" * length, "b" * other), ("b" * other, "a" * length)):
        findings = read(tmp_path, [*GOOD, pair])[1]
        told = ["warning: a:11: the pair has one side more than 9 times as long as the other: are the files out of step?"]
        assert findings == (told if is_told else [])
    many = read(tmp_path, [*GOOD, *[("a" * 100, f"b{i}") for i in range(1007)]])[1]
    assert many[0].startswith("warning: a:11: 1,007 pairs have one side more than 9 times as long as the other, first line 11:")


@pytest.mark.parametrize(("number", "is_told"), [(2, False), (3, True)])
def test_one_file_twice_is_told(number, is_told, tmp_path):
    findings = read(tmp_path, [*GOOD[number:], *[(f"OK {i}", f"OK {i}") for i in range(number)]])[1]
    told = "warning: a:8: 3 of 10 pairs (30.0 %) have the same text on both sides, first line 8. Is it one file twice?"
    assert findings == ([told] if is_told else [])


def checked(**parts: list[Pair]) -> list[str]:
    return [str(finding) for finding in check_pairs(Files(**{split: Path(split) for split in parts}), parts)]


def test_pairs_that_come_again_are_counted():
    train = [Pair("a", "b", 1), Pair("a", "c", 2), Pair("a", "b", 3), Pair("d", "b", 4), Pair("a", "b", 7)]
    assert checked(train=train) == [
        "warning: train:3: 2 of 5 pairs (40.0 %) have come before, first line 3 (as 1). "
        "Keep one of each, unless the text repeats itself."
    ]
    assert checked(train=[Pair("a", None, 1), Pair("a", None, 2)])[0].startswith(
        "warning: train:2: 1 of 2 pairs (50.0 %) has come"
    )


def test_pairs_of_dev_and_test_that_are_in_train_are_counted():
    train = [Pair("a", "b", 1), Pair("a", "c", 2), *(Pair(f"{i}", "x", i) for i in range(3, 99))]
    dev = [Pair("new", "b", 1), Pair("a", "c", 2), Pair("5", "y", 3)]
    assert checked(train=train, dev=dev, test=dev[:1]) == [
        "warning: dev:2: 2 of 3 pairs (66.7 %) have a source that train has too, 1 with the same target: first line 2 (as 1). "
        "Take them out of one of the two files, else the score promises too much."
    ]
    many = [Pair(f"new {i}", "x", i) for i in range(4999)]
    (told,) = checked(train=train, test=[*many, Pair("7", "y", 5000)])
    assert "test:5000: 1 of 5,000 pairs (<0.1 %) has a source that train has too, none with the same target" in told
    assert checked(dev=dev, test=dev) == []


def test_alignments_are_written_and_read():
    links = [(0, 0), (1, 2), (10, 3)]
    assert to_pharaoh(links) == "0-0 1-2 10-3"
    assert parse_pharaoh(" 0-0 1-2\t10-3\n") == links
    assert parse_pharaoh(to_pharaoh([])) == []


@pytest.mark.parametrize("word", ["0", "0-", "-1", "0-0-0", "0–1", "a-b", "0-1.5", "0-٣", "0-" + "9" * 9999])
def test_what_is_no_alignment_is_refused(word):
    with pytest.raises(InputError, match="a link must be two numbers with - between them, such as 0-2, got '"):
        parse_pharaoh(f"0-0 {word} 1-1")


@pytest.fixture(scope="module")
def mt_data() -> Path:
    folder = SHARED / "text" / "mt"
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set REGARD_DATA to a folder that has text/mt")
    return folder


def test_multi30k_is_read_as_it_is(mt_data):
    from regard.data.pairs import find_pairs

    folder = mt_data / "multi30k_en_de"
    files = find_pairs(folder, {"test": str(folder / "test_2016_flickr.en")}, Languages())
    assert [path.name for _, path in files.items()] == ["train.en.gz", "dev.en", "test_2016_flickr.en"]
    parts, findings = {}, []
    for split, path in files.items():
        parts[split], found = read_pairs(path, Languages())
        findings += found
    assert {split: len(pairs) for split, pairs in parts.items()} == {"train": 29_000, "dev": 1014, "test": 1000}
    assert parts["test"][0] == Pair(
        "A man in an orange hat starring at something.", "Ein Mann mit einem orangefarbenen Hut, der etwas anstarrt.", 1
    )
    assert [finding.line for finding in findings] == [16_664]
    assert [finding.level for finding in check_pairs(files, parts)] == ["warning", "warning"]


def test_tatoeba_is_read_either_way(mt_data):
    dev = mt_data / "tatoeba_en_de" / "dev.en"
    if not dev.is_file():
        pytest.skip(f"no {dev}")
    there, back = (read_pairs(dev.with_suffix(end), Languages())[0] for end in (".en", ".de"))
    assert there[0] == Pair("Thanks.", "Danke!", 1)
    assert [(pair.source, pair.target) for pair in there] == [(pair.target, pair.source) for pair in back]
    assert len(there) == 2000
