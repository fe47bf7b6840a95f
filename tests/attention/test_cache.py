"""What is decoded with a cache is what the full pass computes."""

import pytest
import torch

from regard import InputError
from regard.attention import KeyValueCache, MultiHeadAttention, causal, everything, padding, window

POSITIONS = [None, "rotary", "alibi", "t5", "sinusoidal", "learned"]


def layer(**options):
    torch.manual_seed(0)
    return MultiHeadAttention(16, 4, num_kv_heads=2, **options).double().eval()


@torch.no_grad()
@pytest.mark.parametrize("steps", [[1] * 9, [4, 1, 1, 3], [9], [0, 5, 4]], ids=str)
@pytest.mark.parametrize("mask", [causal, window(3)], ids=str)
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("mechanism", ["softmax", "additive", "sink", "linear"])
def test_decoding_equals_the_full_pass(mechanism, position, mask, steps):
    if mechanism == "linear" and position in ("alibi", "t5"):
        return
    attend = layer(mechanism=mechanism, position=position, mask=mask)
    x, cache = torch.randn(2, 9, 16, dtype=torch.float64), attend.new_cache()
    parts = [attend(part, cache=cache) for part in x.split(steps, 1)]
    torch.testing.assert_close(torch.cat(parts, 1), attend(x), rtol=1e-10, atol=1e-12)
    assert cache.length == 9


@torch.no_grad()
def test_a_window_keeps_no_more_than_it_needs():
    attend = layer(mask=window(3))
    cache = attend.new_cache()
    for _ in range(500):
        attend(torch.randn(2, 1, 16, dtype=torch.float64), cache=cache)
    assert cache.length == 500
    assert cache.start == 500 - 4
    assert cache._buffers[0].shape[2] <= 64


@torch.no_grad()
def test_beams_are_reordered():
    attend = layer(mask=causal, position="rotary")
    x, last = torch.randn(3, 5, 16, dtype=torch.float64), torch.randn(3, 1, 16, dtype=torch.float64)
    cache, order = attend.new_cache(), torch.tensor([2, 2, 0])
    attend(x, cache=cache)
    cache.reorder(order)
    expected = attend(torch.cat([x[order], last], 1))[:, -1:]
    torch.testing.assert_close(attend(last, cache=cache), expected)


@torch.no_grad()
def test_a_memory_is_projected_once():
    attend = layer()
    x, memory = torch.randn(2, 3, 16, dtype=torch.float64), torch.randn(2, 7, 16, dtype=torch.float64)
    cache = KeyValueCache()
    steps = [attend(part, memory, cache=cache) for part in x.split(1, 1)]
    torch.testing.assert_close(torch.cat(steps, 1), attend(x, memory))
    assert cache.length == 7


@torch.no_grad()
@pytest.mark.parametrize("steps", [[1] * 5, [2, 1, 2]], ids=str)
@pytest.mark.parametrize("mask", [everything, window(2, 2)], ids=str)
@pytest.mark.parametrize("position", POSITIONS)
def test_decoding_that_looks_at_a_memory_equals_the_full_pass(position, mask, steps):
    attend = layer(position=position, mask=mask)
    x, memory = torch.randn(2, 5, 16, dtype=torch.float64), torch.randn(2, 7, 16, dtype=torch.float64)
    cache = KeyValueCache()
    parts = [attend(part, memory, cache=cache) for part in x.split(steps, 1)]
    torch.testing.assert_close(torch.cat(parts, 1), attend(x, memory), rtol=1e-10, atol=1e-12)


@torch.no_grad()
def test_a_mask_that_does_not_fit_is_told_at_every_step():
    attend, cache = layer(mask=causal), KeyValueCache()
    for _ in range(2):
        with pytest.raises(InputError, match="padding"):
            attend(torch.randn(2, 1, 16, dtype=torch.float64), mask=padding(torch.tensor([1, 1, 1])), cache=cache)
        attend(torch.randn(2, 1, 16, dtype=torch.float64), cache=cache)
