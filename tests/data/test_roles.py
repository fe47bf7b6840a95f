"""Roles in each format as people have them, and each way a file can be wrong."""

import json
from pathlib import Path

import pytest

from regard.data.roles import FORMATS, parse_roles, read_roles, write_roles
from regard.data.sentence import Proposition, RoleSentence
from regard.data.spans import Span
from regard.errors import InputError
from tests.conftest import SHARED

PATH = Path("x")
TOKENS = ("Ada", "looked", "the", "word", "up", "again")
LOOKED = Proposition(1, "look.05", (Span("ARG0", 0, 1), Span("ARG1", 2, 4), Span("C-V", 4, 5), Span("ARGM-TMP", 5, 6)))

PLUS = """\
# global.columns = ID FORM LEMMA UP:PRED UP:ARGHEADS UP:ARGSPANS
1	Ada	Ada	_	_	_
2	looked	look	look.05	ARG0:1|ARG1:4|C-V:5|ARGM-TMP:6	ARG0:1-1|ARG1:3-4|C-V:5-5|ARGM-TMP:6-6
3	the	the	_	_	_
4	word	word	_	_	_
5	up	up	_	_	_
6	again	again	_	_	_
"""
PROPS = """\
Ada    NNP -  -     (ARG0*)
looked VBD 05 look  (V*)
the    DT  -  -     (ARG1*
word   NN  -  -     *)
up     RP  -  -     (C-V*)
again  RB  -  -     (ARGM-TMP*)
"""
GOLD = """\
#begin document (bc/x); part 000
bc/x 0 0 Ada    NNP (TOP(S(NP*) - - - - (PERSON) (ARG0*) (12)
bc/x 0 1 looked VBD (VP* look 05 - - * (V*) -
bc/x 0 2 the    DT  (NP* - - - - * (ARG1* -
bc/x 0 3 word   NN  *) - - - - * *) -
bc/x 0 4 up     RP  (PRT*) - - - - * (C-V*) -
bc/x 0 5 again  RB  *))) again - 1 - * (ARGM-TMP*) -

#end document
"""
LINES = json.dumps(
    {
        "tokens": TOKENS,
        "predicates": [
            {
                "predicate": 1,
                "sense": "look.05",
                "arguments": [{"type": kind, "start": start, "end": stop} for kind, start, stop in LOOKED.arguments],
            }
        ],
    }
)
EXAMPLES = {"conllup": PLUS, "conll2005": PROPS, "conll2012": GOLD, "jsonl": LINES}


def parse(text: str):
    return parse_roles(text.split("\n"), PATH)


def read_one(text: str) -> RoleSentence:
    (sentence,), findings = parse(text)
    assert not findings
    return sentence


def only(text: str) -> tuple[str, int | None, str]:
    """What the one finding says of a text that holds no sentence besides."""
    sentences, (finding,) = parse(text)
    assert not sentences
    return finding.level, finding.line, finding.message


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_says_the_same(format):
    sentence = read_one(EXAMPLES[format])
    assert (sentence.tokens, sentence.propositions) == (TOKENS, (LOOKED,))
    assert sentence.line == {"conllup": 2, "conll2012": 2}.get(format, 1)


@pytest.mark.parametrize("format", FORMATS)
def test_the_content_tells_the_format_whatever_the_name(format, tmp_path):
    path = tmp_path / "train"
    path.write_text("\n" + EXAMPLES[format], encoding="utf8")
    assert read_roles(path)[0][0].propositions == (LOOKED,)


def test_heads_without_spans_are_spans_of_one_token():
    heads = "\n".join(line.rpartition("\t")[0] for line in PLUS.splitlines()[1:])
    sentence = read_one("# global.columns = ID FORM LEMMA UP:PRED UP:ARGHEADS\n" + heads)
    assert [span[1:] for span in sentence.propositions[0].arguments] == [(0, 1), (3, 4), (4, 5), (5, 6)]


def test_ids_are_syntactic_words_and_the_text_is_kept():
    lines = [
        "# global.columns = ID FORM MISC UP:PRED UP:ARGSPANS",
        "1-2\tcan't\tSpaceAfter=No\t_\t_",
        "1\tca\t_\tcan.01\tARGM-NEG:2",
    ]
    sentence = read_one("\n".join([*lines, "2\tn't\t_\t_\t_", "3\t!\t_\t?\t_"]))
    assert sentence.tokens == ("ca", "n't", "!")
    assert sentence.propositions == (Proposition(0, "can.01", (Span("ARGM-NEG", 1, 2),)), Proposition(2))
    assert (sentence.text, sentence.offsets, sentence.lemmas) == ("can't!", ((0, 5), (0, 5), (5, 6)), None)


def test_tokens_without_places_are_found_in_their_text():
    sentence = read_one('{"tokens": ["Ada", "met", "Bob"], "text": "Ada met Bob"}')
    assert sentence.offsets == ((0, 3), (4, 7), (8, 11))


def test_props_without_words_can_be_scored():
    (sentence,), (finding,) = parse("- (A0*) *\nsay (V*) *\ngo * (V*)\n")
    assert sentence.tokens == ("_",) * 3
    assert (finding.level, finding.line) == ("warning", None)
    assert "the file has no words" in finding.message


@pytest.mark.parametrize(
    ("rows", "senses"),
    [
        ("He - *\nsat sit (V*)", [None]),
        ("He NN - *\nsat VBD sit (V*)", [None]),
        ("He - - *\nsat 01 sit (V*)", ["sit.01"]),
        ("He NN (S* - - *\nsat VBD *) LV sit (V*)", ["sit.LV"]),
        ("He - - * *\nsat 01 sit (V*) *\nwent - go * (V*)", ["sit.01", None]),
        ("He -\nsat -", []),
    ],
)
def test_columns_before_the_brackets_are_told_apart(rows, senses):
    sentence = read_one(rows)
    assert sentence.tokens[:2] == ("He", "sat")
    assert [one.sense for one in sentence.propositions] == senses


@pytest.mark.parametrize(
    ("rows", "line", "message"),
    [
        (
            "He - - * *\nsat 01 sit (V*) *\nran 1x run * (V*)",
            3,
            "a sense must be a number such as 01, two letters such as LV, or ",
        ),
        ("He - - * *\nsat 01 sit (V*) *\nran run.02 run * (V*)", 3, "got 'run.02', which is left out. Correct it, or write -."),
        ("He - - * *\nsat 01 sit (V*) *\nran * run * (V*)", 3, "got '*', which is left out"),
        ("sat 01 sit (V*) *\nwas 02 sit * (V*)\nhe 03 - * *", 3, "a row without a lemma must have - for its sense, got '03'"),
    ],
)
def test_a_sense_that_is_none_is_told_and_the_others_are_kept(rows, line, message):
    (first, second), (finding,) = parse(f"{rows}\n\nHe - - *\nsat 02 sit (V*)")
    assert (finding.level, finding.line) == ("warning", line)
    assert message in finding.message
    assert [one.sense for one in first.propositions] == ["sit.01", "sit.02" if "was" in rows else None]
    assert second.propositions[0].sense == "sit.02"


@pytest.mark.parametrize(
    "rows",
    [
        "He NN - *\ngo VB go (V*)",
        "He - - * * *\nsaid said say (V*) * *\nGO GO go * (V*) *\nran ran run * * (V*)",
        "Ada (PER*) - *\ngo GO go (V*)\n. - - *",
        "He 2 - * *\nsat 0 sit (V*) *\nran 2 run * (V*)\nfar 3 - * *",
    ],
)
def test_other_columns_on_a_few_rows_like_senses_are_none(rows):
    sentence = read_one(rows)
    assert {one.sense for one in sentence.propositions} == {None}


def test_the_first_of_two_columns_is_the_word_even_where_it_looks_like_a_sense():
    sentence = read_one("GO go (V*)")
    assert (sentence.tokens, sentence.propositions) == (("GO",), (Proposition(0),))


@pytest.mark.parametrize(
    ("tags", "predicate", "arguments"),
    [
        ("(V*) * *", 0, ()),
        ("(V* *) *", 0, (Span("V", 0, 2),)),
        ("(V*) * (C-V*)", 0, (Span("C-V", 2, 3),)),
        ("(V*) (A1* *A1)", 0, (Span("A1", 1, 3),)),
        ("* (V*) *", 1, ()),
        ("(A0*) (V*) (V*)", 1, (Span("A0", 0, 1), Span("V", 2, 3))),
        ("(C-V*) * *", 0, (Span("C-V", 0, 1),)),
        ("* * *", 2, ()),
    ],
)
def test_brackets_of_the_predicate(tags, predicate, arguments):
    rows = [f"w {'go' if place == predicate else '-'} {tag}" for place, tag in enumerate(tags.split())]
    sentence = read_one("\n".join(rows))
    assert sentence.propositions == (Proposition(predicate, None, arguments),)
    assert read_one("\n".join(write_roles([sentence], "conll2005"))) == sentence


def test_the_predicate_of_a_2012_column_is_where_v_starts_or_else_the_frameset():
    row = "d 0 {} w - * {} - - * {} -"
    given = [(0, "a 01", "(V*) *"), (1, "b -", "* (V*)"), (2, "- -", "* *")]
    sentence = read_one("#begin document\n" + "\n".join(row.format(*one) for one in given))
    assert [(one.predicate, one.sense) for one in sentence.propositions] == [(0, "a.01"), (1, None)]
    sentence = read_one("#begin document\n" + "\n".join([row.format(0, "- -", "(A0*)"), row.format(1, "b 02", "*")]))
    assert sentence.propositions == (Proposition(1, "b.02", (Span("A0", 0, 1),)),)
    sentence = read_one("#begin document\n" + "\n".join([row.format(0, "- -", "(V*)"), row.format(1, "b 02", "(V*)")]))
    assert sentence.propositions == (Proposition(1, "b.02", (Span("V", 0, 1),)),)


SHAPES = [
    {"words": ["a", "b", "c"], "predicate": 1, "sense": "b.01", "spans": [["X", 2, 3], ["Y", 0, 1]]},
    {
        "tokens": ["a", "b", "c"],
        "predicate": {"index": 1, "sense": "b.01"},
        "arguments": [{"label": "X", "start": 2, "end": 3}],
    },
    {"tokens": ["a", "b", "c"], "predicate": [1], "arguments": [{"label": "X", "start": 2, "end": 3}]},
    {"words": ["a", "b", "c"], "verbs": [{"verb": "b", "tags": ["O", "B-V", "B-X"]}]},
    {"words": ["a", "b", "c"], "predicates": [{"predicate": [1], "spans": [["X", 2, 3], ["V", 1, 2]]}]},
]


@pytest.mark.parametrize("record", SHAPES)
def test_json_has_more_than_one_shape(record):
    (one,) = read_one(json.dumps(record)).propositions
    assert (one.predicate, one.arguments[-1]) == (1, Span("X", 2, 3))
    assert one.sense == ("b.01" if "sense" in str(record) else None)


def test_a_predicate_of_several_tokens_has_v_and_what_continues_it():
    (one,) = read_one('{"tokens": ["a", "b", "c", "d", "e"], "predicate": [4, 1, 0, 3]}').propositions
    assert one == Proposition(0, None, (Span("V", 0, 2), Span("C-V", 3, 5)))


def test_a_tag_that_continues_nothing_is_told_and_read_as_a_start():
    verbs = [{"tags": tags.split()} for tags in ("B-V O I-X", "I-X B-V I-V", "B-X I-X B-V")]
    line = json.dumps({"words": ["a", "b", "c"], "verbs": verbs[:2]})
    (sentence,), findings = parse(line + "\n")
    assert [one.arguments for one in sentence.propositions] == [(Span("X", 2, 3),), (Span("X", 0, 1), Span("V", 1, 3))]
    told = "I-X continues nothing (before it: O); read as a start, as conlleval does."
    assert [(one.level, one.line, one.message) for one in findings] == [("warning", 1, told)] * 2
    assert not parse(json.dumps({"words": ["a", "b", "c"], "verbs": verbs[2:]}))[1]


def test_the_label_of_an_argument_may_stand_first_or_last():
    for given in (["ARG1", 2, 3], [2, 3, "ARG1"]):
        (one,) = read_one(json.dumps({"tokens": ["a", "b", "c"], "predicate": 0, "arguments": [given]})).propositions
        assert one.arguments == (Span("ARG1", 2, 3),)


def test_lines_of_one_proposition_are_put_together_until_a_predicate_comes_again():
    line = '{{"tokens": ["a", "b"], "predicate": {}}}'
    lines = [*(line.format(index) for index in (1, 0, 1, 1)), '{"tokens": ["c"], "predicate": 0}']
    sentences, _ = parse("\n".join([*lines, '{"tokens": ["c"], "predicates": []}']))
    assert [[one.predicate for one in sentence.propositions] for sentence in sentences] == [[0, 1], [1], [1], [0], []]
    assert [sentence.line for sentence in sentences] == [1, 3, 4, 5, 6]
    parted, _ = parse("\n\n".join(line.format(index) for index in (1, 0)))
    assert [[one.predicate for one in sentence.propositions] for sentence in parted] == [[1], [0]]


def test_unknown_propositions_are_not_none_at_all():
    assert read_one('{"tokens": ["a"]}').propositions is None
    assert read_one('{"tokens": ["a"], "predicates": []}').propositions == ()


def test_a_sentence_whose_predicates_nobody_named_is_no_example(tmp_path):
    path = tmp_path / "test.jsonl"
    path.write_text(
        '{"tokens": ["Silence"], "predicates": []}\n{"tokens": ["Ada", "left"]}\n{"tokens": ["a"], "predicate": 0}\n'
    )
    sentences, (finding,) = read_roles(path)
    assert [sentence.line for sentence in sentences] == [1, 3]
    assert str(finding).startswith(f'error: {path}:2: a sentence must have "predicates" to be learnt from or scored')


OVERLAP = '{"tokens": ["a", "b"], "predicate": 0, "spans": [["X", 0, 2], ["Y", 1, 2]]}'


@pytest.mark.parametrize("text", [OVERLAP, "a go (X*\nb - (Y*))\n", PLUS.replace("ARGM-TMP:6-6", "ARGM-TMP:5-6")])
def test_overlapping_arguments_are_told_and_kept(text):
    (sentence,), (finding,) = parse(text)
    assert len(sentence.propositions[0].arguments) in (2, 4)
    assert (finding.level, finding.line) == ("warning", sentence.line)
    assert "overlap; a tag a token can hold one of them" in finding.message


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([["C-X", 0, 1], ["X", 2, 3]], "C-X [0, 1) of the predicate 'b' continues no X before it"),
        ([["C-R-X", 2, 3], ["X", 0, 1]], "C-R-X [2, 3) of the predicate 'b' continues no R-X before it"),
        ([["R-X", 0, 1], ["Y", 2, 3]], "R-X [0, 1) of the predicate 'b' refers to X, which the predicate does not have"),
        ([["X", 0, 1], ["C-X", 2, 3]], None),
        ([["R-X", 0, 1], ["X", 2, 3]], None),
        ([["C-V", 2, 3], ["Cold", 0, 1]], None),
    ],
)
def test_what_continues_or_refers_to_nothing_is_told(spans, message):
    (sentence,), findings = parse(json.dumps({"tokens": ["a", "b", "c"], "predicate": 1, "spans": spans}))
    assert sentence.propositions[0].arguments == tuple(sorted((Span(*one) for one in spans), key=lambda span: span.start))
    assert [finding.level for finding in findings] == ["warning"] * (message is not None)
    assert message is None or findings[0].message.startswith(message)


def props(*rows: str) -> str:
    return "\n".join(rows)


WRONG = {
    "a row too short": (props("a - *", "b go"), 2, "this row must have 3 columns like the sentence's first, got 2."),
    "a bracket not closed": (props("a - (A0*", "b go (V*)"), 1, "the bracket (A0* is never closed."),
    "a bracket not opened": (props("a - *", "b go *)"), 2, "the bracket of '*)' closes none that is open."),
    "a bracket of another": (props("a - (A0*", "b go *A1)"), 2, "the bracket of '*A1)' closes none that is open."),
    "no brackets": (props("a - *", "b go A0"), 2, "an argument column must hold *, (LABEL*, *) or (LABEL*), got 'A0'."),
    "a column too many": (props("a - * *", "b go (V*) *"), 1, "must have an argument column a predicate, got 2 for 1."),
    "a column too few": (props("a be *", "b go (V*)"), 1, "must have an argument column a predicate, got 1 for 2."),
    "2012 columns": ("#begin document\na 0 0 b", 2, "rows must have 12 columns and one a predicate, got 4."),
    "2012 numbers": (GOLD.replace("0 2 the", "0 3 the"), 4, "word numbers must count 0, 1, 2 in order: 2 is next, got '3'."),
    "2012 without V": (GOLD.replace("(V*)", "*").replace("look 05", "- -"), 2, "argument column 1 has no (V*, and 0 framesets"),
    "2012 frameset alone": (
        GOLD.replace("again -", "again 01"),
        7,
        "a row with a frameset must have an argument column",
    ),
    "2012 empty": ("#begin document (x); part 000\n#end document\n", None, "the file holds no sentence."),
    "published without words": (
        "# global.columns = ID UP:PRED UP:ARGHEADS UP:ARGSPANS\n" + "1\t_\t_\t_\n2\tgo.01\tA0:1\tA0:1-1\n\n" * 9,
        1,
        "got 'ID UP:PRED UP:ARGHEADS UP:ARGSPANS'. Universal Propositions are published without words: put in",
    ),
    "no UP:PRED, of many": (
        "# global.columns = ID FORM\n" + "1\ta\n\n" * 9,
        2,
        "global.columns must name UP:PRED, and UP:ARGSP",
    ),
    "no UP:PRED": ("# global.columns = ID FORM\n1\ta", 2, "global.columns must name UP:PRED, and UP:ARGSPANS or UP:ARGHEADS."),
    "too long a span": (
        PLUS.replace("6-6", "6-7"),
        3,
        "an argument must be of the sentence's words, whose ids are 1 to 6, got 'ARGM-TMP:6-7'.",
    ),
    "id 0": (PLUS.replace("1-1", "0-1"), 3, "whose ids are 1 to 6, got 'ARG0:0-1'."),
    "stop before start": (PLUS.replace("3-4", "4-3"), 3, "must be LABEL:first-last, got 'ARG1:4-3', which ends before it"),
    "no number": (PLUS.replace("3-4", "x"), 3, "arguments must be LABEL:first-last|… or LABEL:id|…, got 'ARG1:x'."),
    "no label": (PLUS.replace("ARG1:3", "3"), 3, "arguments must be LABEL:first-last|… or LABEL:id|…, got '3-4'."),
    "heads too few": (PLUS.replace("ARG0:1|", ""), 3, "UP:ARGHEADS and UP:ARGSPANS must name the same arguments in the same"),
    "no sense": (PLUS.replace("look.05", "_"), 3, "a row with arguments must have its predicate's sense in UP:PRED, got _."),
    "ids in disorder": (PLUS.replace("\n3", "\n4"), 4, "ids must count 1, 2, 3 in order: 3 is next, got 4."),
    "no JSON": ('{"tokens": ["a"', 1, "this must be JSON: Expecting ',' delimiter at column 16."),
    "a name without quotes": ('{tokens: ["a"]}', 1, "this must be JSON: Expecting property name enclosed in double quotes"),
    "deep JSON": ('{"tokens": ' + "[" * 100_000, 1, "this must be JSON that can be read"),
    "half a surrogate pair": ('{"tokens": ["\\ud800"]}', 1, "the text must be Unicode, got half of a pair"),
    "two objects": ('{"tokens": ["a"]} {}', 1, "a line must hold one JSON object, got more after it at column 18."),
    "no object": ('{"tokens": ["a"], "predicates": [3]}', 1, "a predicate must be an object in braces, got 3."),
    "no tokens": ('{"text": "a"}', 1, "'tokens' or 'words' must be given in {\"text\": \"a\"}."),
    "empty tokens": ('{"tokens": []}', 1, "a sentence must have a token, got none."),
    "an empty token": ('{"tokens": ["a", " "]}', 1, "a token must be text that is not empty, token 1 is ' '."),
    "a number for a token": ('{"tokens": ["a", 1]}', 1, "a token must be text that is not empty, token 1 is 1."),
    "predicate beyond": ('{"tokens": ["a"], "predicate": 1}', 1, "the index of a token, from 0 to 0, got 1."),
    "predicate false": ('{"tokens": ["a"], "predicate": false}', 1, "the index of a token, from 0 to 0, got false."),
    "no index": ('{"tokens": ["a"], "predicate": []}', 1, "predicate must be an index or a list of them, got an empty list."),
    "predicate twice": ('{"tokens": ["a"], "predicates": [{"predicate": 0}, {"predicate": 0}]}', 1, "token 0 is of two."),
    "no sense but 1": ('{"tokens": ["a"], "predicate": 0, "sense": 1}', 1, "sense must be text or null, got 1."),
    "end beyond": ('{"tokens": ["a"], "predicate": 0, "spans": [["X", 0, 2]]}', 1, "got start 0, stop 2."),
    "end at start": ('{"tokens": ["a"], "predicate": 0, "spans": [["X", 0, 0]]}', 1, "got start 0, stop 0."),
    "a span of two": ('{"tokens": ["a"], "predicate": 0, "spans": [["X", 0]]}', 1, "an argument must be an object in braces"),
    "start as text": ('{"tokens": ["a"], "predicate": 0, "spans": [["X", "0", 1]]}', 1, "whole numbers for start and end"),
    "no label in a list": (
        '{"tokens": ["a"], "predicate": 0, "spans": [[0, 1, 2]]}',
        1,
        "as [label, start, end] or [start, end, label]",
    ),
    "tags too few": ('{"words": ["a", "b"], "verbs": [{"tags": ["B-V"]}]}', 1, "one for each of the 2 tokens, got 1."),
    "a tag of no scheme": ('{"words": ["a", "b"], "verbs": [{"tags": ["B-V", "ARG1"]}]}', 1, "'ARG1' is of no known scheme."),
    "a tag in small letters": ('{"words": ["a", "b"], "verbs": [{"tags": ["B-V", "b-X"]}]}', 1, "the tag 'b-X' is of no known"),
    "a tag without a label": ('{"words": ["a", "b"], "verbs": [{"tags": ["B-V", "B-"]}]}', 1, "the tag 'B-' is of no known"),
    "tags without V": (
        '{"words": ["a"], "verbs": [{"tags": ["O"]}]}',
        1,
        "the tags of a verb must mark it with B-V",
    ),
    "lemmas too few": ('{"tokens": ["a", "b"], "lemmas": ["a"]}', 1, "lemmas must be as many as tokens, got 1 for 2."),
    "a lemma null": ('{"tokens": ["a"], "lemmas": [null]}', 1, "a lemma must be text in quotes, got null."),
    "offsets beyond": (
        '{"tokens": ["a"], "text": "a", "offsets": [[0, 2]]}',
        1,
        "a token's place must be [start, end], inside the text, got [0, 2].",
    ),
    "text a number": ('{"tokens": ["a"], "text": 1}', 1, "text must be text in quotes, got 1."),
    "nothing": ("\n", None, "the file holds no sentence."),
    "another format": ("Ada met Charles.\n", None, "no format of roles was recognised. Known: CoNLL-U Plus"),
}


@pytest.mark.parametrize(("text", "line", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_with_its_line(text, line, message):
    level, found, said = only(text)
    assert (level, found) == ("error", line)
    assert message in said


@pytest.mark.parametrize("format", FORMATS)
def test_a_broken_sentence_is_left_out_and_the_rest_is_read(format):
    lines = write_roles([RoleSentence(TOKENS, (LOOKED,))] * 3, format)
    second = [place for place, line in enumerate(lines) if "look.05" in line or "\tlook\t" in line][1]
    lines[second] = lines[second][:-5]
    sentences, findings = parse_roles(lines, PATH)
    assert [sentence.propositions for sentence in sentences] == [(LOOKED,)] * 2
    assert [(finding.level, finding.line) for finding in findings] == [("error", second + 1)]


@pytest.mark.parametrize(
    ("format", "sentence", "message"),
    [
        ("conll2005", RoleSentence(("a b",)), "this format cannot hold the token 'a b'. Use jsonl."),
        ("conll2012", RoleSentence(("a\u2028b", "a\tb")), r"this format cannot hold the token 'a\\tb'. Use jsonl."),
        ("conllup", RoleSentence(("a\nb",)), r"this format cannot hold the value 'a\\nb'."),
        ("conllup", RoleSentence(("a",), (Proposition(0, "?"),)), r"this format cannot hold the sense '\?'."),
        ("conllup", RoleSentence(("a",), (Proposition(0, "x.01", (Span("A|B", 0, 1),)),)), r"cannot hold the label 'A\|B'."),
        ("conll2005", RoleSentence(("a",), (Proposition(0, "x"),)), "columns hold a sense as lemma.number, got 'x'."),
        ("conll2005", RoleSentence(("a",), (Proposition(0, "x.y"),)), "this format cannot hold the sense's number 'y'."),
        ("conll2005", RoleSentence(("a",), (Proposition(0, "-.01"),)), "cannot hold a predicate whose lemma is '-'."),
        (
            "conll2012",
            RoleSentence(("a",), (Proposition(0, "-.01"),)),
            "CoNLL-2012 cannot hold the sense '-.01'",
        ),
        (
            "conll2012",
            RoleSentence(("a",), (Proposition(0, None, (Span("A", 0, 1),)),)),
            r"overlap: A \[0, 1\), V \[0, 1\)",
        ),
        ("jsonl", RoleSentence(()), "a sentence must have a token, got none."),
        ("xml", RoleSentence(("a",)), "the format must be one of conllup, conll2012, conll2005, jsonl, got 'xml'."),
    ],
)
def test_what_a_format_cannot_hold_is_not_written(format, sentence, message):
    with pytest.raises(InputError, match=message):
        write_roles([sentence], format)


@pytest.mark.parametrize(
    ("split", "counts", "lines"),
    [
        ("train", (12_542, 204_550, 40_482, 81_537), [35_868]),
        ("dev", (1_974, 24_969, 4_977, 9_600), []),
        ("test", (2_062, 25_009, 4_799, 9_345), []),
    ],
)
def test_real_files_hold_what_their_authors_counted(split, counts, lines):
    path = SHARED / "text" / "srl" / "propbank_en_ewt" / f"{split}.conllup.gz"
    if not path.is_file():
        pytest.skip(f"no real data in {path}; set REGARD_DATA to a folder that has text/srl")
    sentences, findings = read_roles(path)
    propositions = [one for sentence in sentences for one in sentence.propositions]
    tokens, arguments = sum(len(one.tokens) for one in sentences), sum(len(one.arguments) for one in propositions)
    assert (len(sentences), tokens, len(propositions), arguments) == counts
    assert [finding.line for finding in findings if "continues no ARGM-TMP before it" in finding.message] == lines
    assert len(findings) == len(lines)
    assert all(sentence.offsets and sentence.lemmas for sentence in sentences)
