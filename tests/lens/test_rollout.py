"""Rollout equals the product of the written-out matrices, and never writes one."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard
from regard.attention import MultiHeadAttention, causal, everything, padding
from regard.attention.call import Call
from regard.attention.mechanism import mechanism_named
from regard.errors import InputError
from regard.lens.record import Reading
from regard.lens.rollout import rollout
from regard.lens.statistics import Statistics

BATCH, HEADS, LENGTH, DIM = 2, 4, 6, 4
MASKS = {"everything": everything, "causal": causal, "padding": padding(torch.tensor([6, 4]), torch.tensor([6, 4]))}
MECHANISMS = ["softmax", "sink", "softcap", "sparsemax", "sigmoid", "linear"]


def layers(mechanism, mask, count=3):
    torch.manual_seed(0)
    made = mechanism_named(mechanism, DIM, HEADS).double()
    readings = []
    for number in range(count):
        query, key = (2 * torch.randn(BATCH, h, LENGTH, DIM, dtype=torch.float64) for h in (HEADS, 2))
        call = Call(made, query, key, key, mask)
        readings.append(Reading(f"layers.{number}", Statistics({}, torch.ones(1, 1, 1).bool()), call.shape, call=call))
    return readings


def product(readings, residual, fusion):
    """Aₗ … A₁, every matrix written out."""
    whole = torch.eye(LENGTH, dtype=torch.float64)
    for reading in readings:
        weights = reading.call.weights().detach()
        fused = {"mean": weights.mean(1), "max": weights.amax(1), "min": weights.amin(1)}[fusion]
        mixed = residual * torch.eye(LENGTH) + (1 - residual) * fused
        dead = fused.sum(-1, keepdim=True) == 0
        mixed = torch.where(dead, torch.eye(LENGTH, dtype=torch.float64), mixed)
        whole = mixed / mixed.sum(-1, keepdim=True) @ whole
    return whole


@pytest.mark.parametrize("fusion", ["mean", "max", "min"])
@pytest.mark.parametrize("residual", [0.5, 0.0, 0.9])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_rollout_is_rows_of_the_product(mechanism, mask, residual, fusion):
    if residual == 0 and fusion == "min" and mechanism == "sparsemax":
        pytest.skip("a row without weight in every head is one that may look at nothing")
    readings = layers(mechanism, mask)
    found = rollout(readings, [0, 3, -1], residual=residual, fusion=fusion)
    torch.testing.assert_close(found, product(readings, residual, fusion)[:, [0, 3, 5]], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found.sum(-1), torch.ones(BATCH, 3, dtype=torch.float64))


@pytest.mark.parametrize("fusion", ["mean", "max"])
def test_mixtures_of_rows_roll_out_to_mixtures(fusion):
    readings = layers("softmax", causal)
    shares = torch.rand(BATCH, LENGTH, 2, dtype=torch.float64).softmax(1)
    found = rollout(readings, shares, fusion=fusion)
    torch.testing.assert_close(found, shares.mT @ product(readings, 0.5, fusion), rtol=1e-9, atol=1e-12)


def test_mixtures_must_have_a_share_for_each_row():
    with pytest.raises(InputError, match=r"must have the sides \(2, 6, 'tokens'\), got \(2, 5, 1\)"):
        rollout(layers("softmax", causal), torch.ones(BATCH, 5, 1))


def test_one_step_by_hand():
    """Two tokens, one head, half of the weight on each: A is 0.75 and 0.25."""
    query = torch.zeros(1, 1, 2, 4)
    reading = Reading("a", Statistics({}, torch.ones(1, 1, 1).bool()), (1, 1, 2, 2))
    call = Call(mechanism_named("softmax", 4, 1), query, query, query)
    found = rollout([Reading("a", reading.statistics, reading.shape, call=call)], [0, 1])
    torch.testing.assert_close(found, torch.tensor([[[0.75, 0.25], [0.25, 0.75]]]))


def test_padding_gets_nothing_of_a_token():
    found = rollout(layers("softmax", MASKS["padding"]), [0, 5])
    assert (found[1, 0, 4:] == 0).all()
    assert found[1, 1].tolist() == [0, 0, 0, 0, 0, 1]  # what may look at nothing hands on itself


class Model(nn.Module):
    def __init__(self, mechanism="softmax"):
        super().__init__()
        self.layers = nn.ModuleList(MultiHeadAttention(16, 2, mechanism=mechanism, mask=causal) for _ in range(3))

    def forward(self, x):
        for layer in self.layers:
            x = x + layer(x)
        return x


def test_a_lens_is_rolled_out_from_its_last_layer_to_its_first():
    torch.manual_seed(0)
    model, x = Model().double(), torch.randn(2, LENGTH, 16, dtype=torch.float64)
    with regard.watch(model, [], keep_calls=True) as lens:
        model(x)
    readings = [lens[layer] for layer in lens.layers]
    torch.testing.assert_close(rollout(lens, range(LENGTH)), product(readings, 0.5, "mean"), rtol=1e-9, atol=1e-12)
    assert not torch.allclose(rollout(lens, range(LENGTH)), rollout(readings[::-1], range(LENGTH)))


@pytest.mark.parametrize("fusion", ["mean", "max"])
def test_no_matrix_is_ever_written(fusion):
    """The largest tensor that is made, at two lengths: blocks of a fixed size, and vectors."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        most = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for x in out if isinstance(out, tuple | list) else [out]:
                if isinstance(x, torch.Tensor):
                    self.most = max(self.most, x.untyped_storage().nbytes())
            return out

    query = torch.randn(1, 1, 4096, 8)
    call = Call(mechanism_named("softmax", 8, 1), query, query, query, causal)
    readings = [Reading("a", Statistics({}, torch.ones(1, 1, 1).bool()), call.shape, call=call)] * 2
    with Largest() as largest:
        rollout(readings, [0, 17], fusion=fusion)
    assert 4096 * 4 <= largest.most <= 2**21 * 4 < 4096**2 * 4


def test_what_cannot_be_rolled_out_is_told():
    readings = layers("softmax", everything)
    empty = Reading("layers.7", readings[0].statistics, readings[0].shape)
    with pytest.raises(InputError, match=r"layers.7 has no vectors to roll out: watch it with keep_calls=True"):
        rollout([empty], [0])
    with pytest.raises(InputError, match="at least one layer, got none"):
        rollout([], [0])
    with pytest.raises(InputError, match=r"tokens must be below 6, the length of the layers, got \[6\]"):
        rollout(readings, [6])
    with pytest.raises(InputError, match=r"residual must be a share between 0 and 1, got 1.5"):
        rollout(readings, [0], residual=1.5)
    with pytest.raises(InputError, match="fusion must be one of mean, max, min, got 'sum'"):
        rollout(readings, [0], fusion="sum")
    with pytest.raises(InputError, match="those of Differential may be below 0"):
        rollout(layers("differential", everything), [0])
    call = readings[0].call
    crossed = Call(call.mechanism, call.query[:, :, :3], call.key, call.value)
    with pytest.raises(InputError, match=r"layers.9 has 3 queries and 6 keys"):
        rollout([Reading("layers.9", empty.statistics, crossed.shape, call=crossed)], [0])
    short = Call(call.mechanism, *(x[:, :, :3] for x in (call.query, call.key, call.value)))
    with pytest.raises(InputError, match=r"layers of one batch and length, got \[\(2, 3\), \(2, 6\)\]"):
        rollout([*readings, Reading("short", empty.statistics, short.shape, call=short)], [0])


def test_a_model_of_another_library_is_rolled_out():
    class Plain(nn.Module):
        def forward(self, x):
            heads = x.unflatten(-1, (2, -1)).transpose(1, 2)
            return F.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).flatten(2)

    torch.manual_seed(0)
    model = nn.Sequential(Plain(), Plain())
    with regard.watch(model, [], keep_calls=True) as lens:
        model(torch.randn(1, LENGTH, 8))
    expected = product([lens[layer] for layer in lens.layers], 0.5, "mean")
    torch.testing.assert_close(rollout(lens, [2]), expected[:, [2]].float(), rtol=1e-5, atol=1e-6)
