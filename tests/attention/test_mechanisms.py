"""Each mechanism and normaliser against its equation, written out by hand; laws cannot see a wrong formula."""

import math

import pytest
import torch

from regard import InputError
from regard.attention import (
    Bilinear,
    Cosine,
    Differential,
    Gated,
    Linear,
    MultiHeadAttention,
    SoftCap,
    TalkingHeads,
    attention,
    causal,
    padding,
)
from regard.attention.masks import everything, window
from regard.attention.mechanism import mechanism_named
from regard.attention.normalizers.sigmoid import Sigmoid
from regard.attention.normalizers.softmax import OffByOne, Sink
from regard.attention.normalizers.sparse import Entmax15, Sparsemax


def vectors(heads=2, queries=3, keys=4, dim=6):
    torch.manual_seed(0)
    return (torch.randn(2, heads, length, dim, dtype=torch.float64) for length in (queries, keys))


def normalized(normalizer, *scores, allowed=None):
    given = torch.tensor([[[scores]]], dtype=torch.float64)
    allowed = torch.ones_like(given, dtype=torch.bool) if allowed is None else torch.tensor([[[allowed]]])
    return normalizer(given, allowed)[0, 0, 0].tolist()


def test_bilinear():
    query, key = vectors()
    mechanism = Bilinear(6).double()
    scores = torch.einsum("bhqd,de,bhke->bhqk", query, mechanism.between.weight.T, key)
    torch.testing.assert_close(mechanism.weights(query, key), scores.softmax(-1))


def test_cosine():
    query, key = vectors()
    angle = torch.cosine_similarity(query[:, :, :, None], key[:, :, None], dim=-1)
    torch.testing.assert_close(Cosine(7.0).double().weights(query, key), (7 * angle).softmax(-1))
    torch.testing.assert_close(Cosine(7.0).double().weights(9 * query, key), (7 * angle).softmax(-1))


def test_softcap():
    query, key = vectors()
    scores = 2 * torch.tanh(query @ key.mT / math.sqrt(6) / 2)
    torch.testing.assert_close(SoftCap(2.0).weights(query, key), scores.softmax(-1))
    largest = SoftCap(2.0).weights(1e6 * query, key).amax(-1)
    assert (largest <= math.exp(4) / (math.exp(4) + 3) + 1e-12).all()


def test_talking_heads():
    query, key = vectors()
    mechanism = TalkingHeads(2).double()
    scores = query @ key.mT / math.sqrt(6)
    mixed = torch.stack([sum(mechanism.of_scores[h, g] * scores[:, g] for g in range(2)) for h in range(2)], 1)
    weights = mixed.softmax(-1)
    expected = torch.stack([sum(mechanism.of_weights[h, g] * weights[:, g] for g in range(2)) for h in range(2)], 1)
    torch.testing.assert_close(mechanism.weights(query, key), expected)


def test_differential():
    query, key = vectors()
    mechanism = Differential(6, lambda_init=0.5).double()
    first, second = ((query[..., s] @ key[..., s].mT / math.sqrt(3)).softmax(-1) for s in (slice(3), slice(3, 6)))
    q1, k1, q2, k2 = mechanism.lambdas
    less = (q1 * k1).sum().exp() - (q2 * k2).sum().exp() + 0.5
    torch.testing.assert_close(mechanism.weights(query, key), first - less * second)


def test_gated():
    query, key = vectors()
    mechanism = Gated(6).double()
    gate = 1 / (1 + torch.exp(-(query @ mechanism.openness.weight[0] + mechanism.openness.bias)))
    expected = gate[..., None] * (query @ key.mT / math.sqrt(6)).softmax(-1)
    torch.testing.assert_close(mechanism.weights(query, key), expected)


def test_linear():
    query, key = vectors()
    phi = [torch.where(x > 0, x + 1, x.exp()) for x in (query, key)]
    fit = phi[0] @ phi[1].mT
    torch.testing.assert_close(Linear().weights(query, key), fit / fit.sum(-1, keepdim=True))


@pytest.mark.parametrize(
    "mask", [everything, causal, padding(torch.tensor([70, 130])), causal & padding(torch.tensor([70, 130]))]
)
def test_linear_in_chunks_equals_its_matrix(mask):
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, heads, 130, 6, dtype=torch.float64) for heads in (4, 2, 2))
    for dim in (3, 6):
        fast = Linear()(query, key, value[..., :dim], mask)
        torch.testing.assert_close(fast, Linear()(query, key, value[..., :dim], mask, backend="reference"))


@pytest.mark.parametrize("mask", [everything, causal], ids=str)
@pytest.mark.parametrize("backend", ["auto", "reference", "tiled"])
@pytest.mark.parametrize("is_cast", [False, True])
def test_linear_keeps_its_sums_wide(backend, mask, is_cast):
    torch.manual_seed(0)
    x = torch.randn(1, 1, 2048, 64)
    given = x if is_cast else x.half()
    exact = attention(*[given.double()] * 3, mechanism="linear", mask=mask, backend="reference")
    with torch.autocast("cpu", torch.float16, enabled=is_cast):
        out = attention(given, given, given, mechanism="linear", mask=mask, backend=backend)
    assert (out - exact).abs().max() < 0.02 * exact.abs().max()


def test_the_angle_to_nothing_is_nothing():
    x = torch.randn(1, 1, 4, 8).half()
    weights = Cosine().half().weights(torch.zeros_like(x), x)
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / 4))


def test_linear_needs_no_matrix():
    x = torch.randn(1, 1, 60_000, 8)
    assert Linear()(x, x, x, causal).isfinite().all()  # a matrix would take 14 GB


def test_off_by_one_and_sinks():
    e = math.exp
    total = 1 + e(1) + e(2)
    assert normalized(OffByOne(), 1.0, 2.0) == pytest.approx([e(1) / total, e(2) / total])
    assert normalized(OffByOne(), -900.0, -900.0) == pytest.approx([0, 0])
    sink = Sink(1).double()
    torch.nn.init.constant_(sink.sink, 3.0)
    assert normalized(sink, 1.0, 2.0) == pytest.approx([e(1) / (e(1) + e(2) + e(3)), e(2) / (e(1) + e(2) + e(3))])


def test_sigmoid_counts_the_permitted_keys():
    def sigma(x):
        return 1 / (1 + math.exp(-x))

    assert normalized(Sigmoid(), 1.0, -2.0) == pytest.approx([sigma(1 - math.log(2)), sigma(-2 - math.log(2))])
    assert normalized(Sigmoid(), 1.0, -2.0, allowed=[True, False]) == pytest.approx([sigma(1), 0])


def test_sparsemax():
    assert normalized(Sparsemax(), 0.0, 0.0) == pytest.approx([0.5, 0.5])
    assert normalized(Sparsemax(), 0.5, 0.0, -3.0) == pytest.approx([0.75, 0.25, 0])
    assert normalized(Sparsemax(), 5.0, 0.0, 1.0) == pytest.approx([1, 0, 0])
    assert normalized(Sparsemax(), 0.5, 9.0, 0.0, allowed=[True, False, True]) == pytest.approx([0.75, 0, 0.25])


def test_entmax15_solves_its_equation():
    """Weights are max(score / 2 − τ, 0)² with the one τ for which they sum to one, found by bisection here."""
    torch.manual_seed(0)
    for row in (3 * torch.randn(50, 7, dtype=torch.float64)).tolist():
        low, high = max(row) / 2 - 1, max(row) / 2
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if sum(max(s / 2 - middle, 0) ** 2 for s in row) > 1 else (low, middle)
        expected = [max(s / 2 - low, 0) ** 2 for s in row]
        assert normalized(Entmax15(), *row) == pytest.approx(expected, abs=1e-10)


def test_sparse_normalisers_give_exact_zeros():
    torch.manual_seed(0)
    scores, allowed = 5 * torch.randn(1, 1, 20, 30), torch.ones(1, 1, 20, 30, dtype=torch.bool)
    assert (Sparsemax()(scores, allowed) == 0).float().mean() > 0.8
    assert (Entmax15()(scores, allowed) == 0).float().mean() > 0.6


def test_a_name_may_join_score_and_normaliser():
    assert isinstance(mechanism_named("additive+sparsemax", 4).normalize, Sparsemax)
    assert mechanism_named("cosine+sink", 4, 3).normalize.sink.shape == (3,)
    assert isinstance(mechanism_named("sigmoid", 4).normalize, Sigmoid)
    with pytest.raises(InputError, match="'linear' has no normaliser to replace by 'sparsemax'"):
        mechanism_named("linear+sparsemax", 4)
    with pytest.raises(InputError, match="Did you mean 'sparsemax'"):
        mechanism_named("additive+sparsmax", 4)


def test_heads_may_be_normed():
    torch.manual_seed(0)
    layer = MultiHeadAttention(8, 2, mechanism="differential", mask=window(3), norm_heads=True)
    seen = []
    layer.norm.register_forward_hook(lambda module, given, out: seen.append(out))
    layer(torch.randn(1, 5, 8))
    torch.testing.assert_close(seen[0].square().mean(-1), torch.ones(1, 2, 5), rtol=1e-3, atol=1e-3)
