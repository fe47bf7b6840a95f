"""Text into tokens and back."""

import json
import random

import pytest

from regard.data.vocabulary import UNKNOWN
from regard.tasks.subwords import END, NUM_SIGNS, PADDING, START, fit_tokens, load_tokens

TEXTS = [
    "Zwei junge weiße Männer  sind im Freien.",
    "Two young, White males are outside.",
    "漢字 😀 \t x",
    "  leading\nlines\r\n",
    "",
]
LOSSLESS = ["bpe", "unigram", "characters", "bytes"]


def strange(number):
    draw = random.Random(number)
    return "".join(chr(draw.choice([*range(32, 127), 0x85, 0x2028, 0xE9, 0x4E2D, 0x1F600])) for _ in range(draw.randrange(30)))


@pytest.fixture(params=[*LOSSLESS, "words"], scope="module")
def tokens(request):
    return fit_tokens([*TEXTS, *map(strange, range(200))], request.param, 400)


def test_nothing_is_lost(tokens):
    texts = [*TEXTS, *map(strange, range(200))]
    if tokens.kind == "words":
        texts = [" ".join(text.split()) for text in texts]
        assert [tokens.decode(one) for one in tokens.encode(texts)][:4] == texts[:4]
    else:
        assert [tokens.decode(one) for one in tokens.encode(texts)] == texts


def test_it_comes_back_from_json(tokens):
    again = load_tokens(json.loads(json.dumps(tokens.to_json())))
    assert again.encode(TEXTS) == tokens.encode(TEXTS)
    assert len(again) == len(tokens)
    assert again.kind == tokens.kind


def test_signs_are_never_written_by_a_text_nor_read_into_one(tokens):
    written = tokens.encode(["‹start› ‹end›‹padding› </s>", *TEXTS])
    assert not {PADDING, START, END} & {token for one in written for token in one}
    body = tokens.encode(["Two young"])[0]
    assert tokens.decode([START, *body, END, PADDING]) == tokens.decode(body)
    assert all(NUM_SIGNS <= token < len(tokens) or token == UNKNOWN for one in written for token in one)


@pytest.mark.parametrize("kind", ["bpe", "unigram", "bytes"])
def test_no_character_is_unknown_to_what_works_on_bytes(kind):
    tokens = fit_tokens(TEXTS, kind, 300)
    assert tokens.decode(tokens.encode(["Ωμέγα ☃ 𝔘"])[0]) == "Ωμέγα ☃ 𝔘"


def test_an_unknown_character_is_marked():
    tokens = fit_tokens(["abc"], "characters", 0)
    assert tokens.decode(tokens.encode(["aΩb"])[0]) == "a\ufffdb"


def test_as_many_tokens_as_asked_for():
    words = [" ".join(strange(number) for number in range(at, at + 9)) for at in range(300)]
    assert len(fit_tokens(words, "bpe", 500)) == 500
    assert len(fit_tokens(["a b c d e e"], "words", NUM_SIGNS + 2)) == NUM_SIGNS + 2
    assert fit_tokens(["a b c d e e"], "words", NUM_SIGNS + 1).encode(["e a"]) == [[NUM_SIGNS, UNKNOWN]]


def test_pieces_say_where_words_begin():
    tokens = fit_tokens(TEXTS * 20, "bpe", 400)
    assert "".join(tokens.pieces(tokens.encode(["Two young, White"])[0])) == " Two young, White"
