"""The Triton pass against the definitions in float64, in Triton's interpreter (in a process of its own) or on a GPU."""

import math
import os
from importlib.util import find_spec
from itertools import cycle, product

import pytest
import torch

from regard.attention import ScaledDot, SoftCap, causal, document, everything, padding, window
from regard.attention.call import Call
from regard.attention.masks import Mask, dense
from regard.attention.normalizers.softmax import Sink
from regard.attention.positions import Alibi
from regard.lens import gpu, gpu_passes, statistics
from regard.lens.gpu_passes import FAR, LSE, NEAR, Step
from regard.lens.measure import Sample, _finished
from regard.lens.statistics import Wanted
from tests.interpreting import assert_passes_interpreted
from tests.lens.definitions import assert_as_defined, definitions

HAS_TRITON = find_spec("triton") is not None
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
ON_GPU = torch.cuda.is_available() and not INTERPRETED
DEVICE = "cuda" if ON_GPU else "cpu"
runs_kernels = pytest.mark.skipif(
    not HAS_TRITON or not (INTERPRETED or ON_GPU), reason="runs on a GPU, or in a process of its own in triton's interpreter"
)
compiles = pytest.mark.skipif(
    not HAS_TRITON or INTERPRETED or ON_GPU, reason="compiles with triton, where the kernels do not run anyway"
)
LENGTH = 700 if ON_GPU else 140
"""Enough for tiles of every kind."""
TOLERANCE = 2e-4 if ON_GPU else 2e-5
"""Tensor cores add up with a bit or two less."""
DTYPES = [torch.float32, torch.float16, torch.bfloat16]
SMALL = {4: (Step(64, 32, 4, 1), Step(64, 32, 4, 1)), 2: (Step(64, 32, 2, 1), Step(64, 16, 4, 1))}


def with_dtypes(cases):
    """Each case with every type; in the interpreter, which is slow and wrong in bfloat16, in turn with one of the others."""
    return list(product(cases, DTYPES)) if ON_GPU else list(zip(cases, cycle(DTYPES[:2]), strict=False))


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """In the interpreter, tiles so small that LENGTH has some of every kind; and maps of few cells."""
    monkeypatch.setattr(statistics, "MAP_CELLS", 3)
    if INTERPRETED:
        for size in FAR:
            far, near = SMALL[size[0]]
            for table, step in ((FAR, far), (NEAR, near), (LSE, near)):
                monkeypatch.setitem(table, size, step)


def vectors(batch=1, heads=1, kv_heads=1, queries=LENGTH, keys=LENGTH, dim=16, dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    query = 2 * torch.randn(batch, queries, heads, dim).transpose(1, 2)
    key = torch.randn(batch, kv_heads, keys, dim)
    return query.to(DEVICE, dtype), key.to(DEVICE, dtype)


def exact(call: Call) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights and scores written out in float64, −inf where a pair may not look; on the CPU."""
    mechanism = call.mechanism.cpu().double()
    bias = None if call.bias is None else call.bias.cpu().double()
    query, key = call.query.cpu().double(), call.key.cpu().double()
    wide = Call(mechanism, query, key, key, call.mask.to("cpu"), bias)
    scores = mechanism.score(query, key.repeat_interleave(call.shape[1] // key.shape[1], 1))
    scores = scores if bias is None else scores + wide.bias_of(wide.whole)
    allowed = wide.mask.write(call.shape[:2], range(call.shape[2]), range(call.shape[3]))
    weights = wide.weights()
    call.mechanism.to(DEVICE).float()
    return weights, scores.masked_fill(~allowed, -math.inf)


def read(call: Call, wanted: Wanted, first_query=0, rows=None, **more):
    """What `measure` makes of what the pass finds."""
    found = gpu.measure(call, wanted, first_query, rows, **more)
    sample = None if rows is None else Sample(rows, len(rows), torch.ones(call.shape[:3], dtype=torch.bool))
    return _finished(found, (), wanted, "", sample).statistics


def agree(call: Call, *, first_query=0, tolerance=TOLERANCE, **numbers):
    """Every statistic is as it is defined."""
    found = read(call, Wanted(**numbers), first_query)
    assert not set(found.missing) - {"segment_shares"}, found.missing
    assert_as_defined(found, *exact(call), first_query=first_query, tolerance=tolerance, **numbers)


class Shy(Mask):
    """A mask that knows nothing of tiles."""

    def allows(self, batch, head, query, key):
        return (key <= query) & ((query * 7 + key * 3) % 5 > 0) & (query % 4 > 0)


MASKS = {
    "everything": everything,
    "causal": causal,
    "window": window(40, 5),
    "a window that does not touch": causal & ~window(90),
    "documents": causal & document(torch.arange(LENGTH)[None] // 47),
    "padding": padding(torch.tensor([90, 0])),
    "written, with dead rows": Shy(),
    "a head of its own": dense(torch.rand(1, 2, LENGTH, LENGTH, generator=torch.Generator().manual_seed(1)) < 0.4),
}


@runs_kernels
@pytest.mark.parametrize(("name", "dtype"), with_dtypes(MASKS))
def test_every_mask(name, dtype):
    query, key = vectors(batch=1 + (name == "padding"), heads=1 + (name == "a head of its own"), dtype=dtype)
    agree(Call(ScaledDot(), query, key, key, MASKS[name].to(DEVICE)))


@runs_kernels
@pytest.mark.parametrize(
    ("shape", "dtype"),
    with_dtypes(
        [
            {"queries": 40, "keys": 140, "dim": 40},
            {"queries": 70, "keys": 40, "heads": 4, "kv_heads": 2, "batch": 2},
            {"queries": 1, "keys": 200, "dim": 64},
            {"queries": 96, "keys": 96, "dim": 8},
        ]
    ),
    ids=str,
)
def test_every_shape(shape, dtype):
    query, key = vectors(**shape, dtype=dtype)
    agree(Call(ScaledDot(), query, key, key), first_query=max(0, key.shape[2] - query.shape[2]))


@runs_kernels
@pytest.mark.parametrize(
    "options",
    [
        {"mechanism": SoftCap(3.0)},
        {"mechanism": ScaledDot(scale=0.7), "bias": Alibi(2)},
        {"mechanism": SoftCap(4.0), "bias": Alibi(2)},
        {"mechanism": ScaledDot(normalize=Sink(2))},
        {"mechanism": ScaledDot(normalize=Sink(2)), "mask": Shy()},
    ],
    ids=["softcap", "ALiBi", "softcap and ALiBi", "sinks", "sinks and dead rows"],
)
def test_every_option(options):
    query, key = vectors(heads=2)
    torch.manual_seed(3)
    for parameter in options["mechanism"].parameters():
        torch.nn.init.normal_(parameter, std=2)
    options = {"mask": causal} | options
    mechanism, bias = options["mechanism"].to(DEVICE), options["bias"].to(DEVICE) if "bias" in options else None
    agree(Call(mechanism, query, key, key, options["mask"], bias))


@runs_kernels
@pytest.mark.parametrize(
    ("mask", "numbers"),
    [
        (causal, {"top_keys": 3, "sink_keys": 5, "window": 0}),
        (everything, {"top_keys": 8, "sink_keys": 40, "window": 33}),
        (everything, {"sink_keys": 0, "window": 1000}),
    ],
    ids=["few", "many", "all"],
)
def test_every_number_that_definitions_leave_open(mask, numbers):
    query, key = vectors()
    agree(Call(ScaledDot(), query, key, key, mask), **numbers)


@runs_kernels
def test_segments_of_each_sequence():
    query, key = vectors(batch=2)
    segments = torch.stack([torch.tensor([0, 2, 1])[torch.arange(LENGTH) * 3 // LENGTH], torch.arange(LENGTH) % 4])
    agree(Call(ScaledDot(), query, key, key), segments=segments)
    agree(Call(ScaledDot(), query, key, key), segments=segments - 1)


@runs_kernels
def test_rows_that_are_no_numbers_are_nan_and_no_padding():
    query, key = vectors()
    query[:, :, 10:20] = math.nan
    found = read(Call(ScaledDot(), query, key, key, causal), Wanted())
    is_bad = (torch.arange(LENGTH) >= 10) & (torch.arange(LENGTH) < 20)
    assert found.is_live.all()
    for name in ("entropy_bits", "logsumexp", "largest_logit", "top_weights", "mean_distance", "total_weight"):
        assert torch.equal(found.values[name].flatten().cpu().isnan(), is_bad), name


@runs_kernels
@pytest.mark.parametrize("cells", [2, 7, 128])
def test_cells_of_a_map_may_cut_tiles_anywhere(cells, monkeypatch):
    monkeypatch.setattr(statistics, "MAP_CELLS", cells)
    query, key = vectors(keys=90)
    agree(Call(ScaledDot(), query, key, key))


@runs_kernels
def test_a_key_that_has_all_the_weight_leaves_no_spread():
    """Distances are counted from where the weight is: all of it at one key, far from most rows, spreads nowhere."""
    query, key = vectors()
    key[:, :, 61] = 40 * key[:, :, 61].sign()
    query = 4 * key[:, :, 61:62].sign().expand_as(query).contiguous()
    found = read(Call(ScaledDot(), query, key, key), Wanted())
    assert (found.top_keys == 61).all()
    assert found.top_weights.min() == 1
    assert found.distance_spread.max() < 1e-3
    expected = (torch.arange(LENGTH) - 61).abs().float().expand(1, 1, LENGTH)
    torch.testing.assert_close(found.mean_distance, expected, rtol=1e-6, atol=1e-6)


@runs_kernels
@pytest.mark.parametrize("shift", [0, 1], ids=["at an even key", "at an odd key"])
def test_a_small_spread_far_away_keeps_its_digits(shift):
    """Two neighbours share the weight far behind the last rows: half a position of spread, known to 1e-4."""
    place = LENGTH * 2 // 7
    query, key = vectors()
    away = key[:, :, place : place + 1].sign()
    key -= (key * away).sum(-1, keepdim=True) / 16 * away  # no other key fits the query at all
    key[:, :, place + shift : place + shift + 2] = 3 * away
    found = read(Call(ScaledDot(), 10 * away.expand_as(query).contiguous(), key, key), Wanted())
    torch.testing.assert_close(found.distance_spread[..., -12:], torch.full((1, 1, 12), 0.5), rtol=1e-4, atol=0)
    torch.testing.assert_close(
        found.mean_distance[0, 0, -12:], torch.arange(LENGTH - 12, LENGTH) - (place + 0.5 + shift), rtol=1e-6, atol=0
    )


@runs_kernels
def test_a_sample_reads_its_rows_and_no_others():
    query, key = vectors()
    call, rows = Call(ScaledDot(), query, key, key, causal), (range(10, 35), range(70, 71), range(LENGTH - 7, LENGTH))
    found = read(call, Wanted(), rows=rows)
    weights, scores = exact(call)
    is_read = torch.zeros(LENGTH, dtype=torch.bool)
    for run in rows:
        is_read[run.start : run.stop] = True
    expected = definitions(weights, scores)
    assert torch.equal(found.is_live, is_read.expand(1, 1, LENGTH))
    for name in ("entropy_bits", "mean_distance", "top_weights", "logsumexp", "largest_logit", "permitted_keys"):
        value = getattr(found, name)
        torch.testing.assert_close(value[:, :, is_read].double(), expected[name][:, :, is_read], rtol=1e-5, atol=1e-5)
        assert not (value[:, :, ~is_read] > 0).any(), name
    received = (weights * is_read[:, None]).sum(2)
    torch.testing.assert_close(found.mass_received.double(), received, rtol=1e-5, atol=1e-5)


@runs_kernels
def test_alignments_read_the_weight_of_one_key_a_query():
    query, key = vectors(dtype=torch.float16)
    wanted = torch.arange(LENGTH)[None].flip(1) % 60
    wanted[:, 7] = -1
    call = Call(ScaledDot(), query, key, key, causal)
    found = read(call, Wanted(alignments={"reversed": wanted})).aligned_shares["reversed"]
    expected = exact(call)[0].gather(3, wanted.clamp(min=0).expand(1, 1, LENGTH)[..., None])[..., 0]
    expected[:, :, 7] = math.nan
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5, equal_nan=True)


@runs_kernels
def test_a_given_log_sum_exp_saves_a_pass_and_a_wrong_one_is_not_used(monkeypatch):
    query, key = vectors(heads=1, queries=70)
    call = Call(ScaledDot(), query, key, key, Shy())
    weights, scores = exact(call)
    launched = []
    launch = gpu_passes._launch
    monkeypatch.setattr(gpu_passes, "_launch", lambda kernel, *a, **s: (launched.append(kernel), launch(kernel, *a, **s)))
    given = scores.logsumexp(-1).float().to(DEVICE)
    for lse, count in ((given, 3), (given + 0.01, 3 + 4), (torch.full_like(given, math.nan), 3 + 4)):
        launched.clear()
        assert_as_defined(read(call, Wanted(), logsumexp=lse), weights, scores, tolerance=TOLERANCE)
        assert len(launched) == count


@runs_kernels
def test_heads_whose_memory_is_too_much_at_once_take_turns(monkeypatch):
    monkeypatch.setattr(gpu_passes, "RECEIVED_NUMBERS", 1)
    query, key = vectors(batch=2, heads=2, queries=40, keys=60)
    agree(Call(ScaledDot(), query, key, key))


@runs_kernels
def test_a_call_without_keys_has_dead_rows():
    query, key = vectors(queries=5, keys=0)
    found = read(Call(ScaledDot(), query, key, key), Wanted())
    assert not found.is_live.any()
    assert (found.top_keys == -1).all()
    assert found.logsumexp.isneginf().all()


@pytest.mark.skipif(INTERPRETED, reason="the backends of PyTorch, not the kernels")
@pytest.mark.parametrize("is_causal", [False, True])
def test_a_fused_forward_gives_its_log_sum_exp_and_the_same_bits(is_causal):
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 40, 16, device=DEVICE) for _ in range(3))
    found = gpu.fused(query, key, value, is_causal=is_causal, scale=0.3)
    out, lse = found
    plain = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=is_causal, scale=0.3)
    assert torch.equal(out, plain)
    scores = 0.3 * query.double() @ key.double().mT
    scores = scores.masked_fill(torch.ones(40, 40, device=DEVICE).triu(1).bool(), -math.inf) if is_causal else scores
    torch.testing.assert_close(lse.double(), scores.logsumexp(-1), rtol=1e-3 if ON_GPU else 1e-5, atol=1e-5)
    assert gpu.fused(query, key[:, :1], value[:, :1]) is None


@pytest.mark.skipif(not HAS_TRITON, reason="the kernels need triton")
def test_what_the_pass_cannot_do_it_says(monkeypatch):
    query, key = vectors()
    plain, wanted = Call(ScaledDot(), query, key, key), Wanted()
    if not INTERPRETED and not ON_GPU:
        assert gpu.refusal(plain, wanted) == "it needs a GPU, the tensors are on cpu"
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert "few pairs" in gpu.refusal(plain, wanted)
    monkeypatch.setattr(gpu, "LEAST_PAIRS", 1)
    assert gpu.refusal(plain, wanted) == ""
    assert "top_keys up to 8" in gpu.refusal(plain, Wanted(top_keys=9))
    assert "not float64" in gpu.refusal(Call(ScaledDot(), query.double(), key.double(), key.double()), wanted)
    assert "ALiBi only" in gpu.refusal(Call(ScaledDot(), query, key, key, bias=torch.zeros(1, 1, 1, 1)), wanted)
    assert "scale above 0" in gpu.refusal(Call(ScaledDot(scale=-1.0), query, key, key), wanted)
    assert "softmax only" in gpu.refusal(Call(ScaledDot(normalize="sigmoid"), query, key, key), wanted)
    wide = torch.zeros(1, 1, 4, 300)
    assert "head_dim up to 256" in gpu.refusal(Call(ScaledDot(), wide, wide, wide), wanted)


@compiles
def test_the_kernels_agree_with_the_definition_in_the_interpreter():
    assert_passes_interpreted(__file__)


class NoDevice:
    """Stands for a GPU of this capability while kernels are compiled and not run."""

    def __init__(self, capability: int):
        from triton.backends.compiler import GPUTarget

        self.target = GPUTarget("cuda", capability, 32)

    def get_current_device(self):
        return self.target.arch

    def get_current_stream(self, device):
        return 0

    def get_current_target(self):
        return self.target


SHARED_MEMORY = {80: 163 * 1024, 90: 227 * 1024}


@compiles
@pytest.mark.parametrize(
    ("capability", "dim", "dtype", "numbers"),
    [
        (90, 128, torch.bfloat16, {}),
        (90, 64, torch.float16, {"segments": torch.zeros(1, 256, dtype=torch.long), "top_keys": 8}),
        (80, 128, torch.bfloat16, {}),
        (80, 256, torch.bfloat16, {}),
        (80, 32, torch.float32, {}),
    ],
    ids=["H100", "H100 with segments and 8 keys", "A100", "A100 wide", "A100 single"],
)
def test_the_kernels_compile_and_fit_into_shared_memory(capability, dim, dtype, numbers, monkeypatch):
    from triton.runtime import driver

    monkeypatch.setattr(driver, "_active", None)
    driver.set_active(NoDevice(capability))
    kernels = []
    monkeypatch.setattr(
        gpu_passes, "_launch", lambda kernel, grid, *a, **sizes: kernels.append(kernel.warmup(*a, grid=grid, **sizes))
    )
    monkeypatch.setattr(statistics, "MAP_CELLS", 2)
    query = torch.zeros(1, 2, 256, dim, dtype=dtype)
    gpu.measure(Call(SoftCap(3.0), query, query, query, causal), Wanted(**numbers))
    assert len(kernels) == (3 if "top_keys" in numbers else 4)
    for kernel in kernels:
        assert kernel.metadata.shared <= SHARED_MEMORY[capability], kernel.name
