"""Where tokens stand in a text, and what is said of those that do not stand there."""

import json
from pathlib import Path

import pytest

from regard.data.entities import parse_entities
from regard.data.offsets import misplaced, offsets_in
from regard.data.roles import parse_roles


def test_tokens_are_found_in_their_text():
    assert offsets_in("a  b c", ["a", "b c"]) == ((0, 1), (3, 6))
    assert offsets_in(" ab", ["a", "b"]) == ((1, 2), (2, 3))
    assert offsets_in("a x b", ["a", "b"]) is None
    assert offsets_in("a b", ["a"]) is None


def test_a_token_that_is_not_what_stands_in_its_place_is_told():
    assert misplaced(["Ada", "left"], "Ada left", ((0, 3), (4, 8))) == []
    assert misplaced([" Ada"], "Ada", ((0, 3),)) == []  # white space at its ends is no part of a place
    assert misplaced(["de", "el", "Sol"], "del Sol", ((0, 3), (0, 3), (4, 7))) == []
    assert misplaced(["Ada", "left"], "Ada left", ((1, 3), (4, 8))) == [
        "the token 'Ada' has the place [1, 3), where text has 'da'. "
        "See that offsets count characters from 0 and that end is the first behind the token."
    ]
    assert "where text has '😀 A', and so for 1 more of its tokens." in misplaced(["Ada", "b"], "😀 Ada b", ((0, 3), (4, 5)))[0]
    assert misplaced(["a"], None, None) == []


LABELS = {"ner": {"tags": ["B-PER", "O"]}, "srl": {"predicate": 1}}
PARSERS = {"ner": parse_entities, "srl": parse_roles}


@pytest.mark.parametrize("task", PARSERS)
@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"text": "Ada left", "offsets": [[0, 3], [4, 8]]}, []),
        ({"text": "Ada left", "offsets": [[1, 3], [4, 8]]}, ["warning: x:1: the token 'Ada' has the place [1, 3), where"]),
        ({"text": "Bob left"}, ["warning: x:1: text does not hold the tokens in their order; read without their places."]),
        ({"text": "leftAda", "offsets": [[4, 7], [0, 4]]}, ["error: x:1: tokens must stand in the text in their order, got"]),
        ({"text": "Ada left", "offsets": [[0, 3], [4, 9]]}, ["error: x:1: a token's place must be [start, end], inside the"]),
        ({"text": "Ada left", "offsets": [[0, 3]]}, ["error: x:1: offsets must be one a token, got 1 for 2 tokens."]),
    ],
)
def test_places_that_are_none_are_told_of_entities_and_of_roles(task, given, found):
    line = json.dumps({"tokens": ["Ada", "left"], **LABELS[task], **given})
    _, findings = PARSERS[task]([line], Path("x"))
    assert [str(one)[: len(start)] for one, start in zip(findings, found, strict=True)] == found
