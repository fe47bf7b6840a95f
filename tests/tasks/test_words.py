"""Words as numbers: what is kept of them changes nothing."""

import pickle

import pytest
import torch

from regard.tasks import words as module
from regard.tasks.words import AFFIXES, MAX_LETTERS, WordEncoder, normal_form

SENTENCES = [("Ada", "met", "Babbage"), ("Ada",)]
OTHERS = [("met", "Unknowable" * 4, "", "é"), ("Babbage", "7")]


@pytest.fixture
def encoder():
    return WordEncoder.fit(SENTENCES)


def test_every_number_is_that_of_its_word(encoder):
    batch = encoder.collate(OTHERS)
    assert batch["characters"].shape == (2, 4, MAX_LETTERS)
    assert batch["lengths"].tolist() == [4, 2]
    for i, tokens in enumerate(OTHERS):
        for j, word in enumerate(tokens):
            letters = [encoder.letters[letter] for letter in word[:MAX_LETTERS]]
            assert batch["words"][i, j] == encoder.words[normal_form(word)]
            assert batch["affixes"][i, j].tolist() == [
                known[f(word)] for known, f in zip(encoder.affixes, AFFIXES, strict=True)
            ]
            assert batch["characters"][i, j].tolist() == letters + [0] * (MAX_LETTERS - len(letters))
    for name in ("words", "affixes", "characters"):
        assert (batch[name][1, 2:] == 0).all()
        assert batch[name].dtype == torch.long
    assert encoder.collate(SENTENCES)["characters"].shape[2] == len("Babbage")


def test_forgetting_words_changes_nothing(encoder, monkeypatch):
    expected = encoder.collate(OTHERS)
    monkeypatch.setattr(module, "MAX_SPELLED", 2)
    forgetful = WordEncoder.fit(SENTENCES)
    found = forgetful.collate(OTHERS)
    assert len(forgetful.spelled) <= 2
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_an_encoder_can_be_sent_to_another_process(encoder):
    encoder.collate(OTHERS)
    again = pickle.loads(pickle.dumps(encoder)).collate(OTHERS)
    assert all(torch.equal(again[name], tensor) for name, tensor in encoder.collate(OTHERS).items())
