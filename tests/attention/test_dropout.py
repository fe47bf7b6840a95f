"""Dropout: its rate, its independence, and the same dice everywhere."""

import math

import pytest
import torch

from regard import InputError
from regard.attention import DropHead, DropKey, DropWeights, MultiHeadAttention, ScaledDot, attention, causal, window
from regard.attention.call import Call


def kept(rate=0.3, seed=0, shape=(2, 3, 400, 500)):
    return DropKey(rate, seed).draw(shape, "cpu").keys.write(shape[:2], range(shape[2]), range(shape[3])).float()


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 0.9])
def test_the_rate_is_met_in_all_rows_and_columns(rate):
    pairs = kept(rate)
    error = math.sqrt(rate * (1 - rate))
    assert pairs.mean().item() == pytest.approx(1 - rate, abs=5 * error / math.sqrt(pairs.numel()) + 1e-9)
    for side in (2, 3):
        count = pairs.shape[side]
        assert (pairs.mean(side) - (1 - rate)).abs().max() <= 5.5 * error / math.sqrt(count) + 1e-6


def test_pairs_are_independent():
    """Correlation of rows, of columns and of the four corners of rectangles is what chance gives."""
    pairs = (kept(0.5)[0] - 0.5) * 2
    flat = pairs.flatten(0, 1)
    for matrix in (flat, flat.T):
        correlation = (matrix @ matrix.T / matrix.shape[1]).fill_diagonal_(0)
        assert correlation.square().mean().sqrt().item() == pytest.approx(1 / math.sqrt(matrix.shape[1]), rel=0.05)
    corners = pairs[:, :-7, :-3] * pairs[:, 7:, :-3] * pairs[:, :-7, 3:] * pairs[:, 7:, 3:]
    assert abs(corners.mean().item()) < 5 / math.sqrt(corners.numel())
    assert abs((pairs[0] * pairs[1]).mean().item()) < 5 / math.sqrt(pairs[0].numel())


def test_a_seed_repeats_and_another_does_not():
    assert torch.equal(kept(seed=5), kept(seed=5))
    assert 0.5 < (kept(seed=5) == kept(seed=6)).float().mean() < 0.65  # 0.3² + 0.7² by chance


def test_without_a_seed_pytorchs_generator_decides():
    x = torch.randn(1, 2, 50, 8)
    outs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outs.append(attention(x, x, x, dropout=DropKey(0.5)))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


@pytest.mark.parametrize("dropout", [DropKey(0.4, 1), DropWeights(0.4, 1), DropHead(0.4, 1)], ids=str)
def test_what_is_dropped_is_the_same_in_every_backend_and_tile(dropout):
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 300, 8), torch.randn(2, 2, 300, 8), torch.randn(2, 2, 300, 8)
    outs = {}
    for backend in ("reference", "tiled", "sdpa"):
        given = [x.clone().requires_grad_() for x in (query, key, value)]
        if backend == "sdpa" and isinstance(dropout, DropWeights):
            continue
        out = attention(*given, mask=window(70), dropout=dropout, backend=backend)
        outs[backend] = [out, *torch.autograd.grad(out.square().sum(), given)]
    for backend in outs:
        torch.testing.assert_close(outs[backend], outs["reference"], rtol=1e-4, atol=1e-5)


def test_dropped_weights_grow_so_that_the_mean_stays():
    torch.manual_seed(0)
    x = torch.randn(1, 1, 64, 8)
    whole = ScaledDot().weights(x, x)
    mean = torch.stack(
        [Call(ScaledDot(), x, x, x, dropout=DropWeights(0.5, s).draw((1, 1, 64, 64), "cpu")).weights() for s in range(800)]
    )
    torch.testing.assert_close(mean.mean(0), whole, rtol=0, atol=6 * whole.max().item() / math.sqrt(800))
    assert set((mean[0] / whole).round(decimals=4).unique().tolist()) == {0.0, 2.0}


def test_dropped_keys_leave_rows_that_sum_to_one():
    x = torch.randn(1, 1, 64, 8)
    weights = Call(ScaledDot(), x, x, x, causal, dropout=DropKey(0.5, 1).draw((1, 1, 64, 64), "cpu")).weights()
    sums = weights.sum(-1)[0, 0]
    assert ((sums - 1).abs() < 1e-6).sum() > 60
    assert (sums[(sums - 1).abs() > 1e-6] == 0).all()


def test_whole_heads_are_dropped():
    x = torch.randn(16, 4, 5, 8)
    out, whole = attention(x, x, x, dropout=DropHead(0.5, 3)), attention(x, x, x)
    ratio = (out / whole).flatten(2)
    assert ((ratio == 0).all(-1) | ((ratio - 2).abs() < 1e-3).all(-1)).all()
    assert 0.25 < (ratio[..., 0] == 0).float().mean() < 0.75


def test_a_layer_drops_only_while_training():
    layer = MultiHeadAttention(8, 2, dropout=DropKey(0.5))
    x = torch.randn(1, 20, 8)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))


def test_dropping_all_gives_zeros():
    x = torch.randn(1, 2, 20, 8, requires_grad=True)
    for dropout in (DropKey(1.0, 1), DropWeights(1.0, 1), DropHead(1.0, 1)):
        out = attention(x, x, x, dropout=dropout, backend="tiled")
        assert (out == 0).all()
        assert (torch.autograd.grad(out.sum(), x)[0] == 0).all()


def test_a_rate_is_a_share():
    with pytest.raises(InputError, match=r"between 0 and 1, got 1\.5"):
        DropKey(1.5)
