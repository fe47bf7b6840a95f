"""The demo's task: known targets, free decoding, and the alignment."""

import pytest
import torch

from regard.data.dates import WrittenDate
from regard.tasks.dates.encoder import ISO_LENGTH, START
from regard.tasks.dates.task import Dates, examples_of_each_locale
from regard.tasks.folder import predict_all

DATES = [WrittenDate("3 May 1979", "1979-05-03", "en_GB"), WrittenDate("Donnerstag, 3. Mai 1979", "1979-05-03", "de")]
TASK = Dates()


@pytest.fixture
def model_and_encoder():
    torch.manual_seed(0)
    encoder = TASK.fit_encoder(DATES)
    return TASK.build(encoder).eval(), encoder


def test_the_decoder_is_given_what_it_has_answered_so_far(model_and_encoder):
    batch = model_and_encoder[1].collate(DATES)
    assert batch["inputs"][:, 0].tolist() == [START, START]
    assert torch.equal(batch["inputs"][:, 1:], batch["outputs"][:, :-1])
    assert model_and_encoder[1].spell(batch["outputs"][0].tolist()) == "1979-05-03"


def test_free_decoding_equals_forced_decoding_of_its_own_answer(model_and_encoder):
    model, encoder = model_and_encoder
    answer = torch.tensor(model.predict(encoder.collate(DATES)))
    assert answer.shape == (2, ISO_LENGTH)
    batch = encoder.collate(DATES)
    batch["inputs"] = torch.cat([batch["inputs"][:, :1], answer[:, :-1]], 1)
    assert torch.equal(model(batch).argmax(-1), answer)


def test_a_batch_does_not_change_a_prediction(model_and_encoder):
    model, encoder = model_and_encoder
    together = model(encoder.collate(DATES))
    for i, date in enumerate(DATES):
        torch.testing.assert_close(together[i], model(encoder.collate([date]))[0], rtol=1e-4, atol=1e-5)


def test_the_picture_is_the_alignment_of_every_sign(model_and_encoder):
    model, encoder = model_and_encoder
    picture = TASK.explain(encoder, model, DATES)[1]
    (layer,) = picture.layers
    assert (layer.name, layer.shape) == ("attention", (ISO_LENGTH, len(DATES[1].text)))
    assert "1979-05-03" in picture.note  # the truth, as the untrained model is wrong
    assert "".join(picture.keys) == DATES[1].text


def test_exact_match_by_hand():
    score = TASK.score([*DATES, DATES[0]], ["1979-05-03", "1979-05-04", "1979-05-30"])
    assert score["exact_match_percent"] == pytest.approx(100 / 3)
    assert score["per_locale"] == {"de": 0, "en_GB": 50}


def test_a_date_without_an_answer_can_be_predicted(model_and_encoder):
    model, encoder = model_and_encoder
    asked = TASK.read_input(["3 May 1979\tignored", "", " 7.1.2001 "])
    assert [date.text for date in asked] == ["3 May 1979", "7.1.2001"]
    assert [date.line for date in asked] == [1, 3]
    assert all(len(iso) == ISO_LENGTH for iso in predict_all(TASK, encoder, model, asked))


def test_one_example_of_each_locale_the_longest():
    dates = [WrittenDate("a", "x", "de"), WrittenDate("abc", "x", "de"), WrittenDate("ab", "x", "bg")]
    assert [date.text for date in examples_of_each_locale(dates)] == ["ab", "abc"]
