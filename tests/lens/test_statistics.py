"""Statistics equal their definitions on the whole matrix: every way to them, every mechanism, every mask."""

import math

import jaxtyping
import pytest
import torch

from regard.attention import ScaledDot, causal, everything, padding, window
from regard.attention.call import Call
from regard.attention.masks import lower_right
from regard.attention.mechanism import Scored, mechanism_named
from regard.catalog import MECHANISMS
from regard.errors import InputError, Unsupported
from regard.lens import tiles
from regard.lens.kernels import build
from regard.lens.measure import draw, live_rows, measure, measure_matrix
from regard.lens.statistics import MAP_CELLS, STATISTICS, Wanted, cell_width
from tests.lens.definitions import assert_as_defined, definitions

QUERIES, KEYS = 300, 280
MASKS = {
    "everything": everything,
    "causal": causal,
    "window": window(20, 3),
    "padding": padding(torch.tensor([200, 0]), torch.tensor([190, 5])),
    "far only": causal & ~window(250),
}
NUMBERS = {"top_keys": 5, "sink_keys": 3, "window": 11}
SEGMENTS = (torch.arange(KEYS) // 50)[None]
needs_compiler = pytest.mark.skipif(
    bool(tiles.refusal(Call(ScaledDot(), *(torch.zeros(1, 1, 1, 1) for _ in range(3))), Wanted())),
    reason="the tile pass needs a C compiler: apt install gcc",
)


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


def scores_of(call):
    """Scores as the softmax takes them; None where the mechanism has none."""
    if not isinstance(call.mechanism, Scored) or type(call.mechanism).weights is not Scored.weights:
        return None
    key = call.key.repeat_interleave(call.shape[1] // call.key.shape[1], 1)
    scores = call.mechanism.score(call.query, key) + (0 if call.bias is None else call.bias)
    return scores.masked_fill(~call.mask.write(call.shape[:2], range(call.shape[2]), range(call.shape[3])), -math.inf)


def made(name, mask, num_kv_heads=2, dtype=torch.float64, with_bias=True):
    mechanism = mechanism_named(name, 6, 4).to(dtype)
    query = 3 * torch.randn(2, 4, QUERIES, 6, dtype=dtype)
    key, value = (torch.randn(2, num_kv_heads, KEYS, 6, dtype=dtype) for _ in range(2))
    bias = torch.randn(1, 4, 1, KEYS, dtype=dtype) if mechanism.takes_bias and with_bias else None
    return Call(mechanism, query, key, value, mask, bias)


def doubled(call):
    """The same call in float64, of which its own mechanism is part."""
    bias = None if call.bias is None else call.bias.double()
    return Call(call.mechanism.double(), call.query.double(), call.key.double(), call.value.double(), call.mask, bias)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("num_kv_heads", [4, 2])
@pytest.mark.parametrize("name", MECHANISMS)
def test_the_explicit_pass_is_as_defined_for_every_mechanism(name, num_kv_heads, mask):
    call = made(name, mask, num_kv_heads)
    wanted = Wanted(segments=SEGMENTS, **NUMBERS)
    found = measure(call, wanted, way="explicit").statistics
    assert_as_defined(found, call.weights(), scores_of(call), tolerance=1e-9, segments=SEGMENTS, **NUMBERS)
    assert cell_width(QUERIES) == math.ceil(QUERIES / MAP_CELLS) == 3


DOTS = ["softmax", "softcap", "cosine", "bilinear", "softmax+sink", "softmax-off-by-one"]


@needs_compiler
@pytest.mark.parametrize("with_bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("name", DOTS)
def test_the_tile_pass_is_as_defined(name, mask, with_bias):
    call = made(name, mask, dtype=torch.float32, with_bias=with_bias)
    found = measure(call, Wanted(segments=SEGMENTS, **NUMBERS), way="tiles").statistics
    exact = doubled(call)
    assert_as_defined(found, exact.weights(), scores_of(exact), segments=SEGMENTS, **NUMBERS)


@needs_compiler
@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 128, 129, 1000])
def test_the_tile_pass_is_as_defined_at_every_edge_of_its_tiles(length):
    x = torch.randn(1, 2, length, 8)
    call = Call(ScaledDot(), 2 * x, x, x, causal)
    found = measure(call, way="tiles").statistics
    exact = doubled(call)
    assert_as_defined(found, exact.weights(), scores_of(exact))


@needs_compiler
def test_a_sharp_head_far_away_keeps_the_digits_of_its_spread():
    length = 2000
    x, bias = torch.zeros(1, 1, length, 4), torch.zeros(1, 1, length, length)
    bias[..., 10:13] = torch.tensor([29.0, 30.0, 28.0])
    call = Call(ScaledDot(), x, x, x, bias=bias)
    found = measure(call, way="tiles").statistics
    expected = definitions(doubled(call).weights())
    torch.testing.assert_close(found.distance_spread.double(), expected["distance_spread"], rtol=1e-4, atol=1e-4)
    assert expected["mean_distance"][0, 0, -1] > 1987
    assert expected["distance_spread"][0, 0, -1] < 1


@needs_compiler
def test_scores_that_do_not_fit_the_strip_are_computed_twice(monkeypatch):
    x = torch.randn(1, 2, 300, 8)
    call = Call(ScaledDot(), x, x, x, causal)
    kept = measure(call, way="tiles").statistics
    monkeypatch.setattr(tiles, "STRIP_KEYS", 100)
    twice = measure(call, way="tiles").statistics
    for name, value in kept.values.items():
        assert torch.equal(value.nan_to_num(), twice.values[name].nan_to_num()), name


@needs_compiler
@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_changes_nothing_but_the_order_of_sums(threads):
    call = made("softmax", causal, dtype=torch.float32)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        found = measure(call, way="tiles").statistics
    finally:
        torch.set_num_threads(before)
    exact = doubled(call)
    assert_as_defined(found, exact.weights(), scores_of(exact))


@pytest.mark.parametrize("way", [pytest.param("tiles", marks=needs_compiler), "explicit"])
def test_queries_at_the_end_of_a_cache_count_distances_from_where_they_stand(way):
    x, late = torch.randn(1, 2, 50, 8), torch.randn(1, 2, 4, 8)
    call = Call(ScaledDot(), late, x, x, lower_right(causal, 4, 50))
    found = measure(call, first_query=46, way=way).statistics
    exact = doubled(call)
    assert_as_defined(found, exact.weights(), scores_of(exact), first_query=46)
    assert found.permitted_keys[0, 0].tolist() == [47, 48, 49, 50]


@pytest.mark.parametrize("way", [pytest.param("tiles", marks=needs_compiler), "explicit"])
def test_alignments_and_rectangles_are_the_weights_themselves(way):
    call = made("softmax", window(100, 40), dtype=torch.float32)
    keys = torch.randint(-1, KEYS, (2, QUERIES))
    found = measure(call, Wanted(alignments={"given": keys}, rectangles=((range(5, 9), range(2, 7)),)), way=way).statistics
    weights = call.weights()
    expected = weights.gather(3, keys.clamp(min=0)[:, None, :, None].expand(-1, 4, -1, -1))[..., 0]
    expected = expected.masked_fill((keys < 0)[:, None], math.nan)
    torch.testing.assert_close(found.aligned_shares["given"], expected, equal_nan=True)
    torch.testing.assert_close(found.rectangles[0], weights[:, :, 5:9, 2:7])
    share = found.head_means()["given"]
    torch.testing.assert_close(share, expected.double().nanmean((0, 2)), rtol=1e-5, atol=1e-7)


def test_a_matrix_that_is_there_is_read_as_it_stands():
    call = made("softmax", causal)
    found = measure_matrix(call.weights(), scores_of(call), Wanted(**NUMBERS)).statistics
    assert_as_defined(found, call.weights(), scores_of(call), tolerance=1e-9, **NUMBERS)
    bare = measure_matrix(call.weights(), None).statistics
    with pytest.raises(InputError, match=r"logsumexp was not measured: the mechanism has no scores"):
        _ = bare.logsumexp


def test_units_by_hand():
    identity = torch.eye(8).view(1, 1, 8, 8)
    uniform = measure(Call(ScaledDot(scale=0.0), identity, identity, identity)).statistics
    torch.testing.assert_close(uniform.entropy_bits, torch.full((1, 1, 8), 3.0))
    torch.testing.assert_close(uniform.evenness, torch.ones(1, 1, 8))
    torch.testing.assert_close(uniform.mass_received, torch.ones(1, 1, 8))
    torch.testing.assert_close(uniform.mean_distance[0, 0, :2], torch.tensor([28 / 8, 22 / 8]))
    torch.testing.assert_close(uniform.logsumexp, torch.full((1, 1, 8), math.log(8)))
    torch.testing.assert_close(uniform.previous_share[0, 0], torch.tensor([0] + 7 * [1 / 8]))
    sharp = measure(Call(ScaledDot(scale=1e4), identity, identity, identity)).statistics
    assert sharp.entropy_bits.abs().max() < 1e-6
    assert sharp.largest_key[0, 0].tolist() == list(range(8))
    assert sharp.largest_logit[0, 0].tolist() == 8 * [1e4]
    assert sharp.mean_distance.max() == sharp.distance_spread.max() == 0


def test_means_leave_rows_that_see_nothing_out():
    x = torch.randn(2, 1, 6, 4)
    lengths = torch.tensor([2, 6])
    means = measure(Call(ScaledDot(scale=0.0), x, x, x, padding(lengths, lengths))).statistics.head_means()
    expected = (2 * math.log2(2) + 6 * math.log2(6)) / 8
    assert means["entropy_bits"].item() == pytest.approx(expected, rel=1e-6)
    assert means["evenness"].item() == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_read_in_single(dtype):
    x = torch.randn(1, 2, 64, 8).to(dtype)
    seen = measure(Call(ScaledDot(), x, x, x)).statistics
    assert seen.entropy_bits.dtype == torch.float32
    torch.testing.assert_close(seen.block_map, ScaledDot().weights(x.float(), x.float()))


def test_no_queries_and_no_keys_are_no_fault():
    some, none = torch.zeros(1, 1, 3, 2), torch.zeros(1, 1, 0, 2)
    assert measure(Call(ScaledDot(), none, some, some)).statistics.entropy_bits.shape == (1, 1, 0)
    assert not measure(Call(ScaledDot(), some, none, none)).statistics.is_live.any()


def test_only_what_is_asked_for_is_kept():
    x = torch.randn(1, 1, 3, 2)
    found = measure(Call(ScaledDot(), x, x, x), Wanted(("entropy_bits",))).statistics
    assert list(found.values) == ["entropy_bits"]
    with pytest.raises(InputError, match=r"block_map was not measured: it was not asked for, see statistics="):
        _ = found.block_map
    with pytest.raises(AttributeError):
        _ = found.no_such_thing


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"names": ("entropy",)}, f"No statistic is called 'entropy'. Known: {', '.join(STATISTICS)}"),
        ({"top_keys": 0}, "top_keys must be at least 1, got 0"),
        ({"window": -1}, "window must be at least 0, got -1"),
        (
            {"segments": torch.tensor([0, 1])},
            r"segments must be a tensor of whole numbers \(batch or 1, keys\), got torch.int64 \(2,\)",
        ),
        ({"segments": torch.tensor([[0.5]])}, "segments must be a tensor of whole numbers .*, got torch.float32"),
        ({"segments": [[0, 1]]}, "segments must be a tensor of whole numbers .*, got list"),
        ({"segments": torch.tensor([[-2, 1]])}, "segments must be numbered from 0, with -1 for none, got -2"),
        (
            {"alignments": {"a": torch.tensor([0])}},
            r"alignments\['a'\] must be .* \(batch or 1, queries\), got torch.int64 \(1,\)",
        ),
    ],
)
def test_what_cannot_be_measured_is_told(options, text, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # or it would tell of kinds and sides sooner
    with pytest.raises(InputError, match=text):
        Wanted(**options)


def test_a_bare_string_is_one_name():
    assert Wanted("entropy_bits").names == ("entropy_bits",)
    assert Wanted(["entropy_bits", "evenness"]).names == ("entropy_bits", "evenness")


def test_a_way_that_is_named_never_falls_back():
    x = torch.randn(1, 1, 3, 2, dtype=torch.float64)
    call = Call(ScaledDot(), x, x, x)
    with pytest.raises(Unsupported, match="The compiled tile pass on the CPU refuses: it computes in float32"):
        measure(call, way="tiles")
    with pytest.raises(InputError, match="No way to measure is called 'fast'"):
        measure(call, way="fast")
    assert "not by the compiled tile pass on the CPU: it computes in float32" in measure(call).how


def test_without_a_compiler_the_explicit_pass_is_taken_and_says_why(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "no-such-compiler")
    x = torch.randn(1, 1, 3, 2)
    tiles._library.cache_clear()
    build.library.cache_clear()
    try:
        how = measure(Call(ScaledDot(), x, x, x)).how
    finally:
        tiles._library.cache_clear()
        build.library.cache_clear()
    assert how.startswith("explicit pass")
    assert "there is no C compiler" in how


@needs_compiler
def test_a_folder_that_cannot_be_written_is_told(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REGARD_CACHE", str(tmp_path / "file"))
    build.library.cache_clear()
    with pytest.raises(build.NoCompiler, match=r"nothing can be written to .*name another folder in REGARD_CACHE"):
        build.library("tiles")
    build.library.cache_clear()


def test_live_rows_are_those_that_may_look_at_something():
    x = torch.randn(2, 1, 70, 4)
    for mask in (everything, causal, window(3), padding(torch.tensor([5, 0])), ~causal, causal & ~window(3)):
        call = Call(ScaledDot(), x, x, x, mask)
        assert torch.equal(live_rows(call), mask.write((2, 1), range(70), range(70)).any(-1).expand(2, 1, 70)), mask


def test_a_sample_is_exact_in_the_rows_that_it_read():
    call = made("softmax", causal, dtype=torch.float32)
    sample = draw(call, 2, torch.Generator().manual_seed(3))
    seen, whole = measure(call, sample=sample).statistics, measure(call).statistics
    read = torch.zeros(QUERIES, dtype=torch.bool)
    for run in sample.rows:
        read[run.start : run.stop] = True
    assert torch.equal(seen.is_live, whole.is_live & read)
    torch.testing.assert_close(seen.entropy_bits[:, :, read], whole.entropy_bits[:, :, read])
    assert seen.block_map[:, :, 0].isnan().all() == (not read[: cell_width(QUERIES)].any())


def test_a_short_call_is_not_sampled():
    assert draw(made("softmax", causal), 5, torch.Generator()) is None
