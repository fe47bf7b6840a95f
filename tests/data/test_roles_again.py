"""Roles written and read again are the same, and no file, however broken, ends in another exception."""

import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from regard.data.roles import FORMATS, parse_roles, read_roles, write_roles
from regard.data.sentence import Proposition, RoleSentence
from regard.data.spans import Span
from tests.conftest import SHARED

PATH = Path("x")
TOKENS = [
    "a",
    "the",
    "(",
    ")",
    "*",
    "(A0*",
    "*)",
    "(V*)",
    "#",
    "#begin",
    "_",
    "-",
    "4-5",
    "4.1",
    "1",
    "01",
    "LV",
    "?",
    '{"',
    "|",
    ":",
]
TOKENS += ["ß", "東京", "é", "\u00a0x", "x\u2028y", "🙂", "# text = a"[2:6], "\\", '"', "A0:1-2", "O", "B-V"]
SPACED = ["New York", " a", "1 000", "# text = b", "1\u00a02"]
LABELS = ["A0", "ARG1", "ARGM-TMP", "R-ARG0", "C-ARG1", "C-R-A1", "é", "A:1", "V-x", "A-1", "_", "*"]
BRACKETS = ("conll2005", "conll2012")


def arguments(draw: random.Random, length: int, predicate: int, may_overlap: bool) -> tuple[Span, ...]:
    """Spans in order of their start; a V that begins at the predicate only when it is longer than it."""
    bounds = sorted(draw.sample(range(length + 1), draw.randint(0, length + 1)))
    spans = [Span(draw.choice(LABELS), *pair) for pair in pairwise(bounds) if draw.random() < 0.6]
    if may_overlap:
        starts = (draw.randrange(length) for _ in range(draw.randint(0, 2)))
        return tuple(
            sorted([*spans, *(Span("X", at, draw.randint(at + 1, length)) for at in starts)], key=lambda one: one.start)
        )
    spans = [span for span in spans if span.type != "*"]
    for place, span in enumerate(spans):
        if span.start <= predicate < span.stop:
            spans[place : place + 1] = [Span("V", predicate, span.stop)] if span.stop - predicate > 1 else []
        elif span.start > predicate and draw.random() < 0.2:
            spans[place] = span._replace(type="C-V")
    return tuple(spans)


def random_sentence(draw: random.Random, format: str) -> RoleSentence:
    flat = format in BRACKETS
    pool = {"jsonl": [*TOKENS, *SPACED, "a\tb", "a\nb"], "conllup": TOKENS + SPACED}.get(format, TOKENS)
    tokens = tuple(draw.choice(pool) for _ in range(draw.randint(1, 9)))
    propositions = []
    for predicate in sorted(draw.sample(range(len(tokens)), draw.randint(0, min(3, len(tokens))))):
        sense = draw.choice([None, "go.01", "make_up.LV", "a.b.12", "ß.03"])
        propositions.append(Proposition(predicate, sense, arguments(draw, len(tokens), predicate, not flat)))
    sentence = RoleSentence(tokens, tuple(propositions))
    if flat or draw.random() < 0.5:
        return sentence
    text, offsets = "", []
    for token in (token.strip() for token in tokens):
        offsets.append((len(text), len(text) + len(token)))
        text += token + draw.choice(["", " ", "  "])
    known = all("\n" not in token and "\t" not in token for token in tokens)
    return replace(sentence, text=text, offsets=tuple(offsets), lemmas=("l", *tokens[1:])) if known else sentence


def without_lines(sentences: list[RoleSentence]) -> list[RoleSentence]:
    return [replace(sentence, line=None) for sentence in sentences]


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_written_is_read_as_the_same(format):
    for seed in range(200):
        draw = random.Random(seed)
        sentences = [random_sentence(draw, format) for _ in range(draw.choice([1, 1, 2, 5]))]
        read, findings = parse_roles(write_roles(sentences, format), PATH)
        assert without_lines(read) == sentences, seed
        assert {finding.level for finding in findings} <= {"warning"}


def test_words_of_a_multiword_token_are_written_as_such():
    sentence = RoleSentence(("can", "not", "."), (), None, None, "cannot .", ((0, 6), (0, 6), (7, 8)))
    lines = write_roles([sentence], "conllup")
    assert lines[1:4] == ["# text = cannot .", "1-2\tcannot\t_\t_", "1\tcan\t_\t_"]
    assert without_lines(parse_roles(lines, PATH)[0]) == [sentence]


@pytest.mark.parametrize("format", FORMATS)
def test_real_data_comes_back_from_every_format(format):
    path = SHARED / "text" / "srl" / "propbank_en_ewt" / "dev.conllup.gz"
    if not path.is_file():
        pytest.skip(f"no real data in {path}; set REGARD_DATA to a folder that has text/srl")
    sentences, _ = read_roles(path)
    read, findings = parse_roles(write_roles(sentences, format), PATH)
    if format in BRACKETS:
        sentences = [RoleSentence(sentence.tokens, sentence.propositions) for sentence in sentences]
    assert without_lines(read) == without_lines(sentences)
    assert not findings


def broken(draw: random.Random, text: str) -> str:
    """The text with one to four things changed."""
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(text) + 1)
        change = draw.choice(["insert", "delete", "cut", "swap", "repeat"])
        if change == "insert":
            text = text[:place] + draw.choice(list('\t \n()*_-|:#0129{}[],"\\é\x00\u2028\r')) + text[place:]
        elif change == "delete":
            text = text[:place] + text[place + draw.randint(1, 12) :]
        elif change == "cut":
            text = text[:place]
        else:
            lines = text.split("\n")
            one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
            lines[one], lines[other] = lines[other], lines[one if change == "swap" else other]
            text = "\n".join(lines)
    return text


def looks_whole(sentence: RoleSentence) -> bool:
    length = len(sentence.tokens)
    spans = [span for one in sentence.propositions or () for span in one.arguments]
    return all(sentence.tokens) and all(0 <= span.start < span.stop <= length and span.type for span in spans)


@pytest.mark.parametrize("format", FORMATS)
def test_a_broken_file_is_read_or_told(format):
    told = 0
    for seed in range(200):
        draw = random.Random(seed)
        text = "\n".join(write_roles([random_sentence(draw, format) for _ in range(4)], format))
        sentences, findings = parse_roles(broken(draw, text).split("\n"), PATH)
        assert sentences or findings, seed
        assert all(map(looks_whole, sentences)), seed
        assert len(write_roles(sentences, "jsonl")) == len(sentences)
        told += any(finding.level == "error" for finding in findings)
    assert told > 100
