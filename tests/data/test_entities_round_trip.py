"""What is written is read again as it was, and no file whatever is answered by anything but findings."""

import random
from pathlib import Path

import pytest

from regard.data.entities import FORMATS, parse_entities, read_entities, write_entities
from regard.data.files import read_lines
from regard.data.sentence import Sentence
from regard.data.spans import Span, to_bio
from regard.data.words import sentence_from_text
from regard.errors import InputError

PLAIN = [
    "Ada",
    "met",
    "New-York",
    ".",
    ",",
    "'",
    "don't",
    "O",
    "B-PER",
    "1",
    "2",
    "1-2",
    "3,000",
    "#tag",
    "@name",
    "http://a.b",
]
ODD = ["#", "_", "|", "=", '"', "\\", "{", "[", "]", "👩‍👩‍👧", "🇩🇰", "e\u0301", "\u0301", "שלום", "العربيّة", "東京", "New York"]
UGLY = ["\u200d", "NER=B-X", "a\u2028b", '{"', "]}", "'s", "SpaceAfter=No", "-", "\\n", "a|b", "हिन्दी"]
TYPES = ["PER", "ORG", "creative-work", "Ärger", "O"]
NOT_IN_COLUMNS = ["-DOCSTART-", "# text = ", "a\tb", "a\nb", " a"]


def sentence(chance: random.Random) -> Sentence:
    """Random words, entities, and for some a text with white space of any kind between the words."""
    tokens = tuple(chance.choice(PLAIN + ODD + UGLY) for _ in range(chance.randint(1, 12)))
    spans, start = [], 0
    while start < len(tokens):
        stop = min(len(tokens), start + chance.randint(1, 4))
        if chance.random() < 0.4:
            spans.append(Span(chance.choice(TYPES), start, stop))
        start = stop
    tags = tuple(to_bio(spans, len(tokens)))
    if chance.random() < 0.5:
        return Sentence(tokens, tags)
    return Sentence(tokens, tags, None, *placed(tokens, chance))


def placed(tokens: tuple[str, ...], chance: random.Random) -> tuple[str, tuple[tuple[int, int], ...]]:
    text, offsets = "", []
    for token in tokens:
        text += chance.choice(["", " ", "  ", "\u00a0"]) if text else ""
        offsets.append((len(text), len(text) + len(token)))
        text += token
    return text, tuple(offsets)


def characters(one: Sentence) -> list[tuple[str, str]]:
    """Each entity's type and characters."""
    offsets = one.offsets or placed(one.tokens, random.Random(0))[1]
    text = one.text or " ".join(one.tokens)
    if one.text is None:
        return [(kind, " ".join(one.tokens[start:stop])) for kind, start, stop in one.spans]
    return [(kind, text[offsets[start][0] : offsets[stop - 1][1]]) for kind, start, stop in one.spans]


@pytest.mark.parametrize("name", FORMATS)
def test_a_round_trip_loses_nothing(name, tmp_path):
    chance = random.Random(0)
    sentences = [sentence(chance) for _ in range(300)]
    path = tmp_path / "x"
    path.write_bytes("\n".join(write_entities(sentences, name)).encode())
    again, findings = read_entities(path)
    assert len(again) == len(sentences)
    assert not [finding for finding in findings if finding.level == "error"]
    for one, other in zip(sentences, again, strict=True):
        assert characters(other) == characters(one) or (name == "conll" and one.text)
        if FORMATS[name].holds_tokens:
            assert (other.tokens, other.tags) == (one.tokens, one.tags)
        else:
            assert other.text == (one.text or " ".join(one.tokens))
        if one.text and name in ("conllu", "jsonl"):
            assert (other.text, other.offsets) == (one.text, one.offsets)


@pytest.mark.parametrize("name", FORMATS)
def test_each_odd_token_can_be_an_entity(name):
    for token in PLAIN + ODD + UGLY:
        lines = write_entities([Sentence((token, "x"), ("B-PER", "O"))], name)
        (again,), _ = parse_entities(lines, Path("x"))
        assert again.tags[0] == "B-PER"
        assert characters(again) == [("PER", token)]


@pytest.mark.parametrize("token", NOT_IN_COLUMNS)
def test_what_columns_cannot_hold_is_refused_and_json_holds_it(token):
    given = [Sentence(("a",), ("O",)), Sentence((token, "x"), ("O", "B-X"))]
    with pytest.raises(InputError, match=r"sentence 2 cannot be written as conll: a token must not have a tab"):
        write_entities(given, "conll")
    assert parse_entities(write_entities(given, "jsonl"), Path("x"))[0][1].tokens == (token, "x")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("one", "message"),
    [
        (Sentence((), ()), "sentence 1 has none"),
        (Sentence(("a",)), "sentence 1 has none"),
        (Sentence((" ",), ("B-X",)), "sentence 1 cannot be written"),
        (Sentence(("\ud800",), ("B-X",)), "must be Unicode"),
        (Sentence(("a",), ("B-a\nb",)), "sentence 1 cannot be written"),
    ],
)
def test_what_no_format_holds_is_refused(name, one, message):
    with pytest.raises(InputError, match=message):
        write_entities([one], name)


def test_types_with_a_bar_and_texts_of_lines_are_refused_by_conllu():
    for one in (Sentence(("a",), ("B-x|y",)), Sentence(("a", "b"), ("O", "O"), None, "a\nb", ((0, 1), (2, 3)))):
        with pytest.raises(InputError, match="cannot be written as conllu"):
            write_entities([one], "conllu")
        assert write_entities([one], "jsonl")


def test_an_unknown_format_is_refused_with_those_known():
    with pytest.raises(InputError, match="one of conll, conllu, jsonl, offsets, spacy, got 'xml'"):
        write_entities([], "xml")


def test_words_that_share_a_place_become_a_multiword_token():
    given = Sentence(("de", "el", "Sol"), ("O", "O", "B-LOC"), None, "del Sol", ((0, 3), (0, 3), (4, 7)))
    lines = write_entities([given], "conllu")
    assert lines[1].startswith("1-2\tdel\t")
    assert lines[4].endswith("NER=B-LOC")


def test_a_text_keeps_its_characters_however_its_words_are_cut():
    text = "Dr. Müller’s café\n(near Köln-Deutz)!"
    given = sentence_from_text(text)
    tagged = Sentence(given.tokens, ("B-PER",) + ("O",) * (len(given.tokens) - 1), None, given.text, given.offsets)
    (again,), _ = parse_entities(write_entities([tagged], "spacy"), Path("x"))
    assert (again.text, again.tokens, again.offsets) == (text, given.tokens, given.offsets)


def broken(data: bytes, chance: random.Random) -> bytes:
    """Bytes put in, taken out, changed, doubled or cut off, or white space and quotes exchanged."""
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(data) + 1)
        stop = min(len(data), start + chance.choice([1, 1, 2, 8, 40]))
        junk = chance.choice([b"", b"\t", b"\n", b'"', b"]", b"{", b",", b"-5", b"null", b"1e999", b"\xff", b"\\ud800", b"O"])
        data = chance.choice([data[:start] + junk + data[stop:], data[:start], data[:stop] + data[start:], data[start:]])
    old, new = chance.choice(
        [(b"\t", b" "), (b"B-", b"I-"), (b'"', b"'"), (b"1", b"-1"), (b"\n", b"\r\n"), (b"_", b""), (b"a", b"a")]
    )
    return data.replace(old, new)


def test_broken_files_give_findings_or_sentences_and_nothing_else(tmp_path):
    chance, path = random.Random(1), tmp_path / "x"
    outcomes = {"error": 0, "read": 0}
    for number in range(400):
        name = list(FORMATS)[number % len(FORMATS)]
        whole = "\n".join(write_entities([sentence(chance) for _ in range(3)], name)).encode()
        path.write_bytes(broken(whole, chance))
        try:
            lines = read_lines(path)
        except InputError:
            continue
        for labelled in (True, False):
            sentences, findings = parse_entities(lines, path, labelled=labelled)
            errors = [finding for finding in findings if finding.level == "error"]
            assert all(one.tokens and all(map(str.strip, one.tokens)) for one in sentences)
            assert all(len(one.tokens) == len(one.tags or one.tokens) for one in sentences)
            assert all("\n" not in finding.message for finding in errors)
            assert sentences or errors or not labelled
        outcomes["error" if errors else "read"] += 1
    assert min(outcomes.values()) > 50
