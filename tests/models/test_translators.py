"""Models that read one sequence and write another: cached decoding, batches, looks."""

from copy import deepcopy

import pytest
import torch

from regard.attention.positions import Learned
from regard.catalog import MECHANISMS
from regard.errors import InputError
from regard.lens.watch import watch
from regard.models.options import SamplingOptions, SearchOptions, TranslatorOptions
from regard.models.recurrent_translator import RecurrentTranslator
from regard.models.transformer_translator import TransformerTranslator
from regard.models.translator import Sizes

SMALL = {"d_model": 16, "num_layers": 2, "num_heads": 2, "d_feedforward": 24, "d_embedding": 8}
CASES = {
    "transformer": {},
    "rotary": {"position": "rotary"},
    "alibi": {"position": "alibi"},
    "grouped": {"num_kv_heads": 1, "position": "learned"},
    "recurrent": {"name": "recurrent"},
    "bilinear": {"name": "recurrent", "mechanism": "bilinear"},
    "fed": {"name": "recurrent", "input_feeding": True},
    "coverage": {"name": "recurrent", "coverage": True},
    "both": {"name": "recurrent", "coverage": True, "input_feeding": True},
    "none": {"name": "recurrent", "mechanism": "none"},
    "gru": {"name": "recurrent", "cell": "gru"},
    "gru, both": {"name": "recurrent", "cell": "gru", "coverage": True, "input_feeding": True},
    **{f"transformer {name}": {"mechanism": name} for name in MECHANISMS},
}


def build(is_shared=True, **options):
    torch.manual_seed(0)
    kind = {"transformer": TransformerTranslator, "recurrent": RecurrentTranslator}[options.get("name", "transformer")]
    model = kind(Sizes(20, 20 if is_shared else 30, is_shared), TranslatorOptions(**(SMALL | options)), SearchOptions(3))
    model = model.double().eval()
    for parameter in model.parameters():  # else a fresh model says nearly the same everywhere
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model


def batch(lengths=(5, 1, 8, 3)):
    generator = torch.Generator().manual_seed(1)
    source, outputs = (torch.randint(4, 20, (len(lengths), max(lengths)), generator=generator) for _ in range(2))
    for row, length in enumerate(lengths):
        source[row, length:] = 0
        outputs[row, length:] = 0
    inputs = torch.nn.functional.pad(outputs, (1, -1), value=2)
    begun = torch.full((len(lengths), 1), 2)
    return {"source": source, "lengths": torch.tensor(lengths), "inputs": inputs, "outputs": outputs, "begun": begun}


@pytest.fixture(params=CASES, scope="module")
def model(request):
    return build(**CASES[request.param])


def test_decoding_token_by_token_gives_the_scores_of_the_full_pass(model):
    given = batch()
    with torch.no_grad():
        whole, writing = model(given), model.begin(given)
        steps = [writing.advance(step) for step in given["inputs"].split(1, 1)]
    assert torch.allclose(torch.stack(steps, 1), whole, atol=1e-10)


def test_it_learns_in_mixed_precision(model):
    given, model = batch(), deepcopy(model).float()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model.loss(given)
    mixed.backward()
    assert mixed.item() == pytest.approx(model.loss(given).item(), rel=0.03)
    assert all(weights.grad is None or weights.grad.isfinite().all() for weights in model.parameters())


def test_several_tokens_may_be_written_at_once(model):
    given = batch()
    with torch.no_grad():
        whole, writing = model(given), model.begin(given)
        first, second = writing.advance(given["inputs"][:, :3]), writing.advance(given["inputs"][:, 3:5])
    assert torch.allclose(first, whole[:, 2], atol=1e-10)
    assert torch.allclose(second, whole[:, 4], atol=1e-10)


def test_rows_may_be_reordered_repeated_and_taken_out(model):
    given = batch()
    rows = torch.tensor([1, 0, 3, 3])  # two rows of each sentence
    with torch.no_grad():
        whole, writing = model(given), model.begin(given)
        writing.advance(given["inputs"][:, :2])
        writing.reorder(torch.arange(4).repeat_interleave(2))
        writing.keep(torch.tensor([0, 2]))
        writing.reorder(torch.tensor([1, 0, 4, 5]))
        scores = writing.advance(given["inputs"][[0, 0, 2, 2], 2:3])
    assert torch.allclose(scores, whole[[0, 0, 2, 2], 2], atol=1e-10), rows


def test_a_batch_does_not_change_a_translation(model):
    given = batch()
    for row, found in enumerate(model.predict(given)):
        length = int(given["lengths"][row])
        alone = {name: tensor[row : row + 1] for name, tensor in given.items()} | {
            "source": given["source"][row : row + 1, :length]
        }
        assert [one.tokens for one in model.predict(alone)[0]] == [one.tokens for one in found]


def test_loss_is_the_mean_over_tokens(model):
    given = batch()
    model.label_smoothing = 0.0
    with torch.no_grad():
        chances = model(given).log_softmax(-1).gather(2, given["outputs"][:, :, None]).squeeze(2)
        expected = -chances[given["outputs"] != 0].mean()
        assert torch.allclose(model.loss(given), expected)


def test_padding_of_the_source_is_never_seen(model):
    given = batch()
    with torch.no_grad():
        before = model(given)
        given["source"][given["source"] == 0] = 7
        assert torch.allclose(model(given), before, atol=1e-12)


def test_prefixes_of_several_lengths_are_kept():
    model, given = build(), batch()
    given["begun"] = torch.tensor([[2, 5, 6], [2, 0, 0], [2, 9, 0], [2, 5, 6]])
    together = model.predict(given)
    for row, length in enumerate((3, 1, 2, 3)):
        alone = {name: tensor[row : row + 1] for name, tensor in given.items()} | {
            "begun": given["begun"][row : row + 1, :length]
        }
        assert model.predict(alone)[0] == together[row]


def test_what_is_drawn_repeats_no_run_where_that_is_blocked():
    model, given = build(), batch()
    model.search, model.sampling = SearchOptions(repetition_block=1), SamplingOptions(temperature=0.5)
    (blocked,) = zip(*model.predict(given), strict=True)
    assert all(len(one.tokens) == len(set(one.tokens)) for one in blocked)
    model.search = SearchOptions()
    (free,) = zip(*model.predict(given), strict=True)
    assert any(len(one.tokens) > len(set(one.tokens)) for one in free)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "recurrent", "d_model": 33}, "d_model of recurrent layers must be even, .*got 33"),
        ({"coverage": True}, "of recurrent layers"),
        ({"input_feeding": True}, "of recurrent layers"),
        ({"cell": "gru"}, "of recurrent layers"),
        ({"name": "recurrent", "coverage": True, "mechanism": "none"}, "mechanism must not be none"),
    ],
    ids=str,
)
def test_options_that_do_not_go_together_are_told(options, message):
    with pytest.raises(InputError, match=message):
        TranslatorOptions(**options)


def test_every_gradient_is_finite_and_every_parameter_has_one(model):
    model.zero_grad()
    model.loss(batch()).backward()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in model.parameters())
    model.zero_grad()


def test_learned_positions_are_as_many_as_a_text_and_its_translation_need():
    model = TransformerTranslator(Sizes(20, 20, True, 600), TranslatorOptions(**SMALL, position="learned"), SearchOptions())
    assert (len(model.encoder.position.table), len(model.decoder.position.table)) == (600, 1200)
    given = {name: torch.full((1, 600), 4) for name in ("source", "inputs")} | {"lengths": torch.tensor([600])}
    assert model(given).isfinite().all()


@pytest.mark.parametrize("beam", [1, 3])
def test_a_translation_ends_where_learned_positions_end(beam):
    model, given = build(position="learned"), batch()
    model.search, model.bias.data[model.signs.end] = SearchOptions(beam, max_ratio=100.0), -1e9
    model.decoder.position = Learned(16, 12).double()
    given["begun"] = torch.tensor([[2, 5, 6], [2, 0, 0], [2, 9, 0], [2, 5, 6]])
    for found in (model.predict(given), model.estimate(given)):
        assert [len(one[0].tokens) for one in found] == [10, 12, 11, 10]


@pytest.mark.parametrize("case", ["recurrent", "fed", "coverage", "both"])
def test_what_is_hidden_is_hidden_at_every_step(case):
    model, joined = build(**CASES[case], dropout=0.5).train(), []
    model.join.register_forward_pre_hook(lambda module, inputs: joined.append(inputs[0][..., : SMALL["d_model"]]))
    for found in (model.states(batch()), torch.cat(joined, 1)):
        is_hidden = found == 0
        assert torch.equal(is_hidden, is_hidden[:, :1].expand_as(is_hidden))
        assert 0.2 < is_hidden.double().mean() < 0.8


def test_with_coverage_keys_are_scored_once_a_step_and_the_lens_sees_each():
    model, given = build(**CASES["coverage"], dropout=0.0), batch()
    score, keys = model.attention.score, []
    model.attention.score = lambda query, key: keys.append(key) or score(query, key)
    whole = model(given)
    assert len(keys) == given["inputs"].shape[1]
    with watch(model.train()) as lens:
        watched = model(given)
    assert len(lens.layers) == given["inputs"].shape[1]
    torch.testing.assert_close(whole, watched)


def test_languages_with_tokens_of_their_own_have_tables_of_their_own():
    model = build(is_shared=False)
    assert model.source.num_embeddings == 20
    assert model(batch()).shape[2] == 30
    assert model.predict(batch())[0]


def test_attention_of_a_known_answer_is_one_call_of_each_layer():
    for name, options in {"transformer": {}, "recurrent": {"name": "recurrent"}}.items():
        model = build(**options)
        with watch(model, (), layers=("decoder.layers.*.look*", "attention*")) as lens:
            model(batch())
        assert len(lens.layers) == (2 if name == "transformer" else 1)
