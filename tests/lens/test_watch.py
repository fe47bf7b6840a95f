"""The lens sees every call, exactly, and changes nothing."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard
from regard.attention import Additive, MultiHeadAttention, causal, padding, window

EXACT = {"rtol": 0, "atol": 1e-10}
LENGTHS = torch.tensor([5, 3])
IS_PADDING = torch.arange(5) >= LENGTHS[:, None]


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


class Fused(nn.Module):
    """A model that calls the fused kernel in a way of its own."""

    def __init__(self, **options):
        super().__init__()
        self.project = nn.Linear(8, 24, dtype=torch.float64)
        self.options = options

    def heads(self, x):
        return (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in self.project(x).chunk(3, -1))

    def forward(self, x):
        query, key, value = self.heads(x)
        return F.scaled_dot_product_attention(query, key, value, **self.options)


def materialised(model, x):
    query, key, _ = model.heads(x)
    scores = query @ key.mT * (model.options.get("scale") or query.shape[-1] ** -0.5)
    given = model.options.get("attn_mask")
    if given is not None:
        scores = scores.masked_fill(~given, float("-inf")) if given.dtype == torch.bool else scores + given
    if model.options.get("is_causal"):
        scores = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), float("-inf"))
    return scores.softmax(-1)


OPTIONS = {
    "plain": {},
    "causal": {"is_causal": True},
    "scale": {"scale": 0.3},
    "boolean mask": {"attn_mask": torch.ones(5, 5).tril(1).bool()},
    "mask per head": {"attn_mask": torch.ones(1, 2, 5, 5).tril(2).bool()},
    "added mask": {"attn_mask": torch.linspace(-2, 2, 50, dtype=torch.float64).view(1, 2, 5, 5)},
    "dropout": {"dropout_p": 0.5},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_fused_kernel_is_read_exactly(options):
    model, x = Fused(**options), torch.randn(2, 5, 8, dtype=torch.float64)
    with regard.watch(model) as lens:
        model(x)
    assert lens.layers == ["Fused"]
    torch.testing.assert_close(lens["Fused"].statistics.block_map, materialised(model, x).detach(), **EXACT)


@pytest.mark.parametrize("shape", [(5, 4), (3, 5, 4), (2, 3, 5, 4), (2, 2, 3, 5, 4)])
def test_the_fused_kernel_is_read_for_any_number_of_sides(shape):
    x = torch.randn(shape, dtype=torch.float64)
    with regard.watch(nn.Identity()) as lens:
        F.scaled_dot_product_attention(x, x, x, is_causal=True)
    (reading,) = lens.readings
    scores = (x @ x.mT / 2).masked_fill(torch.ones(5, 5).triu(1).bool(), float("-inf")).softmax(-1)
    torch.testing.assert_close(reading.statistics.block_map.flatten(), scores.flatten(), **EXACT)


def test_grouped_heads_of_the_fused_kernel_are_read():
    query, key = torch.randn(2, 4, 5, 3), torch.randn(2, 2, 5, 3)
    with regard.watch(nn.Identity()) as lens:
        F.scaled_dot_product_attention(query, key, key, enable_gqa=True)
    expected = (query @ key.repeat_interleave(2, 1).mT / 3**0.5).softmax(-1)
    torch.testing.assert_close(lens.readings[0].statistics.block_map, expected)


def test_a_name_imported_before_is_seen_too():
    from torch.nn.functional import scaled_dot_product_attention

    x = torch.randn(1, 1, 3, 4)
    with regard.watch(nn.Identity()) as lens:
        scaled_dot_product_attention(x, x, x)
    assert len(lens.readings) == 1


SELF = {"embed_dim": 8, "num_heads": 2, "batch_first": True}
VARIANTS = {
    "plain": ({}, {}),
    "padding": ({}, {"key_padding_mask": IS_PADDING}),
    "boolean mask": ({}, {"attn_mask": torch.ones(5, 5).triu(1).bool()}),
    "added mask per head": ({}, {"attn_mask": torch.linspace(-1, 1, 100, dtype=torch.float64).view(4, 5, 5)}),
    "mask and padding": ({}, {"attn_mask": torch.ones(5, 5).triu(2).bool(), "key_padding_mask": IS_PADDING}),
    "extra keys": ({"add_bias_kv": True, "add_zero_attn": True}, {"key_padding_mask": IS_PADDING}),
    "no bias": ({"bias": False}, {}),
    "other widths": ({"kdim": 8, "vdim": 8}, {}),
}


@pytest.mark.parametrize("is_training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize(("made", "called"), VARIANTS.values(), ids=VARIANTS)
def test_multihead_attention_of_pytorch_is_read_exactly(made, called, is_training):
    model = nn.MultiheadAttention(**SELF, **made).double().train(is_training)
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    with torch.set_grad_enabled(is_training):
        out, weights = model(x, x, x, average_attn_weights=False, **called)
        with regard.watch(model, keep=None) as lens:
            same, _ = model(x, x, x, average_attn_weights=False, **called)
            model(x, x, x, need_weights=False, **called)
    assert torch.equal(out, same)
    weights = weights.detach()
    if "key_padding_mask" in called:
        weights = weights * ~IS_PADDING[:, None, :, None]
    for reading in lens.readings:
        torch.testing.assert_close(reading.statistics.block_map, weights, **EXACT)
    assert len(lens.readings) == 2


def test_cross_attention_length_first_and_unbatched_are_read():
    model = nn.MultiheadAttention(8, 2).double()
    x, memory = torch.randn(4, 2, 8, dtype=torch.float64), torch.randn(6, 2, 8, dtype=torch.float64)
    with regard.watch(model, keep=None) as lens:
        _, weights = model(x, memory, memory, average_attn_weights=False)
        _, single = model(x[:, 0], memory[:, 0], memory[:, 0], average_attn_weights=False)
    torch.testing.assert_close(lens.readings[0].statistics.block_map, weights.detach(), **EXACT)
    torch.testing.assert_close(lens.readings[1].statistics.block_map[0], single.detach(), **EXACT)


@pytest.mark.parametrize("is_norm_first", [True, False])
@pytest.mark.parametrize("is_padded", [True, False])
@pytest.mark.parametrize("is_training", [True, False], ids=["training", "evaluation"])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors", "ignore:enable_nested_tensor is True")
def test_a_transformer_gives_the_same_bits_and_is_read_on_its_fused_path(is_training, is_padded, is_norm_first):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=is_norm_first)
    model = nn.TransformerEncoder(layer, 2).double().train(is_training)
    x, options = torch.randn(2, 5, 8, dtype=torch.float64), {"src_key_padding_mask": IS_PADDING} if is_padded else {}
    with torch.set_grad_enabled(is_training):
        torch.manual_seed(1)
        without = model(x, **options)
        torch.manual_seed(1)
        with regard.watch(model) as lens:
            within = model(x, **options)
    assert torch.equal(without, within)
    assert lens.layers == ["layers.0.self_attn", "layers.1.self_attn"]
    assert not lens.unseen
    first = model.eval().layers[0]  # weights are read before dropout
    start = first.norm1(x) if is_norm_first else x
    hidden = IS_PADDING if is_padded else None
    _, weights = first.self_attn(start, start, start, key_padding_mask=hidden, average_attn_weights=False)
    weights = weights.detach() * ~IS_PADDING[:, None, :, None] if is_padded else weights.detach()
    torch.testing.assert_close(lens["layers.0.self_attn"].statistics.block_map, weights, **EXACT)


def test_a_decoder_shows_its_own_and_its_cross_attention():
    model = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), 1)
    target, memory = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    with regard.watch(model) as lens:
        model(target, memory, tgt_mask=nn.Transformer.generate_square_subsequent_mask(3), tgt_is_causal=True)
    assert lens.layers == ["layers.0.self_attn", "layers.0.multihead_attn"]
    assert lens["layers.0.self_attn"].statistics.block_map[:, :, 0, 1:].sum() == 0
    assert lens["layers.0.multihead_attn"].shape == (2, 2, 3, 5)


@pytest.mark.parametrize("backend", ["auto", "reference", "tiled", "sdpa"])
def test_our_modules_give_the_same_bits_and_gradients(backend):
    model = MultiHeadAttention(8, 4, num_kv_heads=2, mask=window(2), backend=backend).double()
    x, mask = torch.randn(2, 5, 8, dtype=torch.float64, requires_grad=True), padding(LENGTHS, LENGTHS)
    without = model(x, mask=mask)
    (gradient,) = torch.autograd.grad(without.square().sum(), x)
    with regard.watch(model) as lens:
        within = model(x, mask=mask)
        (same,) = torch.autograd.grad(within.square().sum(), x)
    assert torch.equal(without, within)
    assert torch.equal(gradient, same)
    assert lens.layers == ["mechanism"]
    assert len(lens.readings) == 1  # not the fused call inside as well
    assert (lens["mechanism"].statistics.is_live.sum(-1) == LENGTHS[:, None]).all()


def test_a_mechanism_is_named_by_its_path_and_read_with_its_own_scores():
    model = nn.ModuleDict({"look": Additive(4)}).double()
    query, key = torch.randn(1, 2, 3, 4, dtype=torch.float64), torch.randn(1, 2, 5, 4, dtype=torch.float64)
    with regard.watch(model) as lens:
        model["look"](query, key, key)
    torch.testing.assert_close(lens["look"].statistics.block_map, model["look"].weights(query, key).detach(), **EXACT)


def test_nothing_is_left_behind_even_after_an_error():
    model = nn.Sequential(Fused())
    before = dict(vars(model[0]))
    with pytest.raises(RuntimeError), regard.watch(model) as lens:
        model(torch.randn(2, 5, 3, dtype=torch.float64))
    assert vars(model[0]).keys() == before.keys()
    model(torch.randn(2, 5, 8, dtype=torch.float64))
    assert not lens.readings


def test_a_copy_made_meanwhile_is_its_own_and_unwatched():
    model, x = Fused().double(), torch.randn(1, 5, 8, dtype=torch.float64)
    with regard.watch(model):
        model(x)
        inside = copy.deepcopy(model)
        wrapped = copy.deepcopy(nn.ModuleList([model]))[0]
    for copied in (inside, wrapped):
        with torch.no_grad():
            copied.project.weight.zero_()
            copied.project.bias.zero_()
        assert not copied(x).any()
        with regard.watch(copied) as lens:
            copied(x)
        assert len(lens.layers) == 1
    assert model(x).any()


def test_the_mode_comes_back_after_a_module_that_must_not_see_it():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.MultiheadAttention(8, 2, batch_first=True).double(), Fused()

        def forward(self, x):
            return self.second(self.first(x, x, x, need_weights=False)[0])

    model = Both()
    with regard.watch(model) as lens:
        model(torch.randn(2, 5, 8, dtype=torch.float64))
    assert lens.layers == ["first", "second"]


def test_what_cannot_be_read_is_said():
    x, message = torch.randn(1, 1, 3, 4), r"No attention was seen in Identity: in \(outside the model\), the kernel aten"
    with pytest.warns(UserWarning, match=message), regard.watch(nn.Identity()) as lens:
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(x, x, x)
    ((layer, reason),) = lens.unseen
    assert layer == "(outside the model)"
    assert "was called by its own name: call scaled_dot_product_attention" in reason


def test_means_run_over_all_calls_and_queries():
    model = Fused()
    short, long = torch.randn(1, 2, 8, dtype=torch.float64), torch.randn(1, 6, 8, dtype=torch.float64)
    with regard.watch(model, keep=None) as lens:
        model(short)
        model(long)
    one, other = (reading.statistics.entropy_bits[0] for reading in lens.readings)
    expected = torch.cat([one, other], -1).mean(-1)
    torch.testing.assert_close(lens.head_means()["Fused"]["entropy_bits"], expected)
    assert lens.summary().count("Fused") == 2


def test_a_layer_that_was_not_seen_is_answered_with_those_that_were():
    with pytest.warns(UserWarning, match="it was not called. Call the model inside"), regard.watch(nn.Identity()) as lens:
        pass
    with pytest.raises(regard.InputError, match=r"No attention was seen in 'x'. Seen: nothing"):
        lens["x"]


def test_only_a_module_can_be_watched():
    from jaxtyping import TypeCheckError

    with pytest.raises((regard.InputError, TypeCheckError)), regard.watch("model"):
        pass


def test_causal_masks_of_unequal_lengths_start_at_the_first_key():
    query, key = torch.randn(1, 1, 2, 4), torch.randn(1, 1, 4, 4)
    with regard.watch(nn.Identity()) as lens:
        F.scaled_dot_product_attention(query, key, key, is_causal=True)
    seen = lens.readings[0].statistics.block_map[0, 0]
    assert ((seen > 0) == causal.write((1, 1), range(2), range(4))[0, 0]).all()
