"""Entities of a tagger: their probability without some words, and attributions tested against random orders."""

import pytest
import torch

from regard.data.conll import parse_conll
from regard.data.sentence import Sentence
from regard.data.spans import Span
from regard.errors import InputError
from regard.lens.faithfulness import MEASURES
from regard.models.options import TaggerOptions, WordOptions
from regard.tasks.folder import Run
from regard.tasks.ner.faithfulness import example_of, examples_of, faithfulness_of_run
from regard.tasks.ner.task import Ner
from tests.conftest import SENTENCES


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A small tagger that knows the tiny data by heart."""
    sentences, _ = parse_conll(SENTENCES.split("\n"), tmp_path_factory.mktemp("none") / "tiny")
    torch.manual_seed(0)
    task = Ner(words=WordOptions(d_word=16, d_character=8), model=TaggerOptions(d_recurrent=16, num_heads=2))
    encoder = task.fit_encoder(sentences)
    model = task.build(encoder)
    optimizer, batch = torch.optim.Adam(model.parameters(), 0.02), encoder.collate(sentences)
    for _ in range(60):
        optimizer.zero_grad()
        model.loss(batch).backward()
        optimizer.step()
    return Run(task, encoder, model.eval()), sentences


def test_the_score_of_an_entity_is_the_sum_over_all_tag_sequences_that_have_it(learnt):
    """Of a model that learnt nothing, so that every sequence has its part."""
    run, sentences = learnt
    torch.manual_seed(0)
    run, sentence = Run(run.task, run.encoder, run.task.build(run.encoder).eval()), sentences[2]
    found = example_of(run, sentence, Span("LOC", 2, 4)).score(torch.ones(1, 4, dtype=torch.bool))
    emissions, whole = run.model(run.encoder.collate([sentence])), torch.ones(1, 4, dtype=torch.bool)
    tags, crf = run.encoder.tags, run.model.crf
    total = crf.log_partition(emissions, whole)
    first, last = tags.index("B-LOC"), tags.index("E-LOC")
    by_sum = sum(
        (crf.sequence_score(emissions, torch.tensor([[a, b, first, last]]), whole) - total).exp()
        for a in range(len(tags))
        for b in range(len(tags))
    )
    torch.testing.assert_close(found, by_sum, rtol=1e-4, atol=1e-6)
    assert 0.001 < found < 0.5


def test_a_word_that_is_taken_away_is_not_read(learnt):
    run, sentences = learnt
    sentence, other = sentences[2], Sentence(("Paris", "Nothing", "New", "York"))
    kept = torch.tensor([[True] * 4, [True, False, True, True]])
    (whole, without), (_, same) = (example_of(run, one, Span("LOC", 2, 4)).score(kept) for one in (sentence, other))
    assert whole > 0.9
    assert whole != without == same


def test_attributions_of_entities_are_tested(learnt):
    run, sentences = learnt
    examples = list(examples_of(run, sentences))
    assert len(examples) == 5
    assert all(len(x) == len(example.is_removable) for example in examples for x in example.attributions.values())
    found = faithfulness_of_run(run, sentences, max_examples=3, num_random=5)
    assert found.num_examples == 3
    assert all(
        found.verdict(name, measure) in ("better", "no better", "worse") for name in found.values for measure in MEASURES
    )
    again = faithfulness_of_run(run, sentences, max_examples=3, num_random=5)
    assert found.facts() == again.facts()
    lost = run.model(run.encoder.collate([sentences[0]]))  # the model is as it was
    assert lost.isfinite().all()


def test_a_model_that_finds_nothing_is_told(learnt):
    run, sentences = learnt
    with pytest.raises(InputError, match="needs an entity that the model finds"):
        faithfulness_of_run(run, sentences[1:2])
