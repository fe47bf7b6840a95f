"""What is chosen on dev between precision and recall."""

from math import inf, sqrt

import pytest
import torch

from regard.data.sentence import Sentence
from regard.errors import InputError
from regard.models.options import TaggerOptions, WordOptions
from regard.tasks.folder import Run
from regard.tasks.ner.balance import SHIFTS, balance, f_beta
from regard.tasks.ner.task import Ner

TASK = Ner(words=WordOptions(d_word=8, d_character=8, d_affix=4), model=TaggerOptions(d_recurrent=8, mechanism="none"))
SENTENCES = [Sentence((name, "met", "Bob"), ("B-PER", "O", "O")) for name in ("Ada", "Eve", "Kim", "Lea")] * 10


@pytest.fixture
def run():
    """A model of which each emission is known: a name's tag stands `margin` nats below O, another word's 10."""
    torch.manual_seed(0)
    encoder = TASK.fit_encoder(SENTENCES)
    return Run(TASK, encoder, TASK.build(encoder).eval())


def emitting(run, margins):
    """Sentence by sentence, how far S-PER of the first word stands below O."""
    single = run.encoder.tags.index("S-PER")
    known = {run.encoder.reading.words.words[name]: margin for name, margin in margins.items()}

    def emit(batch):
        emissions = torch.full((*batch["words"].shape, len(run.encoder.tags)), -10.0)
        emissions[:, :, 0] = run.model.emit.bias[0]
        emissions[:, 0, single] = torch.tensor([-known[number] for number in batch["words"][:, 0].tolist()])
        return emissions

    run.model.forward = emit
    torch.nn.init.zeros_(run.model.emit.bias)
    return run


def found(run):
    return sum(map(len, run.predict(SENTENCES)))


def test_a_model_that_misses_names_is_moved_to_find_them(run):
    emitting(run, {"ada": 0.6, "eve": 0.6, "kim": 0.7, "lea": -1.0})
    assert found(run) == 10
    assert balance(run, SENTENCES, 1.0) == 0.75
    assert run.model.emit.bias[0] == -0.75
    assert found(run) == 40


def test_a_model_that_finds_too_much_is_moved_back(run):
    emitting(run, {"ada": -2.0, "eve": -0.1, "kim": -0.1, "lea": -0.1})
    dev = [Sentence(one.tokens, one.tags if one.tokens[0] == "Ada" else ("O",) * 3) for one in SENTENCES]
    assert balance(run, dev, 1.0) == -0.25
    assert found(run) == 10


def test_what_gains_less_than_chance_may_is_left_alone(run):
    """One name of forty is missed: nobody knows by that whether the next would be right."""
    emitting(run, {"ada": -1.0, "eve": -1.0, "kim": -1.0, "lea": 0.6})
    dev = [one for one in SENTENCES if one.tokens[0] != "Lea"] + [SENTENCES[3]]
    assert balance(run, dev, 1.0) == 0.0
    assert balance(run, SENTENCES, 1.0) == 0.75


@pytest.mark.parametrize("tags", [("O", "O", "O"), ("B-ORG", "O", "O")])
def test_without_an_entity_to_find_the_model_stays_as_it_is(run, tags):
    dev = [Sentence(one.tokens, tags) for one in SENTENCES]
    emitting(run, dict.fromkeys(("ada", "eve", "kim", "lea"), 5.0))
    assert balance(run, dev, 1.0) == 0.0
    assert run.model.emit.bias[0] == 0


def test_beta_says_what_counts(run):
    """Half of what lies between may be had for as many mistakes: recall wants it, precision does not."""
    dev = [Sentence(one.tokens, one.tags if i % 2 else ("O",) * 3) for i, one in enumerate(SENTENCES)]
    margins = {"ada": -2.0, "eve": -2.0, "kim": 0.6, "lea": 0.6}
    taken = [balance(emitting(run, margins), dev, beta) for beta in (0.0, 1.0, 50.0)]
    assert taken[0] <= taken[1] <= taken[2] == 0.75


def test_f_beta_and_its_error():
    counts = torch.tensor([[1.0, 1, 1], [0, 1, 1], [1, 2, 1]]).double()
    score, error = f_beta(counts, 1.0)
    assert score == pytest.approx(4 / 7)
    by_hand = [2 * r - 4 / 7 * (w + g) for r, w, g in counts.tolist()]
    assert error == pytest.approx(sqrt(sum(x * x for x in by_hand)) / 7 * sqrt(3 / 2))
    assert f_beta(counts, 0.0)[0] == pytest.approx(2 / 3)
    assert f_beta(counts, 100.0)[0] == pytest.approx(1 / 2, abs=1e-4)
    assert f_beta(torch.zeros(0, 3).double(), 1.0) == (0.0, inf)


def test_the_error_is_that_of_a_bootstrap():
    torch.manual_seed(0)
    wanted = torch.randint(0, 4, (500,))
    given = torch.randint(0, 4, (500,))
    counts = torch.stack([torch.minimum(wanted, given) * torch.randint(0, 2, (500,)), wanted, given], 1).double()
    again = torch.tensor([f_beta(counts[torch.randint(0, 500, (500,))], 1.0)[0] for _ in range(400)])
    assert f_beta(counts, 1.0)[1] == pytest.approx(again.std().item(), rel=0.15)


def test_the_shifts_hold_none_at_all_and_every_sentence_keeps_its_length(run):
    assert 0.0 in SHIFTS
    readings = run.model.shifted(run.encoder.collate(SENTENCES[:3]), (0.0, 1.0))
    assert [[len(tags) for tags in own] for own in readings] == [[3, 3]] * 3
    assert [own[0] for own in readings] == run.model.predict(run.encoder.collate(SENTENCES[:3]))


def test_beta_must_be_a_weight():
    with pytest.raises(InputError, match=r"beta must be from 0 to 100, got -1\.0"):
        TaggerOptions(beta=-1.0)
