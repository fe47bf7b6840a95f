"""Our own mechanisms and gates are seen from outside, with their caches and maps."""

import pytest
import torch
from torch import nn

import regard
from regard.attention import MultiHeadAttention, causal, window
from regard.attention.gates import ChannelGate, SpatialGate


@pytest.mark.parametrize("mask", [causal, window(3)], ids=["causal", "window"])
def test_steps_with_a_cache_are_rows_of_the_whole(mask):
    model, x = MultiHeadAttention(8, 2, mask=mask).double().eval(), torch.randn(2, 7, 8, dtype=torch.float64)
    with torch.no_grad(), regard.watch(model) as whole:
        model(x)
    cache = model.new_cache()
    with torch.no_grad(), regard.watch(model, keep=None) as steps:
        model(x[:, :4], cache=cache)
        for token in range(4, 7):
            model(x[:, token : token + 1], cache=cache)
    for name in ("entropy_bits", "mean_distance", "previous_share"):
        rows = torch.cat([getattr(reading.statistics, name) for reading in steps.calls("mechanism")], 2)
        torch.testing.assert_close(rows, getattr(whole[0].statistics, name))


def test_a_memory_has_no_place_before_the_queries():
    model, cache = MultiHeadAttention(8, 2).eval(), None
    cache = model.new_cache()
    with torch.no_grad(), regard.watch(model) as lens:
        model(torch.randn(1, 2, 8), torch.randn(1, 6, 8), cache=cache)
        model(torch.randn(1, 1, 8), torch.randn(1, 6, 8), cache=cache)
    assert lens[0].shape == (1, 2, 1, 6)
    assert lens[0].first_query == 0


def test_maps_of_gates_are_kept_by_path():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), ChannelGate(4, 2), SpatialGate(3))
    x = torch.randn(2, 3, 5, 6)
    without = model(x)
    with regard.watch(model) as lens:
        within = model(x)
    assert torch.equal(without, within)
    features = model[0](x)
    assert list(lens.gates) == ["1", "2"]
    torch.testing.assert_close(lens.gates["1"], model[1].map(features).detach())
    torch.testing.assert_close(lens.gates["2"], model[2].map(model[1](features)).detach())


def test_only_gates_that_are_asked_for_are_kept():
    model = nn.Sequential(ChannelGate(4, 2), SpatialGate(3))
    with regard.watch(model, layers="1") as lens:
        model(torch.randn(2, 4, 5, 6))
    assert list(lens.gates) == ["1"]


@pytest.mark.parametrize("name", ["softmax", "softmax+sink", "talking-heads", "additive", "sigmoid"])
def test_some_heads_are_those_of_all(name):
    model = MultiHeadAttention(16, 4, num_kv_heads=2, mechanism=name, mask=causal).double()
    x = torch.randn(2, 5, 16, dtype=torch.float64)
    with torch.no_grad():
        for parameter in model.mechanism.parameters():
            nn.init.normal_(parameter)
    with regard.watch(model) as whole, torch.no_grad():
        model(x)
    with regard.watch(model, heads=[3, 0]) as some, torch.no_grad():
        model(x)
    assert some[0].heads == (3, 0)
    for head in (3, 0):
        for statistic, value in whole[0, head].items():
            torch.testing.assert_close(some[0, head][statistic], value, equal_nan=True)
    with pytest.raises(regard.InputError, match=r"No head 1 was measured in 'mechanism'. Measured: 3, 0"):
        some[0, 1]
