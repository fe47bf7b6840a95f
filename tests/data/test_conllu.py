"""CoNLL-U: which rows are words, where they stand in the text, and each way a file can be wrong."""

from pathlib import Path

import pytest

from regard.data.conllu import read_conllu

PATH = Path("x.conllu")


def rows(*words: str) -> list[str]:
    """A row of the ten columns for each "id form misc"."""
    return ["\t".join([number, form, *"_" * 7, misc]) for number, form, misc in (word.split(" ") for word in words)]


def read_one(lines: list[str]):
    (block,), findings = read_conllu(lines, PATH)
    assert not findings
    return block


HAVENT = ["# sent_id = 7", "# text = I haven't, no.", *rows("1 I _", "2-3 haven't SpaceAfter=No", "2 have _", "3 not _")]
HAVENT += rows("3.1 done _", "4 , _", "5 no SpaceAfter=No", "6 . _")


def test_multiword_tokens_and_empty_nodes_are_no_words():
    block = read_one(HAVENT)
    assert block.column("FORM") == ("I", "have", "not", ",", "no", ".")
    assert block.column("ID") == tuple("123456")
    assert (block.lines, block.comments) == ((3, 5, 6, 8, 9, 10), ("# sent_id = 7", "# text = I haven't, no."))


@pytest.mark.parametrize("without", [[], [1]], ids=["text given", "text from SpaceAfter"])
def test_words_inside_a_multiword_token_share_its_place(without):
    block = read_one([line for place, line in enumerate(HAVENT) if place not in without])
    assert block.text == "I haven't, no."
    assert [block.text[slice(*place)] for place in block.offsets] == ["I", "haven't", "haven't", ",", "no", "."]


def test_forms_may_hold_spaces_and_repeat():
    block = read_one(["# text = 1 000 a a", "1\t1 000" + "\t_" * 8, *rows("2 a _", "3 a _")])
    assert block.offsets == ((0, 5), (6, 7), (8, 9))


def test_columns_are_named_by_the_file_and_unknown_ones_are_unspecified():
    block = read_one(["# global.columns = FORM ID X", "a\t1\tx", "_\t2\ty"])
    assert (block.column("FORM"), block.column("X"), block.column("MISC")) == (("a", "_"), ("x", "y"), ("_", "_"))
    assert (block.text, block.offsets) == (None, None)


def test_comments_alone_are_no_sentence_and_blank_lines_end_one():
    blocks, findings = read_conllu(["# newdoc", "", *rows("1 a _"), "", " ", *rows("1 b _")], PATH)
    assert [block.column("FORM") for block in blocks] == [("a",), ("b",)]
    assert not findings


def test_a_text_that_disagrees_is_told_and_not_used():
    (block,), (finding,) = read_conllu(["# text = something else", *rows("1 a _")], PATH)
    assert (block.text, block.offsets, finding.level, finding.line) == (None, None, "warning", 2)
    assert "the comment text = does not hold the words" in finding.message


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        (["1\ta"], 1, "rows must have 10 columns with a tab between them (ID FORM LEMMA"),
        (rows("1 a _", "3 b _"), 2, "ids must count 1, 2, 3 in order: 2 is next, got 3."),
        (rows("1 a _", "1 b _"), 2, "ids must count 1, 2, 3 in order: 2 is next, got 1."),
        (rows("0 a _"), 1, "1 is next, got 0."),
        (rows("x a _"), 1, "ID must be like 4, 4-5 or 4.1, got 'x'."),
        (rows("1- a _"), 1, "ID must be like 4, 4-5 or 4.1, got '1-'."),
        (rows("1 a _", "2-1 b _", "2 c _"), 2, "ID of a multiword token must be first-last, got 2-1."),
        (rows("1-2 ab _", "1 a _"), 1, "the sentence must have a row for each word, got 1 of 2."),
        (rows("1-2 ab _", "1 a _", "2-3 bc _", "2 b _", "3 c _"), 3, "multiword tokens must not overlap: 2-3 begins inside"),
        (rows("1.1 a _"), 1, "the sentence must have a row for each word, got 0 of 0."),
        (["1\t \t" + "\t".join("_" * 8)], 1, "the token is empty. Remove the row or give it a FORM."),
        (["# global.columns = ID LEMMA", "1\ta"], 1, "global.columns must name FORM, got 'ID LEMMA'."),
        (["# text = a", "# global.columns = X", *["a", ""] * 9], 2, "global.columns must name FORM and ID, got 'X'."),
    ],
)
def test_a_broken_sentence_is_told_and_the_next_one_is_read(lines, line, message):
    blocks, (finding,) = read_conllu([*lines, "", "# global.columns = ID FORM", "1\ta"], PATH)
    assert [block.column("FORM") for block in blocks] == [("a",)]
    assert (finding.level, finding.line) == ("error", line)
    assert message in finding.message
