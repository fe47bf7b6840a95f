"""What cannot be a number is told as NaN, and what may not be looked at is no key, whichever way a call is measured."""

import math

import pytest
import torch

from regard.attention import ScaledDot, causal, dense
from regard.attention.call import Call
from regard.attention.normalizers.softmax import OffByOne
from regard.lens.measure import measure, measure_matrix
from regard.lens.readers.flex import from_flex
from regard.lens.statistics import STATISTICS, Wanted
from regard.lens.stock import statistics_of
from tests.lens.definitions import assert_as_defined
from tests.lens.test_statistics import needs_compiler

WAYS = [pytest.param("tiles", marks=needs_compiler), "explicit"]
OF_QUERIES = [name for name, one in STATISTICS.items() if one.of == "query" and name not in ("permitted_keys", "top_keys")]
every_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


@every_way
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("is_causal", [True, False], ids=["causal", "all"])
def test_rows_that_are_no_numbers_are_nan_and_no_padding(way, bad, is_causal):
    query, key = torch.randn(1, 2, 6, 4), torch.randn(1, 2, 6, 4)
    query[:, 0, :3] = bad
    mask, segments = causal if is_causal else dense(torch.ones(6, 6).bool()), torch.tensor([[0, 0, 1, 1, 2, 2]])
    call = Call(ScaledDot(), query, key, key, mask)
    found = measure(call, Wanted(segments=segments, alignments={"first": torch.zeros(1, 6).long()}), way=way)
    seen = found.statistics
    assert not found.is_finite
    assert seen.is_live.all()
    for name in OF_QUERIES:
        assert seen.values[name][:, 0, :3].isnan().all(), name
        assert not seen.values[name][:, 1, 1:].isnan().any(), name
    assert seen.aligned_shares["first"].isnan().sum() == 3
    means = seen.head_means()
    torch.testing.assert_close(means["entropy_bits"][0], seen.entropy_bits[0, 0, 3:].double().mean())
    query[:, 0] = bad
    means = measure(call, way=way).statistics.head_means()
    assert all(means[name][0].isnan() for name in ("entropy_bits", "largest_logit", "total_weight", "mean_distance"))
    assert means["entropy_bits"][1] > 0


def test_a_written_matrix_without_numbers_is_nan_too():
    scores = torch.randn(1, 1, 4, 4)
    scores[..., 1, :] = math.nan
    found = measure_matrix(scores.softmax(-1), scores)
    assert not found.is_finite
    assert found.statistics.is_live.all()
    assert found.statistics.logsumexp.isnan().tolist() == [[[False, True, False, False]]]


@every_way
def test_rows_that_rest_altogether_stay_in_the_means(way):
    query, key = torch.full((1, 1, 4, 1), 1.0), torch.full((1, 1, 4, 1), 10.0)
    query[..., 2:, :] = -16
    call = Call(ScaledDot(normalize=OffByOne()), query, key, key)  # two rows with logits of 10, two of −160
    seen = measure(call, way=way).statistics
    assert seen.is_live.all()
    assert seen.head_means()["total_weight"].item() == pytest.approx(0.5, abs=1e-3)
    assert seen.mean_distance.isnan().tolist() == [[[False, False, True, True]]]
    assert seen.head_means()["mean_distance"].item() == pytest.approx((1.5 + 1) / 2)


@every_way
def test_keys_of_segment_minus_one_are_in_none(way):
    x, segments = torch.randn(1, 2, 6, 4), torch.tensor([[-1, -1, 0, 0, 1, 1]])
    call = Call(ScaledDot(), x, x, x)
    found = measure(call, Wanted(segments=segments), way=way).statistics
    weights = call.weights()
    expected = torch.stack([weights[..., 2:4].sum(-1), weights[..., 4:].sum(-1)], -1)
    torch.testing.assert_close(found.segment_shares, expected)
    none = measure(call, Wanted(segments=torch.full((1, 6), -1)), way=way).statistics
    assert "segment_shares" not in none.values


@pytest.mark.parametrize("name", ["softmax", "blocks"])
def test_keys_of_segment_minus_one_are_in_no_statistic_with_a_gradient(name):
    x, segments = torch.randn(1, 2, 6, 4), torch.tensor([[-1, -1, 0, 0, 1, 1]], dtype=torch.int32)
    call = Call(ScaledDot(), x, x, x) if name == "softmax" else from_flex(x, x, x, lambda score, *_: score).call
    found = statistics_of(call, ["segment_shares"], Wanted(segments=segments))["segment_shares"]
    torch.testing.assert_close(found, measure(call, Wanted(segments=segments)).statistics.segment_shares)


SCORES = torch.randn(1, 2, 6, 4, generator=torch.Generator().manual_seed(1))
MODS = {
    "causal": lambda score, b, h, i, j: torch.where(i >= j, score, -math.inf),
    "strictly causal": lambda score, b, h, i, j: torch.where(i > j, score, -math.inf),
    "least": lambda score, b, h, i, j: torch.where(i > j, score, torch.finfo(torch.float32).min),
}


@pytest.mark.parametrize("name", MODS)
def test_a_score_of_minus_infinity_forbids(name):
    call = from_flex(SCORES, SCORES, SCORES, MODS[name]).call
    allowed = torch.ones(6, 6).tril(0 if name == "causal" else -1).bool()
    scores = (SCORES @ SCORES.mT / 2).masked_fill(~allowed, -math.inf)
    seen = measure(call).statistics
    assert_as_defined(seen, scores.softmax(-1).nan_to_num(0), scores)
    assert seen.permitted_keys[0, 0].tolist() == allowed.sum(-1).tolist()
    names = ["entropy_bits", "mass_received", "total_weight", "top_weights"]
    for name, value in statistics_of(call, [*names, "evenness"]).items():
        torch.testing.assert_close(value, seen.values[name], equal_nan=True, msg=name)
