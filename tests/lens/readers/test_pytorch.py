"""Masks, types and shapes of PyTorch's own attention are read as its kernels take them."""

import importlib
import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard
from tests.lens.definitions import assert_as_defined


class Fused(nn.Module):
    """Self-attention by the fused kernel."""

    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, x):
        heads = x.unflatten(-1, (2, -1)).transpose(1, 2)
        return F.scaled_dot_product_attention(heads, heads, heads, **self.options)


def scores_of(x):
    heads = x.unflatten(-1, (2, -1)).transpose(1, 2)
    return heads @ heads.mT / heads.shape[-1] ** 0.5


@pytest.fixture
def x():
    return torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))


SHAPES = {
    "queries and keys": ((3, 2, 5, 4), (5, 5)),
    "one mask a head": ((3, 2, 5, 4), (2, 5, 5)),
    "one mask a sequence": ((3, 5, 4), (3, 5, 5)),
    "two batch sides, a mask a head": ((2, 3, 2, 5, 4), (2, 5, 5)),
    "two batch sides, a mask a sequence": ((2, 3, 2, 5, 4), (3, 1, 5, 5)),
    "no batch": ((5, 4), (5, 5)),
}


@pytest.mark.parametrize("is_added", [True, False], ids=["added", "boolean"])
@pytest.mark.parametrize(("shape", "mask_shape"), SHAPES.values(), ids=SHAPES)
def test_a_mask_lies_as_it_broadcasts(shape, mask_shape, is_added):
    query = torch.randn(shape, dtype=torch.float64)
    mask = torch.rand(mask_shape, dtype=torch.float64)
    mask = mask if is_added else (mask > 0.4) | torch.eye(5, dtype=torch.bool)
    with regard.watch(nn.Identity()) as lens:
        F.scaled_dot_product_attention(query, query, query, mask)
    scores = query @ query.mT / 2
    expected = (scores + mask if is_added else scores.masked_fill(~mask, -math.inf)).softmax(-1)
    torch.testing.assert_close(lens[0].statistics.block_map.flatten(), expected.flatten())


HIDDEN = torch.arange(5) > torch.arange(5)[:, None]


HIDING = {"infinity": -math.inf, "least": torch.finfo(torch.float32).min, "narrow": -65504.0, "-1e9": -1e9, "-1e4": -1e4}


@pytest.mark.parametrize("number", HIDING.values(), ids=HIDING)
def test_a_number_added_that_hides_makes_a_key_not_permitted(number, x):
    added = torch.linspace(0, 1, 25).view(5, 5).masked_fill(HIDDEN, number)
    with regard.watch(model := Fused(attn_mask=added)) as lens:
        model(x)
    scores = scores_of(x) + added.masked_fill(HIDDEN, -math.inf)
    assert_as_defined(lens[0].statistics, scores.double().softmax(-1), scores)


def test_a_bias_that_falls_off_by_and_by_hides_nothing(x):
    slope = -50.0 * (torch.arange(200) - torch.arange(200)[:, None]).abs()
    query = torch.randn(1, 1, 200, 4, generator=torch.Generator().manual_seed(0))
    with regard.watch(nn.Identity()) as lens:
        F.scaled_dot_product_attention(query, query, query, slope)
    assert slope.min() < -9000
    assert (lens[0].statistics.permitted_keys == 200).all()


@pytest.mark.parametrize("make", ["causal_upper_left", "causal_lower_right"])
@pytest.mark.parametrize("queries", [3, 5])
def test_a_causal_bias_of_pytorch_is_read_by_what_it_stands_for(make, queries):
    mask = getattr(importlib.import_module("torch.nn.attention.bias"), make)(queries, 5)
    shift = 5 - queries if make == "causal_lower_right" else 0
    query, key = torch.randn(2, 2, queries, 4), torch.randn(2, 2, 5, 4)
    with regard.watch(nn.Identity()) as lens:
        F.scaled_dot_product_attention(query, key, key, mask)
    assert lens[0].first_query == shift
    scores = (query @ key.mT / 2).masked_fill(torch.ones(queries, 5).tril(shift) == 0, -math.inf)
    assert_as_defined(lens[0].statistics, scores.double().softmax(-1), scores, first_query=shift)


def test_a_mask_that_says_itself_what_it_means_is_not_guessed(x):
    class Own(torch.Tensor):
        """A mask with an attention of its own."""

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            is_own = func is F.scaled_dot_product_attention
            return args[0] if is_own else super().__torch_function__(func, types, args, kwargs)

    model = Fused(attn_mask=torch.zeros(5, 5).as_subclass(Own))
    with pytest.warns(UserWarning, match="masks of Own, a tensor with functions of its own"), regard.watch(model):
        model(x)


@pytest.mark.parametrize("mask_shape", [(5, 5), (1, 5, 5), (6, 5, 5)])
def test_heads_that_lie_in_the_batch_are_told_apart_where_the_module_says_how_many(mask_shape, x):
    class Flat(nn.Module):
        num_heads = 2

        def forward(self, x):
            heads = x.unflatten(-1, (2, -1)).transpose(1, 2).flatten(0, 1)
            return F.scaled_dot_product_attention(heads, heads, heads, mask)

    mask = torch.rand(mask_shape)
    with regard.watch(model := Flat()) as lens:
        model(x)
    expected = (scores_of(x) + mask.expand(6, 5, 5).view(3, 2, 5, 5)).softmax(-1)
    torch.testing.assert_close(lens[0].statistics.block_map, expected)


def test_a_position_that_nobody_looks_at_is_padding_in_self_attention(x):
    is_token = torch.tensor([5, 2, 4])[:, None] > torch.arange(5)
    with regard.watch(model := Fused(attn_mask=is_token[:, None, None, :])) as lens:
        model(x)
    assert torch.equal(lens[0].statistics.is_live, is_token[:, None].expand(3, 2, 5))


def test_a_source_position_that_nobody_looks_at_says_nothing_of_targets():
    class Cross(nn.Module):
        def forward(self, x, memory):
            query, key = (y.unflatten(-1, (2, -1)).transpose(1, 2) for y in (x, memory))
            return F.scaled_dot_product_attention(query, key, key, torch.tensor([[True, True, True, True, False]]))

    with regard.watch(model := Cross()) as lens:
        model(torch.randn(2, 5, 8), torch.randn(2, 5, 8))
    assert lens[0].statistics.is_live.all()


class Told(Fused):
    """Self-attention in a model that is told of padding, and leaves it to what comes after."""

    def forward(self, x, attention_mask):
        return super().forward(x) * attention_mask[:, None, :, None]


IS_TOKEN = torch.tensor([5, 2, 4])[:, None] > torch.arange(5)
OTHERS = {"added": IS_TOKEN.log(), "another length": torch.ones(3, 4).long(), "another batch": IS_TOKEN[:2].long()}


@pytest.mark.parametrize("kind", [torch.bool, torch.long, torch.float32])
def test_the_attention_mask_of_a_model_says_what_is_padding(kind, x):
    with regard.watch(model := Told()) as lens:
        model(x, attention_mask=IS_TOKEN.to(kind))
        model(x, IS_TOKEN.to(kind))
    assert torch.equal(lens[0].statistics.is_live, IS_TOKEN[:, None].expand(3, 2, 5))


@pytest.mark.parametrize("mask", OTHERS.values(), ids=OTHERS)
def test_a_mask_of_another_kind_or_sequence_says_nothing(mask, x):
    class Deaf(Fused):
        def forward(self, x, attention_mask):
            return super().forward(x)

    with regard.watch(model := Deaf()) as lens:
        model(x, attention_mask=mask)
    assert lens[0].statistics.is_live.all()


def test_autocast_is_read_as_the_kernel_casts(x):
    model = Fused(attn_mask=torch.linspace(0, 1, 25).view(5, 5))
    with torch.autocast("cpu", torch.bfloat16):
        without = model(x)
        with regard.watch(model) as lens:
            within = model(x)
    assert within.dtype == torch.bfloat16
    assert torch.equal(without, within)
    scores = scores_of(x.bfloat16().float()) + torch.linspace(0, 1, 25).view(5, 5).bfloat16().float()
    assert_as_defined(lens[0].statistics, scores.double().softmax(-1), scores)
    assert (scores.softmax(-1) - (scores_of(x) + model.options["attn_mask"]).softmax(-1)).abs().max() > 1e-4


def test_multihead_attention_under_autocast_is_measured_in_single(x):
    model = nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.autocast("cpu", torch.bfloat16), regard.watch(model) as lens:
        model(x, x, x, need_weights=False)
        projected = [F.linear(x, part).float() for part in model.in_proj_weight.chunk(3)[:2]]
    query, key = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in projected)
    expected = (query @ key.mT / 2).softmax(-1)
    torch.testing.assert_close(lens[0].statistics.block_map, expected)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
def test_sequences_of_unequal_lengths_are_read_one_by_one(layout):
    lengths = [3, 5, 1]
    parts = [torch.randn(length, 2, 4) for length in lengths]
    if layout == torch.jagged:
        nested = torch.nested.nested_tensor(parts, layout=layout).transpose(1, 2)
    else:
        nested = torch.nested.nested_tensor([part.transpose(0, 1) for part in parts], layout=layout)
    with regard.watch(nn.Identity()) as lens:
        F.scaled_dot_product_attention(nested, nested, nested)
    statistics = lens[0].statistics
    assert statistics.is_live[:, 0].sum(-1).tolist() == lengths
    for row, part in enumerate(parts):
        expected = (part.transpose(0, 1) @ part.permute(1, 2, 0) / 2).softmax(-1)
        torch.testing.assert_close(statistics.block_map[row, :, : lengths[row], : lengths[row]], expected)
        assert not statistics.block_map[row, :, lengths[row] :].any()


class Written(nn.Module):
    """Self-attention by hand."""

    def forward(self, x):
        weights = scores_of(x).masked_fill(HIDDEN.to(x.device), -1e9).softmax(-1)
        return weights @ x.unflatten(-1, (2, -1)).transpose(1, 2)


class Masked(nn.Module):
    """Self-attention by the module of PyTorch."""

    def __init__(self):
        super().__init__()
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return self.attend(x, x, x, attn_mask=HIDDEN.to(x.device))[0]


NUMBERLESS = {"fused": Fused, "written": Written, "module": Masked, "layer": partial(nn.TransformerEncoderLayer, 8, 2, 8)}


@pytest.mark.filterwarnings("ignore:No attention was seen", "ignore:There is a performance drop")
@pytest.mark.parametrize("kind", NUMBERLESS.values(), ids=NUMBERLESS)
def test_what_has_no_numbers_is_said_to_be_unseen(kind, x):
    model = kind().eval()
    with regard.watch(model) as lens:
        torch.vmap(model)(x[:, None])
        model.to("meta")(x.to("meta"))
    reasons = [reason for _, reason in lens.unseen]
    assert reasons[0].startswith("inside a transform of torch.func")
    assert reasons[1].startswith("tensors of the meta device, and fake ones, have no numbers")
