"""How readily a tagger speaks up is chosen on dev."""

import pytest
import torch

from regard.models.options import RoleOptions, TaggerOptions
from regard.tasks.folder import Run
from regard.tasks.ner.task import Ner
from regard.tasks.srl.task import Srl
from tests.tasks import test_ner, test_srl

CASES = {
    "ner": (Ner(words=test_srl.WORDS, model=TaggerOptions(d_recurrent=8, num_heads=2)), test_ner.SENTENCES),
    "deep": (test_srl.TASK, test_srl.SENTENCES),
    "document": (
        Srl(words=test_srl.WORDS, model=RoleOptions(name="document", d_recurrent=8, num_heads=2, d_indicator=4)),
        test_srl.SENTENCES,
    ),
}


@pytest.fixture(params=CASES, scope="module")
def learnt(request):
    task, sentences = CASES[request.param]
    torch.manual_seed(0)
    encoder = task.fit_encoder(sentences)
    model = task.build(encoder).eval()  # without dropout it learns by heart
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        model.loss(encoder.collate(sentences)).backward()
        optimizer.step()
    run = Run(task, encoder, model)
    assert task.score(sentences, run.predict(sentences))["f1_percent"] == 100
    return run, sentences, {name: tensor.clone() for name, tensor in model.state_dict().items()}


def score(run, sentences):
    return run.task.score(sentences, run.predict(sentences))["f1_percent"]


@pytest.mark.parametrize("wrong", [-1e-3, 0.0, 1e-3])
def test_what_is_best_stays(learnt, wrong):
    run, sentences, weights = learnt
    run.model.load_state_dict(weights)
    with torch.no_grad():
        run.model.label_bias.add_(wrong)
    before = run.model.label_bias.clone()
    run.task.settle(run, sentences)
    assert torch.allclose(run.model.label_bias, before, atol=1e-5)


@pytest.mark.parametrize("wrong", [-1, 1])
def test_a_model_that_is_too_silent_or_too_loud_is_mended_and_nothing_else_of_it_changes(learnt, wrong):
    run, sentences, weights = learnt
    run.model.load_state_dict(weights)
    while score(run, sentences) == 100:
        with torch.no_grad():
            run.model.label_bias.add_(wrong)
    before = score(run, sentences)
    run.task.settle(run, sentences)
    assert score(run, sentences) > before
    changed = {name for name, tensor in run.model.state_dict().items() if not torch.equal(tensor, weights[name])}
    assert changed == {"emit.bias"}
    assert run.model.emit.bias[0] == weights["emit.bias"][0]
