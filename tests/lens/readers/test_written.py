"""A matrix that a model writes out is followed from its softmax to the values, whatever is done to it in between."""

import gc
import math
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard
from tests.lens.definitions import assert_as_defined

BATCH, HEADS, QUERIES, KEYS = 2, 4, 5, 6
HIDDEN = torch.arange(KEYS) > torch.arange(QUERIES)[:, None] + 1


class Written(nn.Module):
    """Attention by hand; `way` takes scores (batch, heads, queries, keys) and values and gives the output."""

    def __init__(self, way, **attributes):
        super().__init__()
        self.way = way
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, scores, value):
        return self.way(scores, value, self.training)


@pytest.fixture
def scores():
    return torch.randn(BATCH, HEADS, QUERIES, KEYS, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def value():
    return torch.randn(BATCH, HEADS, KEYS, 3, generator=torch.Generator().manual_seed(1))


def flat(x):
    return x.flatten(0, 1)


def in_place(scores, value, training):
    weights = scores.softmax(-1)
    F.dropout(weights, 0.5, training, inplace=True)
    weights.mul_(1.0) if not training else None
    return weights @ value


def into_batch(scores, value, training):
    weights = scores.softmax(-1).view(-1, QUERIES, KEYS)
    return torch.bmm(F.dropout(weights, 0.5, training), flat(value))


def shifted(scores, value, training):
    sink = torch.full((BATCH, HEADS, QUERIES, 1), 0.3)
    joined = torch.cat([scores + 100, sink + 100], -1)
    joined = joined - joined.max(-1, keepdim=True).values
    return F.softmax(joined, -1)[..., :-1] @ value


def several_queries_a_group(scores, value, training):
    weights = scores.view(BATCH, 2, 2, QUERIES, KEYS).softmax(-1)
    return torch.einsum("bkgqs,bksd->bkgqd", weights, value[:, ::2])


def heads_last(scores, value, training):
    weights = scores.transpose(1, 2).softmax(-1)  # batch queries heads keys
    return torch.einsum("bqhk,bkhd->bqhd", weights, value.transpose(1, 2))


WAYS = {
    "matmul": lambda s, v, t: torch.matmul(F.softmax(s, dim=-1), v),
    "method": lambda s, v, t: s.softmax(3).matmul(v),
    "module": lambda s, v, t: nn.Softmax(-1)(s) @ v,
    "special": lambda s, v, t: torch.special.softmax(s, -1) @ v,
    "keywords": lambda s, v, t: torch.matmul(input=torch.softmax(input=s, dim=-1), other=v),
    "wider and back": lambda s, v, t: F.softmax(s, dim=-1, dtype=torch.float64).to(v.dtype) @ v,
    "type_as": lambda s, v, t: s.double().softmax(-1).type_as(v) @ v,
    "dropout": lambda s, v, t: F.dropout(s.softmax(-1), 0.5, t) @ v,
    "dropout module": lambda s, v, t: nn.Dropout(0.5).train(t)(s.softmax(-1)).contiguous() @ v,
    "dropout in place": in_place,
    "zeros for nan": lambda s, v, t: F.dropout(s.softmax(-1).nan_to_num(0.0), 0.5, t) @ v,
    "heads in the batch": into_batch,
    "baddbmm": lambda s, v, t: torch.baddbmm(torch.zeros(8, QUERIES, 3), flat(s.softmax(-1)), flat(v), beta=0),
    "einsum": lambda s, v, t: torch.einsum("b h i j, b h j d -> b h i d", s.softmax(-1), v),
    "einsum to heads last": lambda s, v, t: torch.einsum("...ij,...jd->...id", s.softmax(-1), v),
    "values first": lambda s, v, t: v.mT @ s.softmax(-1).transpose(-2, -1),
    "values first in an equation": lambda s, v, t: torch.einsum("bhjd,bhij->bhid", v, s.softmax(-1)),
    "queries before heads": heads_last,
    "groups of heads": several_queries_a_group,
}


@pytest.mark.parametrize("is_training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way_to_write_attention_is_read(way, is_training, scores, value):
    model = Written(way).train(is_training)
    torch.manual_seed(0)
    without = model(scores, value)
    torch.manual_seed(0)
    with regard.watch(model) as lens:
        within = model(scores, value)
    assert torch.equal(without, within)
    assert lens["Written"].shape == (BATCH, HEADS, QUERIES, KEYS)
    assert_as_defined(lens["Written"].statistics, scores.double().softmax(-1), scores)


HIDING = {
    "infinity": lambda s: s.masked_fill(HIDDEN, float("-inf")),
    "-1e9": lambda s: s.masked_fill(HIDDEN, -1e9),
    "-1e4 added": lambda s: s + HIDDEN * -1e4,
    "least number of a narrow type": lambda s: (s + HIDDEN * torch.finfo(torch.float16).min).float(),
    "least number added": lambda s: s + HIDDEN * torch.finfo(s.dtype).min,
    "least number instead": lambda s: torch.where(HIDDEN, torch.finfo(s.dtype).min, s),
}


@pytest.mark.parametrize("hide", HIDING.values(), ids=HIDING)
def test_hidden_keys_are_not_permitted_whatever_hides_them(hide, scores, value):
    model = Written(lambda s, v, t: hide(s).softmax(-1) @ v)
    with regard.watch(model) as lens:
        model(scores, value)
    expected = scores.masked_fill(HIDDEN, float("-inf"))
    assert_as_defined(lens[0].statistics, expected.double().softmax(-1), expected)


SPREAD = torch.cat([torch.linspace(-9000, -1, KEYS - 1), torch.zeros(1)]) * torch.ones(QUERIES, 1)
NO_MASKS = {
    "large scores": lambda s: s + SPREAD,
    "all of them low": lambda s: s - 6000,
    "low in rows of their own": lambda s: s - 6000 * (torch.arange(QUERIES)[:, None] == 1) - 1000,
}


@pytest.mark.parametrize("make", NO_MASKS.values(), ids=NO_MASKS)
def test_low_scores_alone_hide_nothing(make, scores, value):
    model = Written(lambda s, v, t: make(s).softmax(-1) @ v)
    with regard.watch(model) as lens:
        model(scores, value)
    assert (lens[0].statistics.permitted_keys == KEYS).all()


IN_PLACE = {
    "filled": lambda s: s.masked_fill_(HIDDEN, -math.inf),
    "set": lambda s: s.__setitem__(HIDDEN.expand_as(s), -math.inf),
    "added": lambda s: s.__iadd__(HIDDEN * -1e9),
}


@pytest.mark.parametrize("hide", IN_PLACE.values(), ids=IN_PLACE)
def test_a_mask_written_into_shifted_scores_is_read(hide, scores, value):
    def way(scores, value, training):
        scores = scores - scores.amax(-1, keepdim=True)
        hide(scores)
        return scores.softmax(-1) @ value

    with regard.watch(model := Written(way)) as lens:
        model(scores, value)
    expected = (scores - scores.amax(-1, keepdim=True)).masked_fill(HIDDEN, -math.inf)
    assert_as_defined(lens[0].statistics, expected.double().softmax(-1), expected)


def test_a_sink_takes_a_share_and_is_no_key(scores, value):
    model = Written(shifted)
    with regard.watch(model) as lens:
        model(scores, value)
    given = scores.double() + 100  # not those from which the largest was taken
    weights = torch.cat([given, torch.full_like(given[..., :1], 100.3)], -1).softmax(-1)[..., :-1]
    assert_as_defined(lens[0].statistics, weights, given)
    assert (lens[0].statistics.total_weight < 1).all()


@pytest.mark.parametrize("number", [-torch.finfo(torch.float32).max, -1e4])
def test_rows_that_may_look_at_nothing_are_left_out(number, scores, value):
    nowhere = torch.zeros(BATCH, 1, QUERIES, 1, dtype=torch.bool)
    nowhere[1, :, 3:] = True
    model = Written(lambda s, v, t: s.masked_fill(nowhere, number).softmax(-1) @ v)
    with regard.watch(model) as lens:
        model(scores, value)
    assert lens[0].statistics.is_live.sum(-1).tolist() == [[5] * HEADS, [3] * HEADS]
    expected = scores.masked_fill(nowhere, -math.inf)
    assert_as_defined(lens[0].statistics, expected.double().softmax(-1).nan_to_num(0), expected)


def test_what_multiplies_the_values_is_what_counts(scores, value):
    keep = torch.tensor([1.0, 0.0, 1.0, 0.5]).view(1, HEADS, 1, 1)
    model = Written(lambda s, v, t: (F.dropout(s.softmax(-1), 0.5, t) * keep) @ v)
    with regard.watch(model) as lens:
        model(scores, value)
    torch.testing.assert_close(lens[0].statistics.block_map, scores.softmax(-1) * keep)


def test_weights_that_are_mixed_have_no_scores(scores, value):
    mixing = nn.Conv2d(HEADS, HEADS, 1, bias=False)
    model = Written(lambda s, v, t: mixing(s.softmax(-1)) @ v)
    with regard.watch(model) as lens:
        model(scores, value)
    torch.testing.assert_close(lens[0].statistics.block_map, mixing(scores.softmax(-1)).detach())
    with pytest.raises(regard.InputError, match="logsumexp was not measured"):
        lens[0].statistics.logsumexp  # noqa: B018


@pytest.mark.parametrize(("attributes", "shape"), [({}, (8, 1)), ({"num_heads": HEADS}, (BATCH, HEADS))])
def test_heads_that_lie_in_the_batch_are_told_apart_where_the_module_says_how_many(attributes, shape, scores, value):
    model = Written(lambda s, v, t: flat(s).softmax(-1) @ flat(v), **attributes)
    with regard.watch(model) as lens:
        model(scores, value)
    assert lens[0].shape == (*shape, QUERIES, KEYS)
    torch.testing.assert_close(lens[0].statistics.block_map.flatten(0, 1), flat(scores.softmax(-1)))


class Parts(nn.Module):
    """Attention whose softmax, dropout and product are modules of their own."""

    def __init__(self):
        super().__init__()
        self.softmax, self.dropout, self.num_heads = nn.Softmax(dim=-1), nn.Dropout(0.5), HEADS
        self.product = Written(lambda weights, value, training: weights @ value)

    def forward(self, scores, value):
        return self.product(self.dropout(self.softmax(flat(scores))), flat(value))


def test_a_call_belongs_to_the_module_that_holds_softmax_and_product(scores, value):
    model = nn.ModuleDict({"attend": Parts()})
    with regard.watch(model) as lens:
        model["attend"](scores, value)
    assert lens.layers == ["attend"]
    assert_as_defined(lens[0].statistics, scores.double().softmax(-1), scores)


def classifier(scores, value, training):
    return scores.softmax(-1).log().mean()


def router(scores, value, training):
    chances = scores[:, 0].softmax(-1)  # a row of experts for each token
    return chances.unsqueeze(2) @ torch.randn(BATCH, QUERIES, KEYS, 3)


def codebook(scores, value, training):
    return scores[:, 0].softmax(-1) @ torch.randn(KEYS, 3)


@pytest.mark.parametrize("way", [classifier, router, codebook, lambda s, v, t: s.softmax(1).mT @ s])
def test_a_softmax_that_multiplies_no_values_is_no_attention(way, scores, value):
    model = Written(way)
    with pytest.warns(UserWarning, match="No attention was seen in Written"), regard.watch(model) as lens:
        model(scores, value)
    assert not lens.layers


LOST = {
    "rows": (lambda s, v, t: s.softmax(-1)[:, :, 1:] @ v, "rows were cut out of it"),
    "in place": (lambda s, v, t: F.dropout(s.softmax(-1), 0.5, True).mul_(2) @ v, "changed in place after dropout"),
    "written to": (lambda s, v, t: F.dropout(s.softmax(-1), 0.5, True).zero_() @ v, "written to after dropout"),
    "reshaped": (lambda s, v, t: (flat(s.softmax(-1)) * 2) @ flat(v), "changed after a change of shape"),
    "rolled": (lambda s, v, t: s.softmax(-1).roll(1, -1) @ v, "did not multiply values in a way that is read"),
}


@pytest.mark.parametrize(("way", "reason"), LOST.values(), ids=LOST)
def test_what_cannot_be_followed_is_said(way, reason, scores, value):
    model = Written(way)
    with pytest.warns(UserWarning, match="No attention was seen"), regard.watch(model) as lens:
        model(scores, value)
    ((layer, found),) = lens.unseen
    assert layer == "Written"
    assert reason in found


ASIDE = {
    "two sides": (lambda s, v: torch.bmm(s[:, 0, 0].softmax(-1).unsqueeze(1), v[:, 0]), (BATCH, KEYS)),
    "two sides in an equation": (lambda s, v: torch.einsum("bk,bkd->bd", s[:, 0, 0].softmax(-1), v[:, 0]), (BATCH, KEYS)),
    "another side": (lambda s, v: F.dropout(s[:, 0].mT.softmax(1), 0.5).mT @ v[:, 0], (BATCH, KEYS, QUERIES)),
}


@pytest.mark.parametrize(("way", "shape"), ASIDE.values(), ids=ASIDE)
def test_a_softmax_of_another_form_is_said_to_be_unread(way, shape, scores, value):
    model = Written(lambda s, v, t: (s.softmax(-1) @ v, way(s, v)))
    with regard.watch(model) as lens:
        model(scores, value)
    assert lens.layers == ["Written"]
    assert lens.unseen == [("Written", f"a softmax over {shape} did not multiply values in a way that is read")]


def test_a_softmax_that_enters_no_product_is_not_spoken_of(scores, value):
    model = Written(lambda s, v, t: (s.softmax(-1) @ v, s[:, 0, 0].softmax(-1) * v.sum()))
    with regard.watch(model) as lens:
        model(scores, value)
    assert not lens.unseen


def test_no_tensor_is_held_longer_than_the_model_holds_it(scores, value):
    held = []

    def way(scores, value, training):
        scores = scores * 1
        weights = scores.softmax(-1)
        held.extend(map(weakref.ref, (scores, weights)))
        return F.dropout(weights, 0.5, True) @ value

    model = Written(way)
    gc.disable()  # no cycle may be needed to let them go
    try:
        with regard.watch(model), torch.no_grad():
            model(scores, value)
            assert [ref() for ref in held] == [None, None]
    finally:
        gc.enable()
