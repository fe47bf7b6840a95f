"""The tagger as a task: encoding, prediction, explanation."""

import itertools
import json
from dataclasses import replace

import pytest
import torch

from regard.data.sentence import Sentence
from regard.data.spans import Span
from regard.errors import InputError
from regard.models.options import EncoderOptions, TaggerOptions, WordOptions
from regard.tasks.folder import Run, load_run, predict_all, save_start, save_weights
from regard.tasks.ner.task import Ner
from regard.tasks.words import normal_form, shape

SENTENCES = [
    Sentence(("Ada", "Lovelace", "met", "Babbage", "in", "London", "."), ("B-PER", "I-PER", "O", "B-PER", "O", "B-LOC", "O")),
    Sentence(("Nothing", "happened", "in", "1843"), ("O", "O", "O", "O")),
    Sentence(("Paris",), ("B-LOC",)),
]
TASK = Ner(words=WordOptions(d_word=8, d_character=8, d_affix=4), model=TaggerOptions(d_recurrent=8, num_heads=2))


@pytest.fixture
def model_and_encoder():
    torch.manual_seed(0)
    encoder = TASK.fit_encoder(SENTENCES)
    return TASK.build(encoder).eval(), encoder


def test_words_are_normalised():
    assert normal_form("B2B-1843") == "b0b-0000"
    assert shape("McDonald's") == "XxXxx'x"
    assert shape("1843") == "dd"
    assert shape("A" * 50) == "XX"


def test_an_encoder_comes_back_from_json():
    encoder = TASK.fit_encoder(SENTENCES)
    again = TASK.load_encoder(json.loads(json.dumps(encoder.to_json())))
    one, other = encoder.collate(SENTENCES), again.collate(SENTENCES)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_words_seen_once_stand_behind_those_seen_more_often():
    encoder = TASK.fit_encoder(SENTENCES)
    words = encoder.reading.words
    assert words.words["in"] < words.first_rare <= words.words["ada"]
    assert words.words["never"] == 1


def test_tags_of_a_type_training_never_saw_count_as_outside():
    encoder = TASK.fit_encoder(SENTENCES)
    batch = encoder.collate([Sentence(("a", "b"), ("B-NEW", "B-PER"))])
    assert [encoder.tags[i] for i in batch["tags"][0]] == ["O", "S-PER"]


def test_a_batch_does_not_change_a_prediction(model_and_encoder):
    model, encoder = model_and_encoder
    together = model(encoder.collate(SENTENCES))
    for i, sentence in enumerate(SENTENCES):
        alone = model(encoder.collate([sentence]))[0]
        torch.testing.assert_close(together[i, : len(sentence.tokens)], alone, rtol=1e-4, atol=1e-5)


def test_predictions_come_in_the_order_of_the_examples(model_and_encoder):
    model, encoder = model_and_encoder
    alone = [predict_all(TASK, encoder, model, [sentence])[0] for sentence in SENTENCES * 3]
    assert predict_all(TASK, encoder, model, SENTENCES * 3, max_length=9) == alone


def test_no_forbidden_tag_is_ever_predicted(model_and_encoder):
    """An untrained model is as wild as can be; still each prediction is a set of whole spans."""
    model, encoder = model_and_encoder
    for spread in (1, 30):
        torch.nn.init.normal_(model.emit.weight, std=spread)
        raw = model.predict(encoder.collate(SENTENCES))
        for tags in raw:
            names = ["", *(encoder.tags[i] for i in tags), ""]
            from regard.data.spans import may_follow

            assert all(may_follow(a, b) for a, b in itertools.pairwise(names))


def test_loss_falls_and_gradients_reach_every_parameter(model_and_encoder):
    model, encoder = model_and_encoder
    model.train()
    loss = model.loss(encoder.collate(SENTENCES))
    loss.backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not without
    assert loss > 0


def test_explaining_shows_the_tokens_and_the_tags(model_and_encoder):
    model, encoder = model_and_encoder
    (picture,) = TASK.explain(encoder, model, SENTENCES[:1])
    assert picture.keys == list(SENTENCES[0].tokens)
    assert picture.layers[-1].name == "attention.mechanism"
    assert len(picture.layers[-1].heads) == 2
    assert len(picture.labels) == 7


def test_every_kind_of_input_is_read():
    read = TASK.read_input
    assert [s.tokens for s in read(["Ada\tO", "met\tO", "", "Bob\tB-PER"])] == [("Ada", "met"), ("Bob",)]
    assert read(["Ada met @bob in St. Paul's!"])[0].tokens == ("Ada", "met", "@bob", "in", "St", ".", "Paul's", "!")
    assert read(['{"tokens": ["New York", "x"]}'])[0].tokens == ("New York", "x")
    assert read(['{"text": "Ada met"}', ""])[0].tokens == ("Ada", "met")
    from regard.errors import InputError

    with pytest.raises(InputError, match="this must be JSON"):
        read(['{"nope'])
    with pytest.raises(InputError, match=r"must be JSON: .* \(1 more\.\)"):  # there is no file to check
        read(['{"nope', "[]"])
    with pytest.raises(InputError, match='a record must have "tokens"'):
        read(['{"text": "fine"}', '{"phrase": []}'])


def test_json_lines_hold_tokens_tags_and_entities():
    line = TASK.to_json(Sentence(("New", "York", "!")), [Span("LOC", 0, 2)])
    assert line == {
        "tokens": ["New", "York", "!"],
        "tags": ["B-LOC", "I-LOC", "O"],
        "entities": [{"type": "LOC", "start": 0, "end": 2, "text": "New York"}],
    }


def test_a_run_comes_back_from_its_folder(model_and_encoder, tmp_path):
    model, encoder = model_and_encoder
    save_start(tmp_path, Run(TASK, encoder, model), {"seed": 3})
    save_weights(tmp_path, model)
    run = load_run(tmp_path)
    assert run.task == TASK
    assert run.predict(SENTENCES) == predict_all(TASK, encoder, model, SENTENCES)
    assert not list(tmp_path.glob(".*"))


def test_attention_can_be_left_out(model_and_encoder):
    task = Ner(model=TaggerOptions(mechanism="none"))
    model = task.build(model_and_encoder[1])
    assert not any("attention" in name for name, _ in model.named_parameters())
    assert len(model.eval().predict(model_and_encoder[1].collate(SENTENCES))) == 3


def test_any_mechanism_can_be_named(model_and_encoder):
    task = Ner(model=TaggerOptions(mechanism="additive", d_recurrent=8, num_heads=2))
    assert task.build(model_and_encoder[1]).attention.mechanism.energy.weight.shape == (1, 8)


def test_each_record_has_its_answer_also_one_without_a_word(model_and_encoder):
    model, encoder = model_and_encoder
    run = Run(TASK, encoder, model)
    lines = ['{"text": "Ada met Babbage."}', '{"text": ""}', "", '{"text": "  "}', '{"tokens": ["Paris"]}']
    examples = TASK.read_input(lines)
    assert [one.line for one in examples] == [1, 2, 4, 5]
    assert [one.tokens for one in examples[1:]] == [(), (), ("Paris",)]
    alone = TASK.read_input(lines[1:2])
    assert run.predict(alone) == [[]]
    assert run.predict(examples)[1:3] == [[], []]
    record = run.rank(alone, 2)[0]
    assert record == {"text": "", "tokens": [], "tags": [], "entities": [], "readings": [{"probability": 1.0, "entities": []}]}
    assert TASK.explain(encoder, model, alone) == []


def test_predicates_are_not_marked():
    with pytest.raises(InputError, match="marked_layers marks predicates"):
        replace(TASK, encoder=EncoderOptions(marked_layers=1)).build(TASK.fit_encoder(SENTENCES))
