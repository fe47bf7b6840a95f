"""Words and sentences of raw text."""

import random
import time

import pytest

from regard.data.words import may_be_word, sentence_from_text, sentences_of, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ada met @bob_1 in St. Paul's!", "Ada met @bob_1 in St . Paul's !"),
        ("don’t re-use #NLP, l'été", "don’t re-use #NLP , l'été"),
        ("See https://a.b/c?d=1#e, (www.x.org).", "See https://a.b/c?d=1#e , ( www.x.org ) ."),
        ("mail a.b+c@d-e.co.uk.", "mail a.b+c@d-e.co.uk ."),
        ("3,000 at 10:30, 1,2 or a,b", "3,000 at 10:30 , 1,2 or a , b"),
        ("U.S. $5 50% -- x", "U.S . $ 5 50 % - - x"),
        ("नमस्ते हिन्दी में", "नमस्ते हिन्दी में"),
        ("cafe\u0301 e\u0301 !\u0301", "cafe\u0301 e\u0301 !\u0301"),
        ("שלום, العربيّة", "שלום , العربيّة"),
        ("東京は OK", "東 京 は OK"),
        ("👩‍👩‍👧👍🏽 🇩🇰🇩🇪 ❤️", "👩‍👩‍👧 👍🏽 🇩🇰 🇩🇪 ❤️"),
        ("", ""),
        (" \n\t", ""),
    ],
)
def test_words_are_cut_as_a_person_would(text, words):
    assert " ".join(word for word, _, _ in words_of(text)) == words


def test_words_hold_every_character_but_white_space():
    chance = random.Random(0)
    letters = "aZ9_.,-'’@#:/ \n\u00a0\u200d\u0301\U0001f3fd👩🇩東ชשü½€\x1f\x00\u2028www.http://"
    for _ in range(500):
        text = "".join(chance.choices(letters, k=chance.randint(0, 60)))
        words = words_of(text)
        assert "".join(word for word, _, _ in words) == "".join(text.split())
        assert all(text[start:stop] == word for word, start, stop in words)
        assert [start for _, start, _ in words] == sorted({start for _, start, _ in words})


@pytest.mark.parametrize("unit", ["-", "a.", "a+", "a@b-", "www.", "http://.", ". ", "A.", "\u0301", "\u200d", ". \n", "a@"])
def test_no_text_takes_more_than_linear_time(unit):
    start = time.perf_counter()
    words_of(unit * 50_000)
    sentences_of(unit * 50_000)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("He left. She stayed!  Why? Because.", ["He left.", "She stayed!", "Why?", "Because."]),
        ("Dr. Smith paid 3.5 dollars. J. R. Smith of the U.S. Army knew.", 2),
        ('"Why?" she asked. (He went.) Then…', ['"Why?" she asked.', "(He went.)", "Then…"]),
        ("See e.g. this, vs. that, etc. and so on.", 1),
        ("It was I. He knew.", 2),
        ("One line\nand another\n\n a third", ["One line", "and another", "a third"]),
        ("一つ。二つ！三つ", ["一つ。", "二つ！", "三つ"]),
        ("no end", ["no end"]),
        ("  \n ", []),
    ],
)
def test_sentences_end_where_the_rules_say(text, sentences):
    found = sentences_of(text)
    assert all(text[start:stop] == sentence for sentence, start, stop in found)
    if isinstance(sentences, int):
        assert len(found) == sentences
    else:
        assert [sentence for sentence, _, _ in found] == sentences


def test_a_text_becomes_a_sentence_with_places():
    sentence = sentence_from_text("Ada left.", 7)
    assert (sentence.tokens, sentence.tags, sentence.line) == (("Ada", "left", "."), None, 7)
    assert (sentence.text, sentence.offsets) == ("Ada left.", ((0, 3), (4, 8), (8, 9)))


def test_what_may_be_a_word():
    assert all(map(may_be_word, ("Ada", "don't", "http://a.b/c", " St. ", "北京", "......")))
    assert not any(map(may_be_word, ("", " ", "Ada left", "我爱北京天安门")))
