"""Statistics that can be differentiated: exact against their definitions, with exact gradients, in O(N) memory."""

import math
import os
import subprocess
import sys

import pytest
import torch

from regard.attention import causal, dense, everything, padding, window
from regard.attention.call import Call
from regard.attention.mechanism import mechanism_named
from regard.attention.positions import Alibi
from regard.attention.scaled_dot import ScaledDot
from regard.errors import InputError
from regard.lens.statistics import STATISTICS, Wanted
from regard.lens.stock import BLOCKS, STOCK, statistics_of, ways
from regard.lens.sums import received
from tests.lens.definitions import definitions

BATCH, HEADS, LENGTH, DIM = 2, 4, 6, 4
NAMES = [name for name in STATISTICS if name not in ("top_keys", "permitted_keys")]
SEGMENTS = torch.tensor([[0, 0, 1, 1, 2, 2], [0, 1, 2, 0, 1, 2]])
WANTED = Wanted(top_keys=2, sink_keys=2, window=1, segments=SEGMENTS)
NUMBERS = {"top_keys": 2, "sink_keys": 2, "window": 1, "segments": SEGMENTS}
MASKS = {
    "everything": everything,
    "causal": causal,
    "window": window(2, 1),
    "padding": padding(torch.tensor([6, 3]), torch.tensor([6, 3])),
    "written": dense(torch.ones(LENGTH, LENGTH).tril(1).bool()),
}
BIASES = {"none": None, "tensor": torch.linspace(-2, 2, LENGTH**2, dtype=torch.float64).view(1, 1, LENGTH, LENGTH)}
MECHANISMS = ["softmax", "sink", "softmax-off-by-one", "cosine", "bilinear", "softcap", "sparsemax", "differential", "additive"]


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


def make(mechanism="softmax", mask=everything, bias=None, kv_heads=HEADS, length=LENGTH, needs_grad=True):
    made = mechanism_named(mechanism, DIM, HEADS).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    query, key = (torch.randn(BATCH, h, length, DIM, dtype=torch.float64) for h in (HEADS, kv_heads))
    return Call(made, query.requires_grad_(needs_grad), key.requires_grad_(needs_grad), key.detach(), mask, bias)


def defined(call, **numbers):
    """The definitions on the written-out matrix, and of scores where there are any."""
    scores = None
    if hasattr(call.mechanism, "score"):
        scores = call.mechanism.score(call.query, call.key.repeat_interleave(HEADS // call.key.shape[1], 1))
        bias = call.bias_of(call.whole)
        scores = scores if bias is None else scores + bias
        allowed = call.mask.write(call.shape[:2], range(call.shape[2]), range(call.shape[3]))
        scores = scores.masked_fill(~allowed, -math.inf)
    return definitions(call.weights(), scores, **numbers)


def of(mechanism):
    return [name for name in NAMES if mechanism != "differential" or name not in ("logsumexp", "largest_logit")]


@pytest.mark.parametrize("kv_heads", [4, 2])
@pytest.mark.parametrize("bias", BIASES.values(), ids=BIASES)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_statistic_is_as_defined(mechanism, mask, bias, kv_heads):
    call = make(mechanism, mask, bias, kv_heads)
    names = [name for name in of(mechanism) if mechanism != "differential" or name != "evenness"]
    found, expected = statistics_of(call, names, WANTED), defined(call, **NUMBERS)
    for name in names:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-9, atol=1e-9, equal_nan=True, msg=name)


def test_a_bias_that_is_a_function_is_in_all_of_them():
    call = make(bias=Alibi(HEADS))
    found, expected = statistics_of(call, NAMES, WANTED), defined(call, **NUMBERS)
    for name in NAMES:
        torch.testing.assert_close(found[name].double(), expected[name], rtol=1e-6, atol=1e-6, equal_nan=True, msg=name)


def test_a_bias_of_minus_infinity_forbids_like_a_mask():
    allowed = torch.ones(LENGTH, LENGTH).tril().bool()
    allowed[2] = False
    by_mask = make("sink", dense(allowed))
    for least in (-math.inf, torch.finfo(torch.float64).min):
        bias = torch.zeros(1, 1, LENGTH, LENGTH, dtype=torch.float64).masked_fill(~allowed, least)
        by_bias = Call(by_mask.mechanism, by_mask.query, by_mask.key, by_mask.value, everything, bias)
        found, expected = statistics_of(by_bias, NAMES, WANTED), statistics_of(by_mask, NAMES, WANTED)
        for name in NAMES:
            torch.testing.assert_close(found[name], expected[name], rtol=1e-9, atol=1e-9, equal_nan=True, msg=name)


@pytest.mark.parametrize("first_query", [0, 2])
def test_distances_count_from_the_first_query(first_query):
    call = make(mask=causal.part(range(first_query, first_query + 4), range(LENGTH)))
    call = Call(call.mechanism, call.query[:, :, :4], call.key, call.value, call.mask)
    found = statistics_of(call, NAMES, WANTED, first_query=first_query)
    expected = definitions(call.weights(), first_query=first_query, **NUMBERS)
    for name in ("mean_distance", "distance_spread", "window_share", "previous_share"):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("mask", [causal, MASKS["padding"]], ids=["causal", "padding"])
@pytest.mark.parametrize("mechanism", ["softmax", "sink", "softcap", "bilinear", "differential"])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_right(name, mechanism, mask):
    if name not in of(mechanism):
        pytest.skip("no scores")
    call = make(mechanism, mask, kv_heads=2, length=LENGTH)

    def found(query, key, *parameters):
        value = statistics_of(Call(call.mechanism, query, key, key, mask), [name], WANTED)[name]
        return value.where(value.isfinite(), 0)

    with torch.random.fork_rng():
        inputs = (call.query, call.key, *call.mechanism.parameters())
        assert torch.autograd.gradcheck(found, inputs, fast_mode=True, atol=1e-6)


@pytest.mark.parametrize("name", ["entropy_bits", "logsumexp", "sink_share", "mass_received"])
def test_second_gradients_are_right(name):
    call = make("sink", causal, length=3)

    def found(query, key):
        value = statistics_of(Call(call.mechanism, query, key, key, causal), [name], WANTED)[name]
        return value

    assert torch.autograd.gradgradcheck(found, (call.query, call.key), fast_mode=True, atol=1e-6)


def test_a_bias_that_is_learned_gets_its_gradient():
    call = make(mask=causal)
    bias = torch.randn(1, HEADS, LENGTH, LENGTH, dtype=torch.float64, requires_grad=True)

    def found(bias):
        return statistics_of(Call(call.mechanism, call.query, call.key, call.value, causal, bias), ["entropy_bits"])[
            "entropy_bits"
        ]

    assert torch.autograd.gradcheck(found, (bias,), fast_mode=True)


def test_a_row_that_may_look_at_nothing_has_no_say_and_no_nan():
    call = make("sink", MASKS["padding"])
    found = statistics_of(call, NAMES, WANTED)
    assert (found["entropy_bits"][1, :, 3:] == 0).all()
    assert found["logsumexp"][1, :, 3:].isneginf().all()
    total = sum(value.where(value.isfinite(), 0).sum() for value in found.values())
    for gradient in torch.autograd.grad(total, [call.query, call.key]):
        assert gradient.isfinite().all()
        assert (gradient[1, :, 3:] == 0).all()


def test_mass_received_needs_no_gradient_to_be_found():
    call = make("sink", causal, kv_heads=2)
    with torch.no_grad():
        assert ways(call, ["mass_received"]) == {"mass_received": STOCK}
        found = statistics_of(call, ["mass_received"])["mass_received"]
    torch.testing.assert_close(found, call.weights().detach().sum(2), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("columns", [1, 3, 200])
@pytest.mark.parametrize("mechanism", ["softmax", "sink", "linear", "talking-heads"])
def test_what_keys_receive_is_the_transpose_of_the_weights(mechanism, columns):
    call = make(mechanism, causal, kv_heads=2, needs_grad=False)
    given = torch.randn(BATCH, HEADS, LENGTH, columns, dtype=torch.float64)
    torch.testing.assert_close(received(call, given).detach(), (call.weights().mT @ given).detach(), rtol=1e-9, atol=1e-9)


def test_the_way_is_told_with_its_reason():
    told = ways(make(), ["entropy_bits", "top_weights", "mean_distance"])
    assert told["entropy_bits"] == STOCK
    assert told["top_weights"] == f"{BLOCKS}: a maximum is no sum over the keys"
    assert told["mean_distance"].endswith("loses the digits of a short distance")
    assert ways(make("softcap"), ["entropy_bits", "sink_share"]) == {
        "entropy_bits": f"{BLOCKS}: a softcap stands between the product and the softmax",
        "sink_share": STOCK,
    }
    assert "not Additive" in ways(make("additive"), ["sink_share"])["sink_share"]


@pytest.mark.parametrize("mask", [everything, causal], ids=["everything", "causal"])
def test_float32_stays_within_a_hundred_thousandth_at_4096_positions(mask):
    """Also for heads that look at their neighbour, where a sum of positions would lose the digits of a distance of one."""
    length, near = 4096, torch.arange(4096.0)
    angle = torch.stack([torch.cos(near * f) for f in (1.0, 0.1, 0.01)] + [torch.sin(near * f) for f in (1.0, 0.1, 0.01)], -1)
    query = torch.stack([angle * 3, torch.randn(length, 6)])[None]
    key = torch.stack([angle, torch.randn(length, 6)])[None]
    names = [name for name in NAMES if name not in ("segment_shares", "block_map", "top_weights", "largest_logit")]
    found, exact = (
        statistics_of(Call(ScaledDot(), q, k, k, mask), names) for q, k in ((query, key), (query.double(), key.double()))
    )
    for name in names:
        torch.testing.assert_close(found[name].double(), exact[name], rtol=1e-5, atol=1e-5, equal_nan=True, msg=name)


def test_keys_with_a_large_common_part_keep_their_digits():
    query, key = torch.randn(1, 1, 64, 8), torch.randn(1, 1, 64, 8)
    shifted = key + 100 * torch.ones(8)
    plain = statistics_of(Call(ScaledDot(), query, key, key), ["entropy_bits"])["entropy_bits"]
    found = statistics_of(Call(ScaledDot(), query, shifted, key), ["entropy_bits"])["entropy_bits"]
    torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-4)


def test_half_precision_is_read_in_single():
    query, key = (torch.randn(1, 2, 5, 8, dtype=torch.bfloat16, requires_grad=True) for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        found = statistics_of(Call(ScaledDot(), query, key, key), NAMES[:1])
    wide = statistics_of(Call(ScaledDot(), query.double(), key.double(), key.double()), NAMES[:1])
    assert found["entropy_bits"].dtype == torch.float32
    torch.testing.assert_close(found["entropy_bits"].double(), wide["entropy_bits"], rtol=1e-5, atol=1e-5)
    found["entropy_bits"].sum().backward()
    assert query.grad.dtype == torch.bfloat16


def saved_bytes(length, name):
    """What autograd keeps for the backward pass, each storage once, without the inputs."""
    query, key = (torch.randn(1, 2, length, 8, requires_grad=True) for _ in range(2))
    kept = {}

    def keep(x):
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        statistics_of(Call(ScaledDot(), query, key, key, causal), [name], Wanted(sink_keys=2))[name]
    return sum(kept.values())


@pytest.mark.parametrize("name", ["entropy_bits", "logsumexp", "sink_share", "window_share", "mean_distance", "mass_received"])
def test_what_is_kept_for_the_backward_pass_grows_with_the_length_only(name):
    once, twice = saved_bytes(512, name), saved_bytes(1024, name)
    assert 0 < twice <= 2.1 * once
    assert twice < 1024 * 2 * 4 * 100  # numbers of 4 bytes for each query of 2 heads; the matrix alone would be 1024


BY_TRITON = """
import torch
from regard.attention import causal, padding
from regard.attention.call import Call
from regard.attention.scaled_dot import ScaledDot
from regard.lens.sums import _run_by_triton, _run_on_cpu
torch.manual_seed(0)
query, key = torch.randn(2, 4, 70, 16), torch.randn(2, 2, 90, 16)
for mask in (causal, padding(torch.tensor([90, 33]), torch.tensor([70, 20]))):
    call = Call(ScaledDot(), query, key, key, mask)
    found, expected = _run_by_triton(call), _run_on_cpu(call)
    is_live = mask.write((2, 4), range(70), range(90)).any(-1).expand(2, 4, -1)
    torch.testing.assert_close(found[is_live], expected[is_live], rtol=1e-5, atol=1e-5)
    assert found.isfinite().all()
"""


def test_the_log_sum_exp_of_the_gpu_kernel_is_that_of_the_cpu_kernel():
    """In triton's interpreter, which must be chosen before triton is imported."""
    pytest.importorskip("triton", reason="the package triton is not installed")
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", BY_TRITON], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("mask", [everything, causal, window(70)], ids=["everything", "causal", "window"])
def test_a_gpu_finds_the_same_with_its_gradients(mask):
    query, key = torch.randn(2, 4, 300, 64), torch.randn(2, 2, 300, 64)
    results = []
    for device, dtype in (("cuda", torch.float32), ("cpu", torch.float64)):
        q, k = (x.to(device, dtype).requires_grad_() for x in (query, key))
        names = [name for name in NAMES if name != "segment_shares"]
        found = statistics_of(Call(ScaledDot(), q, k, k, mask), names)
        sum(value.where(value.isfinite(), 0).square().sum() for value in found.values()).backward()
        results.append([x.detach().cpu().double() for x in (*found.values(), q.grad, k.grad)])
    for found, exact in zip(*results, strict=True):
        torch.testing.assert_close(
            found, exact, rtol=1e-3, atol=1e-3 * float(exact[exact.isfinite()].abs().max()), equal_nan=True
        )


def test_bad_input_is_told():
    with pytest.raises(InputError, match="top_keys has no gradient"):
        statistics_of(make(), ["top_keys"])
    with pytest.raises(InputError, match="No statistic is called 'entropy'"):
        statistics_of(make(), ["entropy"])
    for mechanism in ("softmax", "additive"):
        with pytest.raises(InputError, match="segment_shares needs Wanted"):
            statistics_of(make(mechanism), ["segment_shares"])
    with pytest.raises(InputError, match="need scores, and this mechanism has none"):
        statistics_of(make("differential"), ["logsumexp"])


def test_nothing_to_look_at_gives_nothing():
    call = make(length=LENGTH)
    empty = Call(call.mechanism, call.query, call.key[:, :, :0], call.value[:, :, :0])
    found = statistics_of(empty, ["entropy_bits", "logsumexp", "sink_share", "mass_received"])
    assert (found["entropy_bits"] == 0).all()
    assert found["logsumexp"].isneginf().all()
    assert found["mass_received"].shape == (BATCH, HEADS, 0)
