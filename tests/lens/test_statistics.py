"""Statistics equal their definitions on the whole matrix, to 1e-10 in float64."""

import math

import pytest
import torch

from regard.attention import ScaledDot, causal, everything, padding, window
from regard.attention.call import Call
from regard.attention.mechanism import mechanism_named
from regard.catalog import MECHANISMS
from regard.lens.statistics import MAP_CELLS, cell_width, measure

EXACT = {"rtol": 0, "atol": 1e-10}
QUERIES, KEYS = 300, 280


def definitions(weights):
    """Every statistic from the matrix P, as its docstring defines it."""
    batch, heads, queries, keys = weights.shape
    distance = (torch.arange(queries)[:, None] - torch.arange(keys)).abs().double()
    size = weights.abs()
    live = size.sum(-1) > 0
    high, wide = cell_width(queries), cell_width(keys)
    cells = torch.zeros(batch, heads, math.ceil(queries / high), math.ceil(keys / wide), dtype=weights.dtype)
    for r in range(cells.shape[2]):
        rows = slice(r * high, (r + 1) * high)
        count = live[:, :, rows].sum(-1).clamp(min=1)
        for c in range(cells.shape[3]):
            cells[:, :, r, c] = weights[:, :, rows, c * wide : (c + 1) * wide].sum((-2, -1)) / count
    logs = torch.where(size > 0, size, 1.0).log2()
    return {
        "entropy_bits": -(size * logs).sum(-1),
        "largest_weight": size.max(-1).values,
        "largest_key": torch.where(live, size.argmax(-1), -1),
        "mean_distance": (weights * distance).sum(-1),
        "mass_received": weights.sum(2),
        "block_map": cells,
        "is_live": live,
    }


MASKS = {
    "everything": everything,
    "causal": causal,
    "window": window(20, 3),
    "padding": padding(torch.tensor([200, 0]), torch.tensor([190, 5])),
    "far only": causal & ~window(250),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("num_kv_heads", [4, 2])
@pytest.mark.parametrize("name", MECHANISMS)
def test_statistics_equal_those_of_the_whole_matrix(name, num_kv_heads, mask):
    torch.manual_seed(0)
    mechanism = mechanism_named(name, 6, 4).double()
    query = torch.randn(2, 4, QUERIES, 6, dtype=torch.float64)
    key, value = (torch.randn(2, num_kv_heads, KEYS, 6, dtype=torch.float64) for _ in range(2))
    bias = torch.randn(1, 4, 1, KEYS, dtype=torch.float64) if mechanism.takes_bias else None
    call = Call(mechanism, 3 * query, key, value, mask, bias)
    seen = measure(call)
    for statistic, expected in definitions(call.weights().detach()).items():
        torch.testing.assert_close(getattr(seen, statistic), expected, msg=lambda text, s=statistic: f"{s}: {text}", **EXACT)
    assert cell_width(QUERIES) == math.ceil(QUERIES / MAP_CELLS) == 3


def test_units_by_hand():
    identity = torch.eye(8).view(1, 1, 8, 8)
    uniform = measure(Call(ScaledDot(scale=0.0), identity, identity, identity))
    torch.testing.assert_close(uniform.entropy_bits, torch.full((1, 1, 8), 3.0))
    torch.testing.assert_close(uniform.mass_received, torch.ones(1, 1, 8))
    torch.testing.assert_close(uniform.mean_distance[0, 0, :2], torch.tensor([28 / 8, 22 / 8]))
    sharp = measure(Call(ScaledDot(scale=1e4), identity, identity, identity))
    assert sharp.entropy_bits.abs().max() < 1e-6
    assert sharp.largest_key[0, 0].tolist() == list(range(8))
    assert sharp.mean_distance.max() == 0


def test_means_leave_rows_that_see_nothing_out():
    x = torch.randn(2, 1, 6, 4)
    lengths = torch.tensor([2, 6])
    means = measure(Call(ScaledDot(scale=0.0), x, x, x, padding(lengths, lengths))).head_means()
    expected = (2 * math.log2(2) + 6 * math.log2(6)) / 8
    assert means["entropy_bits"].item() == pytest.approx(expected, rel=1e-6)


def test_half_precision_is_read_in_single():
    x = torch.randn(1, 2, 64, 8).bfloat16()
    seen = measure(Call(ScaledDot(), x, x, x))
    assert seen.entropy_bits.dtype == torch.float32
    torch.testing.assert_close(seen.block_map, ScaledDot().weights(x.float(), x.float()))


def test_no_queries_and_no_keys_are_no_fault():
    some, none = torch.zeros(1, 1, 3, 2), torch.zeros(1, 1, 0, 2)
    assert measure(Call(ScaledDot(), none, some, some)).entropy_bits.shape == (1, 1, 0)
    assert not measure(Call(ScaledDot(), some, none, none)).is_live.any()
