"""Language models: what they look at, what they are scored by, what they write."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import linear

from regard.catalog import MECHANISMS, POSITIONS
from regard.errors import InputError
from regard.models.language import Language
from regard.models.options import LanguageOptions, WritingOptions
from regard.models.recurrent_language import RecurrentLanguage, WeightDropLSTM
from regard.models.transformer_language import TransformerLanguage

NUM_TOKENS, CONTEXT = 11, 16
KINDS = {"transformer": TransformerLanguage, "recurrent": RecurrentLanguage}


def made(name="transformer", context=CONTEXT, sampling=None, language=None, **options):
    torch.manual_seed(0)
    options = LanguageOptions(name, **{"d_model": 16, "num_layers": 2, "num_heads": 2, "d_feedforward": 24} | options)
    model = KINDS[name](language or Language(NUM_TOKENS, context), options, sampling or WritingOptions())
    for parameter in model.parameters():  # as if it were trained: else attention hardly matters
        torch.nn.init.normal_(parameter, std=0.4)
    return model.double().eval()


def tokens_of(batch, length, seed=1):
    return torch.randint(4, NUM_TOKENS, (batch, length), generator=torch.Generator().manual_seed(seed))


def stepwise(model, tokens, first=1):
    """Scores of the token behind each, written one by one."""
    writing = model.begin()
    found = [writing.advance(tokens[:, :first])]
    return torch.stack(found + [writing.advance(tokens[:, t : t + 1]) for t in range(first, tokens.shape[1])], 1)


def full(model, tokens, **given):
    with torch.no_grad():
        return model.scores(model(tokens, **given))


CASES = [
    *({"mechanism": name} for name in MECHANISMS),
    *({"position": name} for name in POSITIONS if name != "rotary-2d"),
    {"window": 5},
    {"window": 5, "position": "sinusoidal"},
    {"num_kv_heads": 1},
    {"is_tied": False},
    {"mechanism": "additive+sparsemax", "window": 3},
    *({"name": "recurrent", "mechanism": name} for name in (*MECHANISMS, "none")),
    {"name": "recurrent", "window": 3},
]


def named(case):
    return "-".join(map(str, case.values()))


@pytest.mark.parametrize("case", CASES, ids=named)
def test_written_step_by_step_is_read_at_once(case):
    if case.get("mechanism") == "linear":
        case = case | {"position": "sinusoidal"}
    model, tokens = made(**case), tokens_of(2, CONTEXT)
    torch.testing.assert_close(stepwise(model, tokens), full(model, tokens), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(stepwise(model, tokens, 7), full(model, tokens)[:, 6:], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("case", [{}, {"position": "alibi"}, {"name": "recurrent"}], ids=named)
def test_behind_a_window_a_text_goes_on_for_ever_in_bounded_memory(case):
    model, tokens = made(window=4, **case), tokens_of(1, 150)
    torch.testing.assert_close(stepwise(model, tokens), full(model, tokens), atol=1e-9, rtol=1e-9)
    writing = model.begin()
    for t in range(150):
        writing.advance(tokens[:, t : t + 1])
    caches = [layer.written for layer in writing.cache] if "name" not in case else [writing.cache]
    assert all(cache.kept[0].shape[2] <= 5 and cache._buffers[0].shape[2] <= 64 for cache in caches)


def test_recurrent_layers_see_as_far_as_their_context_where_no_window_is_named():
    model, tokens = made("recurrent", context=8), tokens_of(1, 40)
    torch.testing.assert_close(stepwise(model, tokens), full(model, tokens), atol=1e-9, rtol=1e-9)
    assert model.begin().cache.window == 8


def test_a_full_context_starts_again_behind_its_last_half():
    model, tokens = made(position="learned", context=8), tokens_of(2, 30)
    found, start = stepwise(model, tokens), 0
    for t in range(30):
        if t + 1 - start > 8:
            start = t + 1 - 4
        expected = full(model, tokens[:, start : t + 1])[:, -1]
        torch.testing.assert_close(found[:, t], expected, atol=1e-9, rtol=1e-9)


def test_learned_positions_are_as_many_as_the_context_has():
    model = made(position="learned", context=600)
    assert full(model, tokens_of(1, 600)).shape == (1, 600, NUM_TOKENS)
    assert len(made(position="learned", context=8).body.position.table) == 512


def test_of_a_prompt_longer_than_the_context_its_end_is_read():
    model, tokens = made(context=8), tokens_of(1, 21)
    found = model.begin().advance(tokens)
    torch.testing.assert_close(found, full(model, tokens[:, -8:])[:, -1], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("case", [{"window": 3}, {}, {"name": "recurrent"}], ids=named)
def test_rows_that_are_written_may_change_their_order(case):
    model, tokens = made(**case), tokens_of(3, 9)
    order = torch.tensor([2, 0, 0])
    writing = model.begin()
    writing.advance(tokens[:, :8])
    writing.reorder(order)
    found = writing.advance(tokens[order, 8:])
    torch.testing.assert_close(found, full(model, tokens[order])[:, -1], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", KINDS)
def test_the_future_cannot_change_the_past(name):
    model, tokens = made(name), tokens_of(1, 12)
    other = tokens.clone()
    other[:, 7:] = tokens_of(1, 5, seed=5)
    torch.testing.assert_close(full(model, tokens)[:, :7], full(model, other)[:, :7], atol=0, rtol=0)


def test_nothing_of_another_document_is_looked_at():
    model, tokens = made(), tokens_of(1, 12)
    documents = torch.tensor([[4] * 5 + [5] * 7])
    other = tokens.clone()
    other[:, :5] = tokens_of(1, 5, seed=5)
    found = full(model, tokens, documents=documents)
    torch.testing.assert_close(found[:, 5:], full(model, other, documents=documents)[:, 5:], atol=0, rtol=0)
    torch.testing.assert_close(found[:, 5:], full(model, tokens[:, 5:]), atol=1e-9, rtol=1e-9)
    assert not torch.allclose(found[:, 5:], full(model, tokens)[:, 5:])


def nats(model, tokens):
    """Of each token behind the first, from all before it in the row."""
    return torch.nn.functional.cross_entropy(full(model, tokens[:, :-1]).mT, tokens[:, 1:], reduction="none")


@pytest.mark.parametrize("name", KINDS)
def test_the_loss_is_a_mean_over_tokens_and_no_padding(name):
    model, tokens = made(name), tokens_of(2, 9)
    expected = nats(model, tokens)
    padded = tokens.clone()
    padded[1, 6:] = 0
    batch = {"tokens": padded, "lengths": torch.tensor([8, 5])}
    kept = torch.cat([expected[0], expected[1, :5]])
    assert model.loss(batch).item() == pytest.approx(float(kept.mean()))
    assert model.estimate(batch) == pytest.approx([float(expected[0].sum()), float(expected[1, :5].sum())])
    assert model.predict(batch) == pytest.approx(model.estimate(batch))


class Adapted(nn.Linear):
    """What somebody put beside the weights."""

    def __init__(self, plain):
        super().__init__(plain.in_features, plain.out_features, bias=False)
        self.weight.data, self.beside = plain.weight.data, nn.Parameter(torch.randn_like(plain.weight))

    def forward(self, x):
        return super().forward(x) + linear(x, self.beside)


def test_an_output_layer_that_was_replaced_is_what_learns():
    model, tokens = made(is_tied=False), tokens_of(2, 9)
    model.output = Adapted(model.output).to(model.output.weight.dtype)
    loss = model.loss({"tokens": tokens, "lengths": torch.tensor([8, 8])})
    loss.backward()
    assert loss.item() == pytest.approx(nats(model, tokens).mean().item(), rel=1e-5)
    assert model.output.beside.grad.abs().sum() > 0


@pytest.mark.parametrize(("stride", "name"), [*itertools.product([1, 3, 4, 7], KINDS)])
def test_sliding_scores_each_token_once_and_from_enough_before_it(stride, name):
    context = 8
    model, text = made(name, context=context), tokens_of(1, 8 * 3 + 5 + 1)[0]
    num_tokens, history = len(text) - 1, context - stride
    rows, lengths, before = [], [], []
    for start in range(0, num_tokens, context):
        stop = min(start + context, num_tokens)
        places = torch.arange(start - history, start + context + 1)
        row = text[places.clamp(0, num_tokens)].masked_fill((places < 0) | (places > stop), 0)
        rows, lengths, before = [*rows, row], [*lengths, stop - start], [*before, min(start, history)]
    batch = {"tokens": torch.stack(rows), "lengths": torch.tensor(lengths), "history": torch.tensor(before)}
    expected = []
    for cell, length in enumerate(lengths):
        of_cell = 0.0
        for offset in range(length):
            place = cell * context + offset
            last = place - offset % stride + stride  # the window ends with the stride in which the token lies
            begin = min(cell * context, max(0, last - context))
            of_cell += float(nats(model, text[None, begin : place + 2])[0, -1])
        expected.append(of_cell)
    assert model.predict(batch) == pytest.approx(expected)
    alone = [model.predict({key: value[i : i + 1] for key, value in batch.items()})[0] for i in range(len(rows) - 1)]
    assert alone == pytest.approx(expected[:-1])
    plain = [float(nats(model, text[None, start : start + context + 1]).sum()) for start in range(0, num_tokens, context)]
    assert model.estimate(batch) == pytest.approx(plain)


def prompts(*rows, places=None):
    return {
        "prompt": torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True),
        "lengths": torch.tensor([len(row) for row in rows]),
        "place": torch.tensor(places or range(len(rows))),
    }


@pytest.mark.parametrize("name", KINDS)
def test_the_same_seed_writes_the_same_whatever_else_is_in_the_batch(name):
    model = made(name, sampling=WritingOptions(max_tokens=40, temperature=1.0))
    both = model.predict(prompts([4, 5, 6], [7]))
    assert [len(one) for one in both] == [40, 40]
    assert model.predict(prompts([7], places=[1])) == both[1:]
    assert model.predict(prompts([4, 5, 6], places=[5])) != both[:1]
    other = made(name, sampling=WritingOptions(max_tokens=40, temperature=1.0, seed=1))
    assert other.predict(prompts([4, 5, 6])) != both[:1]


def test_at_temperature_0_the_most_probable_token_is_written():
    model = made(sampling=WritingOptions(max_tokens=9, temperature=0.0))
    written = list(model.write([4, 5]))
    tokens = torch.tensor([[4, 5, *written]])
    assert full(model, tokens)[0, 1:-1].argmax(1).tolist() == written


def test_signs_are_never_written_and_an_end_ends():
    language = Language(NUM_TOKENS, CONTEXT, never_written=(0, 1, 2, 5), end=3)
    model = made(language=language, sampling=WritingOptions(max_tokens=300, temperature=3.0))
    texts = [list(model.write([4], place)) for place in range(20)]
    assert {token for text in texts for token in text} == {4, 6, 7, 8, 9, 10}
    assert len({len(text) for text in texts}) > 5
    assert max(map(len, texts)) < 300


def test_it_stops_where_it_is_told_to():
    language = Language(NUM_TOKENS, CONTEXT, (0, 1, 2, 3), is_over=lambda written: 7 in written[-1:])
    model = made(language=language, sampling=WritingOptions(max_tokens=300, temperature=2.0))
    written = list(model.write([7]))
    assert written.index(7) == len(written) - 1
    assert list(made(sampling=WritingOptions(max_tokens=0)).write([4])) == []


@pytest.mark.parametrize(("context", "prompt", "num_written"), [(4, [9, 4, 5, 6, 7], 1), (16, [4, 9], 12)])
def test_repetition_is_penalised_within_the_context(context, prompt, num_written):
    sampling = WritingOptions(max_tokens=num_written, temperature=0.0, repetition_penalty=5.0)
    model, written = made(context=context, sampling=sampling), []
    for _ in range(num_written):
        recent = [*prompt, *written][-context:]
        scores = full(model, torch.tensor([recent]))[0, -1]
        used = sorted(set(recent))
        scores[used] = torch.where(scores[used] > 0, scores[used] / 5, scores[used] * 5)
        written.append(int(scores.argmax()))
    assert list(model.write(prompt)) == written


def test_the_end_that_a_text_begins_behind_is_no_repetition():
    language = Language(NUM_TOKENS, CONTEXT, end=3)
    model = made(language=language, sampling=WritingOptions(max_tokens=1, temperature=0.0, repetition_penalty=5.0))
    model.scores = lambda states: torch.tensor([[0.0, 0.0, 0.0, 1.0, 0.0, 0.5, *[0.0] * 5]])
    assert list(model.write([3, 4])) == []


def test_hidden_weights_are_drawn_anew_and_only_while_training():
    torch.manual_seed(0)
    layer, x = WeightDropLSTM(4, 0.5), torch.randn(2, 5, 4)
    one, other = layer(x)[0], layer(x)[0]
    assert torch.equal(one[:, 0], other[:, 0])
    assert not torch.equal(one[:, 1:], other[:, 1:])
    one.sum().backward()
    assert (layer.lstm.weight_hh_l0.grad == 0).float().mean() > 0.2
    torch.testing.assert_close(layer.eval()(x)[0], layer.lstm(x)[0])


@pytest.mark.parametrize("name", KINDS)
def test_it_learns_in_bfloat16(name):
    model = made(name).float().train()
    batch = {"tokens": torch.arange(4, 11).repeat(4, 2), "lengths": torch.tensor([13] * 4)}
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(40):
        with torch.autocast("cpu", torch.bfloat16):
            loss = model.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2 * math.log(NUM_TOKENS)


def test_options_that_cannot_be_are_told():
    with pytest.raises(InputError, match=r"dropout must be from 0 to 0.999, got 2.0"):
        LanguageOptions(dropout=2.0)
    with pytest.raises(InputError, match=r"top_p must be from 1e-06 to 1, got 3.0"):
        WritingOptions(top_p=3.0)
    with pytest.raises(InputError, match=r"dropout must be from 0 to 0.999, got nan"):
        LanguageOptions(dropout=math.nan)
