"""What can be given to find roles in."""

import json

import pytest

from regard.errors import InputError
from regard.tasks.srl.inputs import read_lines

CONLLU = [
    "# text = Ada fell.",
    "1\tAda\tAda\tPROPN\t_\t_\t2\tnsubj\t_\t_",
    "2\tfell\tfall\tVERB\t_\t_\t0\troot\t_\tSpaceAfter=No",
]
CONLLU += ["3\t.\t.\tPUNCT\t_\t_\t2\tpunct\t_\t_", ""]
PLUS = [
    "# global.columns = ID FORM UP:PRED UP:ARGHEADS UP:ARGSPANS",
    "1\tAda\t_\t_\t_",
    "2\tfell\tfall.01\tARG1:1\tARG1:1-1",
    "",
]


def test_raw_text_is_cut_into_words_whose_places_are_kept():
    first, second = read_lines(["Ada fell.", "", "Then she got up"])
    assert first.tokens == ("Ada", "fell", ".")
    assert (first.text, first.offsets, first.line) == ("Ada fell.", ((0, 3), (4, 8), (8, 9)), 1)
    assert first.propositions is None
    assert (second.tokens, second.line) == (("Then", "she", "got", "up"), 3)


def test_a_line_of_raw_text_is_cut_into_its_sentences():
    found = read_lines(["Ada fell. J. Smith helped her up! Why?"])
    assert [sentence.text for sentence in found] == ["Ada fell.", "J. Smith helped her up!", "Why?"]
    assert [sentence.line for sentence in found] == [1, 1, 1]


def test_json_lines_may_have_tokens_or_a_text_and_predicates_or_none():
    lines = [
        '{"tokens": ["Ada", "fell"]}',
        '{"text": "Ada fell"}',
        '{"tokens": ["Ada", "fell"], "predicates": [{"predicate": 1}]}',
    ]
    tokens, text, given = read_lines(lines)
    assert tokens.tokens == text.tokens == given.tokens == ("Ada", "fell")
    assert (tokens.propositions, text.propositions) == (None, None)
    assert (text.text, text.offsets) == ("Ada fell", ((0, 3), (4, 8)))
    assert [one.predicate for one in given.propositions] == [1]


def test_a_text_in_json_is_cut_as_a_line_of_raw_text_is():
    lines = ["Ada fell. J. Smith\thelped her up!", "Why?"]
    records = [json.dumps({"text": line, "id": number}) for number, line in enumerate(lines)]
    assert read_lines(records) == read_lines(lines)
    given = json.dumps({"tokens": ["She", "slept", ".", "Ada", "fell"]})
    found = read_lines([records[0], "", given, records[1]])
    assert [(len(sentence.tokens), sentence.line) for sentence in found] == [(3, 1), (7, 1), (5, 3), (2, 4)]
    for sentence in (found[0], found[1], found[3]):
        assert tuple(sentence.text[slice(*place)] for place in sentence.offsets) == sentence.tokens


def test_predicates_are_numbers_of_tokens_that_must_be_given():
    with pytest.raises(InputError, match=r"input:2: 'tokens' or 'words' must be given"):
        read_lines(['{"text": "Ada fell."}', '{"text": "Ada fell. Why?", "predicates": [{"predicate": 1}]}'])


def test_conllu_without_roles_gives_words_and_lemmas():
    (sentence,) = read_lines(CONLLU)
    assert sentence.tokens == ("Ada", "fell", ".")
    assert sentence.lemmas == ("Ada", "fall", ".")
    assert (sentence.propositions, sentence.text, sentence.offsets[2]) == (None, "Ada fell.", (8, 9))
    (without_roles,) = read_lines(["# global.columns = ID FORM", "1\tAda", "2\tfell", ""])
    assert (without_roles.propositions, without_roles.lemmas) == (None, None)


def test_a_file_with_roles_gives_its_predicates():
    (sentence,) = read_lines(PLUS)
    assert [(one.predicate, one.sense) for one in sentence.propositions] == [(1, "fall.01")]
    (columns,) = read_lines(["Ada - (A1*)", "fell fall (V*)"])
    assert [one.predicate for one in columns.propositions] == [1]


@pytest.mark.parametrize("text", ["Ada met Charles *", "Wait for me -\nAda met Charles"])
def test_text_may_end_in_a_sign_of_columns(text):
    sentences = read_lines(text.split("\n"))
    assert [" ".join(sentence.tokens) for sentence in sentences] == text.split("\n")
    assert sentences[0].propositions is None


def test_text_may_begin_with_a_bracket():
    first, _ = read_lines(["{Applause} Thank you, Ada.", '{"so": "it was"}'])
    assert first.tokens == ("{", "Applause", "}", "Thank", "you", ",", "Ada", ".")
    assert read_lines(["[Applause] Thank you."])[0].tokens[0] == "["


def test_a_text_without_a_word_is_left_out_and_told(capsys):
    (left,) = read_lines(['{"text": ""}', '{"text": "Ada met Charles"}'])
    assert left.tokens == ("Ada", "met", "Charles")
    assert "input:1: the record holds no word" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"nope'], "this must be JSON"),
        (['{"text": "fine"}', '{"phrase": "x"}'], "'tokens' or 'words' must be given"),
        (['{"text": "fine"} more'], "a line must hold one JSON object"),
        ([*CONLLU[:2], "3\tfell" + "\t_" * 8], "ids must count 1, 2, 3 in order"),
        ([*PLUS[:2], "2\tfell\tfall.01\tARG1:9\tARG1:9-9"], "whose ids are 1 to 2, got 'ARG1:9-9'"),
    ],
)
def test_what_cannot_be_read_is_told(lines, message):
    with pytest.raises(InputError, match=message):
        read_lines(lines)
