"""Names, choices and misuse of a watch, and that nothing of it is left."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import regard
from regard.attention import causal, window
from regard.attention.call import Call
from regard.attention.scaled_dot import ScaledDot
from regard.lens.watcher import DYNAMO


class Look(nn.Module):
    """Self-attention with two heads."""

    def __init__(self, **options):
        super().__init__()
        self.project, self.options = nn.Linear(8, 24), options

    def forward(self, x):
        heads = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in self.project(x).chunk(3, -1))
        return F.scaled_dot_product_attention(*heads, **self.options).transpose(1, 2).flatten(2)


class Stack(nn.Module):
    """Two layers, of which the second runs twice; or one layer with its weights shared."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Look(), Look(is_causal=True)

    def forward(self, x):
        return self.second(self.second(self.first(x)))


@pytest.fixture
def x():
    return torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))


def test_calls_of_one_module_in_one_pass_are_counted_anew_in_every_pass(x):
    model = Stack()
    with regard.watch(model) as lens:
        model(x)
        model(x)
    assert lens.layers == ["first", "second", "second#2"]
    assert [total.num_calls for total in lens.totals.values()] == [2, 2, 2]


def test_only_layers_that_match_a_pattern_are_read(x):
    model = nn.ModuleList([Stack(), Stack()])
    with regard.watch(model, layers=["0.*", "*.first", "9.*"]) as lens:
        model[0](x)
        model[1](x)
    assert lens.layers == ["0.first", "0.second", "0.second#2", "1.first"]
    assert lens.notes == ["layers='9.*' matched no layer that called attention."]


def test_heads_that_depend_on_their_number_keep_it_when_read_alone(x):
    mask = torch.stack([torch.eye(5), torch.ones(5, 5).tril(1)]).bool()
    model = Look(attn_mask=mask)
    with regard.watch(model, heads=[1]) as lens:
        model(x)
    with regard.watch(model) as whole:
        model(x)
    assert lens[0].heads == (1,)
    torch.testing.assert_close(lens[0, 1]["entropy_bits"], whole[0, 1]["entropy_bits"])
    torch.testing.assert_close(lens.head_means()["Look"]["entropy_bits"], whole.head_means()["Look"]["entropy_bits"][1:])


def test_heads_that_a_layer_lacks_are_said(x):
    with pytest.warns(UserWarning, match=r"heads=\[7\] were asked for, but it has 2"), regard.watch(model := Look(), heads=[7]):
        model(x)


def test_calls_that_are_kept_give_their_exact_weights(x):
    model = Look(is_causal=True)
    with regard.watch(model, keep_calls=True) as lens:
        model(x)
    query, key, _ = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in model.project(x).chunk(3, -1))
    expected = Call(ScaledDot(), query, key, key, causal).weights(range(1, 3)).detach()
    torch.testing.assert_close(lens[0].weights(range(1, 3)), expected)


def test_sampled_means_come_near_those_of_all():
    x, model = torch.randn(1, 1000, 8, generator=torch.Generator().manual_seed(0)), Look()
    with torch.no_grad(), regard.watch(model) as whole:
        model(x)
    state = torch.get_rng_state()
    with torch.no_grad(), regard.watch(model, sample=4) as lens:
        model(x)
    assert torch.equal(torch.get_rng_state(), state)
    assert int(lens[0].statistics.is_live[0, 0].sum()) in range(240, 257)
    mean, error = (part["Look"]["entropy_bits"] for part in (lens.head_means(), lens.standard_errors()))
    assert (error > 0).all()
    assert ((mean - whole.head_means()["Look"]["entropy_bits"]).abs() < 5 * error).all()


@pytest.mark.parametrize("is_reentrant", [True, False])
def test_a_checkpointed_layer_is_read_once_a_pass(is_reentrant, x):
    model = nn.ModuleList([Look(), nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)])
    with regard.watch(model) as lens:
        for layer in model:
            checkpoint(layer, x.requires_grad_(), use_reentrant=is_reentrant).sum().backward()
    assert {layer: total.num_calls for layer, total in lens.totals.items()} == {"0": 1, "1.self_attn": 1}


def test_another_thread_runs_the_model_unseen(x):
    model = Stack()
    with regard.watch(model) as lens, ThreadPoolExecutor(1) as threads:
        found = threads.submit(model, x).result()
        model(x)
    assert torch.equal(found, model(x))
    assert lens.layers == ["first", "second", "second#2"]
    assert {total.num_calls for total in lens.totals.values()} == {1}
    reason = "it ran in another thread than the watch: open the watch in the thread that calls the model"
    assert lens.unseen == [("Stack", reason)]


def test_a_backward_pass_in_another_thread_misses_nothing(x):
    layer = Look()
    with regard.watch(layer) as lens, ThreadPoolExecutor(1) as threads:
        out = checkpoint(layer, x.requires_grad_(), use_reentrant=False)
        threads.submit(out.sum().backward).result()
    assert lens.totals["Look"].num_calls == 1
    assert not lens.unseen


def test_no_graph_is_kept_of_what_is_read(x):
    model = Look()
    with regard.watch(model, keep_calls=True) as lens:
        model(x).sum().backward()
    assert not any(value.requires_grad for value in lens[0].statistics.values.values())
    assert not lens[0].weights().requires_grad


def test_dropout_rolls_the_same_dice(x):
    model = nn.TransformerEncoderLayer(8, 2, 8, dropout=0.5, batch_first=True)
    torch.manual_seed(3)
    without = model(x), torch.rand(3)
    torch.manual_seed(3)
    with regard.watch(model):
        within = model(x), torch.rand(3)
    assert all(torch.equal(one, other) for one, other in zip(without, within, strict=True))


def test_a_model_may_change_its_type_inside(x):
    model = Look()
    with regard.watch(model, keep=None) as lens:
        model(x)
        model.to(torch.bfloat16)(x.bfloat16())
        model.double()(x.double())
    assert [reading.statistics.entropy_bits.dtype for reading in lens.readings] == [torch.float32, torch.float32, torch.float64]
    assert lens.totals["Look"].num_calls == 3


def test_another_default_device_does_not_disturb_it(x):
    model = Look()
    with regard.watch(model, sample=1) as lens, torch.device("meta"):
        model(x)
    assert lens.layers == ["Look"]


def test_modes_of_others_stay_where_they_were(x):
    model = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True).eval()
    with regard.watch(model) as lens, torch.device("cpu"), torch.no_grad():
        model(x)
        assert torch.overrides._get_current_function_mode_stack()[-1].device == torch.device("cpu")
    assert lens.layers == ["self_attn"]
    assert not torch.overrides._get_current_function_mode_stack()


KINDS = {
    "model": lambda model, backend: torch.compile(model, backend=backend),
    "method": lambda model, backend: model.compile(backend=backend),
    "child": lambda model, backend: setattr(model, "second", torch.compile(model.second, backend=backend)),
}


@pytest.mark.parametrize("compiled", KINDS.values(), ids=KINDS)
def test_a_compiled_model_is_read_exactly_and_is_compiled_again_afterwards(compiled, x):
    num_compiled = []

    def backend(graph, inputs):
        num_compiled.append(1)
        return graph.forward

    torch._dynamo.reset()
    plain = Stack()
    made = compiled(plain, backend)
    model = plain if made is None else made
    without, before = model(x), len(num_compiled)
    assert before
    with regard.watch(model) as lens:
        within = model(x)
    assert torch.equal(without, within)
    assert lens.layers == ["first", "second", "second#2"]
    assert lens.notes == ["Compiled modules ran eagerly while they were watched; afterwards they run compiled again."]
    assert torch.equal(model(x), without)
    assert len(num_compiled) == before
    torch._dynamo.reset()
    model(x)
    assert len(num_compiled) == 2 * before


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_watches_that_overlap_in_two_threads_leave_compiling_on(x, monkeypatch):
    stances = ["default"]

    class Stance:
        def __init__(self, stance):
            self.before, _ = stances[0], stances.__setitem__(0, stance)

        def __enter__(self):
            pass

        def __exit__(self, *exception):
            stances[0] = self.before

    monkeypatch.setattr(torch.compiler, "set_stance", Stance)
    monkeypatch.setitem(sys.modules, DYNAMO, sys.modules.get(DYNAMO, torch))
    one, other = regard.watch(Look()), regard.watch(Look())
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        first.submit(one.__enter__).result()
        second.submit(other.__enter__).result()
        first.submit(one.__exit__, RuntimeError).result()
        assert stances == ["force_eager"]
        second.submit(other.__exit__, RuntimeError).result()
    assert stances == ["default"]


def test_torchscript_is_said_to_be_unseen(x):
    model = nn.Sequential(Look(), torch.jit.trace(Look(), x))
    with regard.watch(model) as lens:
        model(x)
    assert lens.layers == ["0"]
    assert lens.notes[0] == "1 is TorchScript, which runs outside Python: attention in it is not seen."


def test_two_watches_at_once_are_refused(x):
    model = Look()
    with regard.watch(model) as lens:
        with pytest.raises(regard.InputError, match="A watch is active already: close it before"), regard.watch(model):
            pass
        with pytest.raises(regard.InputError, match="A watch is active already: close it before"), regard.watch(Look()):
            pass
        model(x)
    assert lens.layers == ["Look"]
    with regard.watch(model) as lens:
        model(x)
    assert lens.layers == ["Look"]


def test_a_closed_watch_is_not_opened_again(x):
    model = Look()
    with (again := regard.watch(model)) as lens:
        model(x)
    with pytest.raises(regard.InputError, match=r"This watch was closed.* Call regard.watch again"), again:
        pass
    assert lens[0].shape == (2, 2, 5, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": []}, r"heads must name at least one head, counted from 0, got \[\]"),
        ({"heads": [-1]}, r"heads must name at least one head, counted from 0, got \[-1\]"),
        ({"sample": 0}, "sample must be at least 1, or None, got 0"),
        ({"keep": -1}, "keep must be at least 0, or None, got -1"),
        ({"statistics": ["entropy"]}, "No statistic is called 'entropy'"),
    ],
)
def test_options_that_cannot_be_are_refused_at_once(options, message):
    with pytest.raises(regard.InputError, match=message):
        regard.watch(Look(), **options)


def test_a_model_without_attention_is_told_what_to_do(x):
    message = "No attention was seen in Linear: it calls none of PyTorch's attention functions"
    with pytest.warns(UserWarning, match=message), regard.watch(model := nn.Linear(8, 8)):
        model(x)


def test_patterns_that_match_nothing_at_all_are_told(x):
    message = r"layers=\['decoder.\*'\] matched none of its layers that called attention"
    with pytest.warns(UserWarning, match=message), regard.watch(model := Look(), layers="decoder.*"):
        model(x)


def test_a_window_of_our_own_is_measured_from_the_first_key(x):
    model = ScaledDot()
    heads = x.unflatten(-1, (2, 4)).transpose(1, 2)
    with regard.watch(model) as lens:
        model(heads[:, :, :2], heads, heads, window(1))
    assert lens[0].first_query == 0
    assert lens[0].statistics.mean_distance.max() <= 1
