"""Entities in each format that people have, and each way these can be wrong."""

import json
from pathlib import Path

import pytest

from regard.data.entities import parse_entities, read_entities
from regard.data.sentence import Sentence

ADA = [("PER", 0, 2), ("LOC", 3, 4)]
TOKENS = ("Ada", "Lovelace", "left", "London", ".")
TEXT = "Ada Lovelace left London."
PLACES = ((0, 3), (4, 12), (13, 17), (18, 24), (24, 25))
TAGS = ["B-PER", "I-PER", "O", "B-LOC", "O"]
CHARACTERS = [[0, 12, "PER"], [18, 24, "LOC"]]
PRODIGY = [{"text": word, "start": start, "end": stop} for word, (start, stop) in zip(TOKENS, PLACES, strict=True)]


def parse(*given, labelled: bool = True) -> tuple[list[Sentence], list[str]]:
    """Sentences and findings of text lines, or of values that become JSON lines."""
    lines = [line for one in given for line in (one.split("\n") if isinstance(one, str) else [json.dumps(one)])]
    sentences, findings = parse_entities(lines, Path("x"), labelled=labelled)
    return sentences, [str(finding) for finding in findings]


def conllu(*miscs: str) -> str:
    rows = [f"{i}\t{word}\t{'_	' * 7}{misc}" for i, (word, misc) in enumerate(zip(TOKENS, miscs, strict=True), 1)]
    return "\n".join([f"# text = {TEXT}", *rows, ""])


UNER = """# sent_id = 1
# text = Ada Lovelace left London.
1\tAda\tB-PER\t-\tsomeone
2\tLovelace\tI-PER\t-\tsomeone
3\tleft\tB-O\t-\tsomeone
4\tLondon\tB-LOC\t-\tsomeone
5\t.\tO"""
SAME = {
    "columns": "\n".join(map("\t".join, zip(TOKENS, TAGS, strict=True))),
    "conllu": conllu("NER=B-PER|X=1", "NER=I-PER", "_", "SpaceAfter=No|NER=B-LOC", "_"),
    "conllu entity": conllu("Entity=B-PER", "Entity=I-PER", "Entity=O", "Entity=B-LOC", "Entity=O"),
    "conllu lower case, name": conllu("ner=B-PER", "ner=I-PER", "_", "name=B-LOC", "_"),
    "uner": UNER,
    "tags": {"tokens": TOKENS, "tags": TAGS},
    "ner_tags": {"tokens": TOKENS, "ner_tags": ["B-PER", "L-PER", "O", "U-LOC", "O"]},
    "token entities": {"tokens": TOKENS, "entities": [{"type": k, "start": a, "end": b} for k, a, b in ADA]},
    "token lists": {"words": TOKENS, "spans": ADA},
    "tokens and text": {"tokens": TOKENS, "text": TEXT, "entities": [{"label": k, "start": a, "end": b} for k, a, b in ADA]},
    "both": {"tokens": TOKENS, "tags": TAGS, "entities": ADA},
    "offsets": {"text": TEXT, "entities": CHARACTERS},
    "offset objects": {"text": TEXT, "spans": [{"label": k, "start": a, "end": b} for a, b, k in CHARACTERS]},
    "doccano": {"id": 1, "text": TEXT, "label": CHARACTERS},
    "doccano relations": {
        "text": TEXT,
        "entities": [{"label": k, "start_offset": a, "end_offset": b} for a, b, k in CHARACTERS],
    },
    "prodigy": {"text": TEXT, "tokens": PRODIGY, "spans": [{"start": a, "end": b, "label": k} for a, b, k in CHARACTERS]},
    "spacy line": [TEXT, {"entities": CHARACTERS}],
    "spacy array": json.dumps([[TEXT, {"entities": CHARACTERS}]]),
    "spacy array, broken up": json.dumps([[TEXT, {"entities": CHARACTERS}]], indent=1),
    "array of objects": json.dumps([{"text": TEXT, "entities": CHARACTERS}]),
}


@pytest.mark.parametrize("given", SAME.values(), ids=SAME)
def test_every_format_says_the_same(given):
    (sentence,), findings = parse(given)
    assert sentence.tokens == TOKENS
    assert sentence.spans == ADA
    assert sentence.text in (None, TEXT)
    assert sentence.offsets in (None, PLACES)
    assert not findings


@pytest.mark.parametrize("name", ["conllu", "uner", "tokens and text", "offsets", "prodigy", "spacy line", "spacy array"])
def test_the_text_and_the_places_of_its_words_are_kept(name):
    (sentence,), _ = parse(SAME[name])
    assert (sentence.text, sentence.offsets) == (TEXT, PLACES)


def test_records_know_their_lines():
    array = json.dumps([[TEXT, {"entities": []}]] * 3).replace("], [", "],\n\n[")
    assert [sentence.line for sentence in parse(array)[0]] == [1, 3, 5]
    assert [sentence.line for sentence in parse(SAME["tags"], "", SAME["tags"])[0]] == [1, 3]


def test_a_word_is_cut_where_an_entity_ends_and_this_is_told():
    (sentence,), (finding,) = parse({"text": "in Amsterdam-Noord now", "entities": [[3, 12, "LOC"]]})
    assert sentence.tokens == ("in", "Amsterdam", "-Noord", "now")
    assert sentence.tags == ("O", "B-LOC", "O", "O")
    assert "".join(sentence.text[start:stop] for start, stop in sentence.offsets) == "inAmsterdam-Noordnow"
    assert finding.startswith(
        "warning: x:1: an entity begins or ends inside 'Amsterdam-Noord', so it is read as 'Amsterdam' '-Noord'"
    )


def test_white_space_at_the_ends_of_an_entity_is_cut_off_and_told():
    (sentence,), (finding,) = parse({"text": "met Ada now", "entities": [[3, 8, "PER"]]})
    assert sentence.spans == [("PER", 1, 2)]
    assert finding == "warning: x:1: PER [3, 8) has white space at its ends; read as PER [4, 7)."


def test_a_text_may_hold_several_sentences():
    (sentence,), _ = parse({"text": "One.\nAda left.", "entities": [[5, 8, "PER"]]})
    assert (sentence.tokens, sentence.text) == (("One", ".", "Ada", "left", "."), "One.\nAda left.")


def test_words_of_a_multiword_token_share_its_place():
    rows = ["1-2\tdel", "1\tde\tO", "2\tel\tO", "3\tSol\tB-LOC"]
    text = "\n".join("\t".join([*row.split("\t")[:2], *"_" * 7, f"NER={row.split()[-1]}"]) for row in rows)
    (sentence,), _ = parse(text.replace("NER=del", "_"))
    assert (sentence.tokens, sentence.spans) == (("de", "el", "Sol"), [("LOC", 2, 3)])
    assert (sentence.text, sentence.offsets) == ("del Sol", ((0, 3), (0, 3), (4, 7)))


def test_schemes_of_tags_are_told_apart_in_json_too():
    tagged = [{"tokens": ["a", "b"], "tags": tags} for tags in (["I-X", "I-X"], ["I-X", "B-X"])]
    sentences, findings = parse(*tagged)
    assert [sentence.tags for sentence in sentences] == [("B-X", "I-X"), ("B-X", "B-X")]
    assert not findings
    assert "I-X continues nothing" in parse(tagged[0], {"tokens": ["a"], "tags": ["B-X"]})[1][0]


def test_a_text_that_the_tokens_are_not_of_is_told():
    (sentence,), (finding,) = parse({"tokens": ["(", "a"], "text": "-LRB- a", "tags": ["O", "O"]})
    assert (sentence.tokens, sentence.offsets) == (("(", "a"), None)
    assert "text does not hold the tokens in their order" in finding


def test_the_words_of_tokens_with_places_are_those_of_the_text_and_others_are_told():
    tokens = [{"text": "Ada", "start": 0, "end": 2}, {"text": "left", "start": 4, "end": 8}]
    (sentence,), (finding,) = parse({"text": "Ada left", "tokens": tokens, "spans": []})
    assert sentence.tokens == ("Ad", "left")
    assert finding.startswith("warning: x:1: the token 'Ada' has the place [0, 2), where text has 'Ad'. See that offsets count")


def test_the_text_that_an_entity_brings_must_stand_in_its_place():
    spans = [{"start": a, "end": b, "label": k, "text": TEXT[a:b] + " "} for a, b, k in CHARACTERS]
    for tokens in ({}, {"tokens": PRODIGY}):
        assert parse({"text": TEXT, "spans": spans, **tokens})[1] == []
        wrong = [{**spans[0], "text": "Ada"}, spans[1], {"start": 13, "end": 17, "label": "X", "text": None}]
        (sentence,), findings = parse({"text": TEXT, "spans": wrong, **tokens})
        assert findings == [
            "warning: x:1: the entity 'Ada' has the place [0, 12), where text has 'Ada Lovelace'. "
            "See that offsets count characters from 0 and that end is the first behind the entity."
        ]
        assert sentence.spans[0] == ("PER", 0, 2)


def test_records_that_were_not_accepted_are_no_examples():
    accepted = {"text": "Ada left.", "spans": [{"start": 0, "end": 3, "label": "PER"}], "answer": "accept"}
    broken = {"text": "Ada left.", "answer": "ignore"}
    given = [accepted, accepted | {"answer": "reject"}, broken, accepted | {"answer": None}]
    sentences, findings = parse(*given)
    assert [one.line for one in sentences] == [1, 4]
    told = '2 of 4 records (50.0 %) left out, as "answer" is reject or ignore and not accept.'
    assert findings == [f"warning: x:2: {told}"]
    assert parse(broken)[0] == []
    assert [finding.split(":")[0] for finding in parse(broken)[1]] == ["error", "warning"]
    assert len(parse(*given, labelled=False)[0]) == 4  # to predict on


def test_entities_that_may_count_characters_where_they_count_tokens_are_told():
    text = "Mr. Ada is in New York now and then"
    counted = {"text": text, "tokens": text.split(), "entities": [{"start": 4, "end": 7, "label": "PER"}]}
    (sentence,), (finding,) = parse(counted)
    assert sentence.spans == [("PER", 4, 7)]
    assert finding == (
        "warning: x:1: entities of records with tokens count tokens, but those of 1 of 1 record would stand at words' ends "
        "too if they counted characters. If they do, leave the tokens out."
    )
    assert parse(counted | {"tags": ["O"] * 4 + ["B-PER", "I-PER", "I-PER", "O", "O"]})[1] == []  # tags say the same
    chance = {"text": "I am Ada Lovelace", "tokens": ["I", "am", "Ada", "Lovelace"], "entities": [["PER", 2, 4]]}
    other = {**chance, "entities": [["PER", 3, 4]]}
    assert parse(chance, other, other)[1] == []
    assert (
        parse({"text": "東京", "tokens": ["東", "京"], "entities": [["LOC", 0, 2]]})[1] == []
    )  # the same, whatever is counted


def test_records_without_a_word_are_left_out_and_told():
    sentences, findings = parse({"text": " \n", "entities": []}, SAME["tags"])
    assert len(sentences) == 1
    assert findings == ["warning: x:1: the record holds no word; left out."]


def test_of_many_warnings_the_first_are_told():
    _, findings = parse(*[{"text": "ab", "entities": [[0, 1, "X"]]}] * 100)
    assert len(findings) == 20
    assert findings[-1].endswith("And 80 more like this.")


AT_0_2, AT_1_2, AT_0_3 = ({"start": start, "end": stop} for start, stop in ((0, 2), (1, 2), (0, 3)))
WRONG = [
    ({"text": "Ada", "entities": [[0, 4, "PER"]]}, "0 <= start < end <= 3, as there are 3 characters"),
    ({"text": "Ada", "entities": [[2, 2, "PER"]]}, "0 <= start < end <= 3"),
    ({"text": "Ada", "entities": [[-1, 2, "PER"]]}, "0 <= start < end <= 3"),
    ({"text": "Ada", "entities": [[0, True, "PER"]]}, "whole numbers for start and end"),
    ({"text": "Ada", "entities": [[0, 1.0, "PER"]]}, "whole numbers for start and end"),
    ({"text": "Ada", "entities": [[0, 3, ""]]}, "an entity must have a type"),
    ({"text": "Ada", "entities": [[0, 3]]}, "an entity must be an object in braces, got [0, 3]."),
    ({"text": "Ada", "entities": {"a": 1}}, "the entities must be a list in brackets"),
    ({"text": "a  b", "entities": [[1, 3, "PER"]]}, "an entity must hold a word, got PER [1, 3), which is white space."),
    ({"text": "Ada B C", "entities": [[0, 5, "X"], [4, 7, "Y"]]}, "must not overlap, got X [0, 5) and Y [4, 7) in characters."),
    ({"tokens": ["a", "b"], "entities": [["X", 0, 2], ["Y", 1, 2]]}, "must not overlap, got X [0, 2) and Y [1, 2) in tokens."),
    ({"tokens": ["a"], "entities": [["X", 0, 2]]}, "0 <= start < end <= 1, as there are 1 tokens"),
    ({"tokens": ["a"], "ner_tags": [3]}, "ner_tags must be names such as B-PER, got the number 3. Write the names"),
    ({"tokens": ["a"], "tags": ["PER"]}, "the tag 'PER' is of no known scheme"),
    ({"tokens": ["a"], "tags": ["O", "O"]}, "tags must be one a token, got 2 for 1 tokens."),
    ({"tokens": ["a"], "tags": ["O"], "entities": [["X", 0, 1]]}, "tags and the entities must say the same."),
    ({"tokens": ["a", " "], "tags": ["O", "O"]}, 'a token must hold more than white space, got " ".'),
    ({"tokens": ["a", 1], "tags": ["O", "O"]}, "a token must be text in quotes, got 1."),
    ({"tokens": "a b", "tags": ["O", "O"]}, 'tokens must be a list in brackets, got "a b".'),
    ({"tokens": ["a"]}, 'a record with "tokens" must have "tags", one a token, or "entities"'),
    ({"text": "a"}, 'a record with "text" must have "entities"'),
    ({"text": 1, "entities": []}, "text must be text in quotes, got 1."),
    ({"words": None}, 'a record must have "tokens", a list of words, or "text".'),
    (["Ada", {"entities": []}, 3], 'a record in brackets must be ["text"'),
    (["Ada", []], "what follows the text must be an object in braces, got []."),
    ('{"tokens": ["a"], "tags": ["O"]', "this must be JSON: Expecting ',' delimiter at column 32."),
    ('{"tokens": ["a"], "tags": ["O"]} x', 'a line must hold one record, got "x" behind it.'),
    ('{"text": "\\ud800", "entities": []}', "the text must be Unicode, got half of a pair"),
    ('{"a": ' + "[" * 100_000, "this must be JSON that can be read: "),
    ('{"a": ' + "1" * 10_000 + "}", "this must be JSON that can be read: "),
    ('[["a", {"entities": []}] ["b", {"entities": []}]]', "a comma must stand behind each record of the array"),
    ('[["a", {"entities": []}],', "the array must end with ], the file ends before."),
    ('[["a", {"entities": []}', "this must be JSON: Expecting ',' delimiter"),
    ("[]", "the file holds no sentence."),
    ('{tokens: ["a"]}', "this must be JSON: Expecting property name enclosed in double quotes at column 2."),
    ("[Applause] Thank you", "this must be JSON: Expecting value at column 2."),
    ("", "the file holds no sentence"),
    ({"text": "ab", "tokens": [AT_0_3], "spans": []}, "a token's place must be [start, end], inside the text"),
    ({"text": "ab", "tokens": [AT_0_2, AT_1_2], "spans": []}, "in their order, got [1, 2] behind [0, 2]"),
    ({"text": "ab", "tokens": [AT_0_2, AT_0_2], "spans": []}, "two have the same start and end."),
    ({"text": "a b", "tokens": [{"start": 0, "end": 1}], "spans": [[2, 3, "X"]]}, "got X [2, 3), where no token is."),
    ({"tokens": ["a", "b"], "tags": ["O", "O"], "text": "ab", "offsets": [[0, 1]]}, "offsets must be one a token, got 1 for 2"),
    (conllu("_", "_", "_", "_", "_"), "no entity is marked in MISC. Mark words by NER=B-PER"),
    (conllu("NER=PER", "_", "_", "_", "_"), "x:2: the tag 'PER' is of no known scheme"),
    (conllu("NER=O", "_", "_", "_", "_").replace("3\tleft", "4\tleft"), "ids must count 1, 2, 3 in order"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_what_is_wrong_is_said(given, message):
    _, findings = parse(given)
    errors = [finding for finding in findings if finding.startswith("error: x")]
    assert len(errors) == 1
    assert message in errors[0]
    assert len(errors[0]) < 400


def test_one_wrong_record_does_not_hide_the_others():
    sentences, findings = parse(SAME["tags"], {"tokens": 3}, SAME["tags"], {"text": "a", "entities": [[0, 9, "X"]]})
    assert [sentence.line for sentence in sentences] == [1, 3]
    assert [finding.split(":")[2] for finding in findings] == ["2", "4"]


def test_a_sentence_with_a_wrong_tag_is_left_out():
    wrong = conllu("NER=PER", "_", "_", "_", "_")
    sentences, findings = parse(f"{wrong}\n{SAME['conllu']}")
    assert [sentence.line for sentence in sentences] == [9]
    assert len(findings) == 1


def test_types_may_have_spaces_between_tabs():
    for labelled in (True, False):
        (sentence,), _ = parse("{\tB-work of art", labelled=labelled)
        assert sentence.tokens == ("{",)


def test_columns_are_not_taken_for_json_or_for_numbered_rows():
    for first in ("{", "[", "1", "#"):
        (sentence,), findings = parse(f"{first}\tNN\tO\nb\tNN\tB-X")
        assert sentence.tokens == (first, "b")
        assert not findings
    assert parse("1\tCD\tO")[0][0].tokens == ("1",)
    assert parse("# text = a\n1\ta\tO")[0][0].tokens == ("a",)


@pytest.mark.parametrize("name", [name for name in SAME if name != "columns"])
def test_labels_are_not_read_where_none_are_wanted(name):
    (sentence,), findings = parse(SAME[name], labelled=False)
    assert (sentence.tokens, sentence.tags) == (TOKENS, None)
    assert not findings


def test_without_labels_any_text_can_be_read():
    assert [one.tokens for one in parse("Ada left.", "", "Why?", labelled=False)[0]] == [("Ada", "left", "."), ("Why", "?")]
    assert parse({"text": "Ada left"}, {"tokens": ["New York"]}, labelled=False)[0][1].tokens == ("New York",)
    assert parse("1\tAda" + "\t_" * 8, labelled=False)[0][0].tokens == ("Ada",)
    assert parse("a\tB-X", labelled=False)[0] == [Sentence(("a",), None, 1)]
    assert parse({"text": "Amsterdam", "entities": [[0, 9, 7]]}, labelled=False)[0][0].tokens == ("Amsterdam",)


def tokens_of(text: str) -> list[str]:
    return [" ".join(sentence.tokens) for sentence in parse(text, labelled=False)[0]]


@pytest.mark.parametrize(
    "text",
    [
        "Ada\nLovelace\nmet\n\nIn\nLondon\n",
        "-DOCSTART-\n\n# sent_id = 1\nAda\nLovelace\nmet\n\nIn\nLondon",
        "Ada\tNNP\nLovelace\tNNP\nmet\tVBD\n\nIn\tIN\nLondon\tNNP",
        "Ada \nLovelace\nmet \n \n\nIn\nLondon",
    ],
)
def test_without_labels_columns_need_no_tags(text):
    assert tokens_of(text) == ["Ada Lovelace met", "In London"]
    assert parse(text, labelled=False)[0][1].line == text[: text.index("In")].count("\n") + 1


def test_columns_of_a_script_without_spaces():
    assert tokens_of("我\n爱\n北京\n\n谢谢\n你") == ["我 爱 北京", "谢谢 你"]
    assert tokens_of("我爱北京天安门。\n谢谢\n\n你好\n再见")[0] == "我 爱 北 京 天 安 门 。"


@pytest.mark.parametrize(
    "text",
    [
        "Ada\nLovelace\nmet",  # no blank line
        "Ada\n\nLovelace\n\nmet",  # never several in a row
        "Yes\nNo\n\nYes",  # as often as not
        "Hamlet\nAct\n\nWho is there?\nNay",
        "Ada\tNNP\nmet\n\nIn\nLondon",  # not the same columns
        "Ada Lovelace\t1815\nmet\t1833\n\nIn\t1\nLondon\t2",
    ],
)
def test_without_labels_what_may_be_text_is_text(text):
    assert len(tokens_of(text)) == sum(bool(line.strip()) for line in text.split("\n"))


@pytest.mark.parametrize("text", ["[Applause] Thank you", "{laughs} Ada", "[[File:x]] y", "[ 1 ] Ada said", "[", "{ Ada"])
def test_without_labels_a_text_may_begin_with_a_bracket(text):
    (sentence, *_), findings = parse(f"{text} , Ada .", labelled=False)
    assert sentence.tokens[0] == text[0]
    assert not findings


@pytest.mark.parametrize("broken", ['{"text": ', '[{"text": "a"}', '["Ada", ', "{'text': 'Ada'}", '[\n[\n"Ada"'])
def test_without_labels_broken_json_is_told(broken):
    _, findings = parse(broken, labelled=False)
    assert all(finding.startswith("error: x:") for finding in findings)
    assert findings


def test_real_columns_are_read_as_before(ner_data):
    sentences, findings = read_entities(ner_data / "wnut17_en" / "dev.conll")
    assert (len(sentences), sum(len(sentence.spans) for sentence in sentences)) == (1009, 836)
    assert not findings
