"""Pictures of sentences: layers of words and of pieces, and a layer of what was decided."""

import warnings

import pytest
import torch

from regard.data.sentence import Proposition, RoleSentence, Sentence
from regard.data.spans import Span
from regard.lens.watch import watch
from regard.models.options import EncoderOptions, RoleOptions, TaggerOptions, WordOptions
from regard.tasks.explain import DECIDED, decided_on
from regard.tasks.folder import Run
from regard.tasks.ner.faithfulness import faithfulness_of_run
from regard.tasks.ner.task import Ner
from regard.tasks.occlusion import Decision
from regard.tasks.srl.task import Srl
from regard.tasks.task import Training
from regard.viewer.report import to_json

ENTITIES = [
    Sentence(("Ada", "Lovelace", "met", "Babbage"), ("B-PER", "I-PER", "O", "B-PER")),
    Sentence(("Paris", "is", "in", "France"), ("B-LOC", "O", "O", "B-LOC")),
    Sentence(("nothing", "happened"), ("O", "O")),
]
ROLES = [
    RoleSentence(
        ("Ada", "met", "Charles", "and", "wrote", "notes"),
        (
            Proposition(1, "meet.02", (Span("ARG0", 0, 1), Span("ARG1", 2, 3))),
            Proposition(4, "write.01", (Span("ARG0", 0, 1), Span("ARG1", 5, 6))),
        ),
    ),
    RoleSentence(("Silence", "."), ()),
]
WORDS = WordOptions(d_word=16, d_character=8, d_affix=4, word_dropout=0.0)


def learnt(task, examples, steps=80):
    """A small model that knows the examples by heart."""
    torch.manual_seed(0)
    encoder = task.fit_encoder(examples)
    model = task.build(encoder)
    task.load_pretrained(model)
    optimizer, batch = torch.optim.Adam(model.parameters(), 0.01), encoder.collate(examples)
    for _ in range(steps):
        optimizer.zero_grad()
        model.loss(batch).backward()
        optimizer.step()
    return Run(task, encoder, model.eval())


@pytest.fixture(scope="module")
def tagger(tiny_encoder):
    model, encoder = (
        TaggerOptions(d_recurrent=16, num_heads=2, dropout=0.0),
        EncoderOptions(path=str(tiny_encoder), dropout=0.0),
    )
    return learnt(Ner(words=WORDS, encoder=encoder, model=model), ENTITIES)


@pytest.fixture(scope="module", params=[0, 1])
def labeler(request, tiny_encoder):
    encoder = EncoderOptions(path=str(tiny_encoder), dropout=0.0, marked_layers=request.param)
    model = RoleOptions(d_recurrent=16, num_heads=2, dropout=0.0)
    return learnt(Srl(Training(precision="float32"), words=WORDS, encoder=encoder, model=model), ROLES)


def layers_of(picture):
    return {layer.name: layer for layer in picture.layers}


def test_rows_in_which_no_word_counts_are_blank():
    falls = torch.tensor([[0.5, -0.1, 0.25], [0.0, 0.0, 0.0]])
    layer = decided_on([Decision(name, 0.9, one) for name, one in zip("ab", falls, strict=True)])
    torch.testing.assert_close(layer.statistics.block_map[0, 0], torch.tensor([[2 / 3, 0, 1 / 3], [0, 0, 0]]))
    assert layer.statistics.is_live[0, 0].tolist() == [True, False]
    assert (layer.shape, layer.texts) == ((2, 3), (DECIDED, "keys"))
    assert all(value.isfinite().all() for value in layer.statistics.values.values())


def test_each_layer_is_named_by_what_it_reads(tagger):
    (picture,) = tagger.task.explain(tagger.encoder, tagger.model, ENTITIES[:1])
    layers, texts = layers_of(picture), picture.extras.texts
    assert next(iter(layers)) == DECIDED
    assert picture.labels == ["B-PER", "I-PER", "O", "B-PER"]
    assert picture.note == "Ada Lovelace → PER, Babbage → PER"
    assert texts[DECIDED] == ["PER Ada Lovelace", "PER Babbage"]
    assert [piece.removeprefix("##") for piece in texts["pieces"]] == ["[CLS]", *"AdaLovelacemetBabbage", "[SEP]"]
    assert layers["attention.mechanism"].texts == ("keys", "keys")
    of_encoder = [layer for name, layer in layers.items() if name.startswith("read.encoder")]
    assert [layer.texts for layer in of_encoder] == [("pieces", "pieces")] * 2
    assert of_encoder[0].shape == (len(texts["pieces"]),) * 2
    assert picture.extras.facts["PER Babbage"].startswith(("9", "100"))
    page = to_json([picture])["pictures"][0]
    assert page["texts"] == {name: list(text) for name, text in texts.items()}


def test_a_sentence_without_an_entity_shows_attention_alone(tagger):
    (picture,) = tagger.task.explain(tagger.encoder, tagger.model, ENTITIES[2:])
    assert picture.note == "no entity"
    assert DECIDED not in layers_of(picture)
    assert not picture.extras.facts


def test_a_sentence_in_windows_says_so(tagger):
    (picture,) = tagger.task.explain(tagger.encoder, tagger.model, [Sentence(("Babbage", "met") * 5)])
    assert any(note.startswith("The encoder reads this sentence in ") for note in picture.notes)
    layer = next(layer for name, layer in layers_of(picture).items() if name.startswith("read.encoder"))
    assert layer.texts == ("pieces", "pieces")
    assert layer.shape[0] == len(picture.extras.texts["pieces"]) == 38


def test_attention_of_a_tagger_on_an_encoder_is_tested_too(tagger):
    found = faithfulness_of_run(tagger, ENTITIES, max_examples=2, num_random=3)
    assert found.num_examples == 2
    none = learnt(Ner(words=WORDS, model=TaggerOptions(d_recurrent=8, mechanism="none")), ENTITIES)
    facts = none.task.faithfulness(none, ENTITIES, 1)
    assert facts == {"faithfulness": "not tested: the tagger has no attention: it was trained with --model.mechanism none."}


def test_a_model_without_attention_shows_what_it_decided_on_without_a_warning():
    run = learnt(Ner(words=WORDS, model=TaggerOptions(d_recurrent=8, mechanism="none")), ENTITIES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (picture,) = run.task.explain(run.encoder, run.model, ENTITIES[:1])
    assert list(layers_of(picture)) == [DECIDED]


def test_each_predicate_has_its_picture(labeler):
    first, second = labeler.task.explain(labeler.encoder, labeler.model, ROLES)
    assert first.note == "met (meet.02): ARG0 Ada; ARG1 Charles"
    assert second.labels == ["B-ARG0", "O", "O", "O", "V", "B-ARG1"]
    assert second.extras.texts[DECIDED] == ["ARG0 Ada", "ARG1 notes"]
    assert second.title == "wrote · Ada met Charles and wrote notes"
    assert [name for name in layers_of(second) if not name.startswith("read")] == [DECIDED, "attention.mechanism"]
    maps = [layers_of(one)["attention.mechanism"].statistics.block_map for one in (first, second)]
    assert not torch.allclose(*maps)
    texts = [layer.texts for name, layer in layers_of(second).items() if name.startswith("read")]
    assert texts == [("pieces", "pieces")] * 2


def test_attention_of_a_picture_is_that_of_its_predicate_in_a_batch_of_all(labeler):
    """Also in layers that read a sentence again for each predicate."""
    pictures = labeler.task.explain(labeler.encoder, labeler.model, ROLES[:1])
    with watch(labeler.model) as lens, torch.no_grad():
        labeler.model(labeler.encoder.collate(ROLES[:1]))
    for row, picture in enumerate(pictures):
        for name, layer in layers_of(picture).items():
            if name != DECIDED:
                all_rows = lens[name].statistics.block_map
                torch.testing.assert_close(
                    layer.statistics.block_map[0], all_rows[min(row, len(all_rows) - 1)], atol=1e-4, rtol=0
                )


def test_worst_errors_of_entities_are_told_and_shown(tagger):
    right = list(ENTITIES)
    wrong = Sentence(ENTITIES[1].tokens, ("B-PER", "O", "O", "B-LOC"))
    predictions = tagger.predict([*right, wrong])
    (picture,) = tagger.task.worst_errors(tagger, [*right, wrong], predictions, 5)
    assert picture.note == "gold: PER Paris; said: LOC Paris (type)"
    assert picture.labels == ["B-LOC ✗ B-PER", "O", "O", "B-LOC"]
    assert picture.extras.facts["wrong"].startswith("1 said, with probabilities that add up to ")
    assert picture.layers[0].name == DECIDED


def test_worst_errors_of_roles_are_told_and_shown(labeler):
    gold = ROLES[0].propositions
    wrong = RoleSentence(ROLES[0].tokens, (Proposition(1, "meet.02", (Span("ARG1", 2, 4),)), gold[1]))
    examples = [*ROLES, RoleSentence(ROLES[0].tokens), wrong]  # one of which nobody knows the predicates
    (picture,) = labeler.task.worst_errors(labeler, examples, labeler.predict(examples), 5)
    assert picture.note == (
        "met: gold: nothing; said: ARG0 Ada (spurious) · gold: ARG1 Charles and; said: ARG1 Charles (boundary)"
    )
    assert picture.labels == ["B-ARG0 ✗ O", "V", "B-ARG1", "O ✗ I-ARG1", "O", "O"]


def test_examples_worth_showing_have_something_to_see():
    empty, full = Sentence(("a",), ("O",)), ENTITIES[0]
    assert Ner().worth_showing([empty] * 20 + [full]) == [full]
    assert Ner().worth_showing([empty]) == [empty]
    assert Srl().worth_showing([ROLES[1], ROLES[0]]) == [ROLES[0]]
