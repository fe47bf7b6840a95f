"""Attention against numbers by hand, and what is said when it cannot be computed."""

import math
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

import regard
from regard import InputError
from regard.attention import Additive, Mechanism, MultiHeadAttention, ScaledDot, attention, causal, everything, plan, window
from regard.attention.backends.sdpa import DENSE_MASK_LIMIT
from regard.attention.call import Call, share
from regard.attention.mechanism import mechanism_named
from regard.attention.normalizers.softmax import Softmax
from regard.attention.positions.bias import Bias
from regard.catalog import BACKENDS
from regard.errors import Unsupported


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def test_scaled_dot_product_by_hand():
    query, key = torch.tensor([[[[2.0, 0.0]]]]), torch.tensor([[[[1.0, 5.0], [0.0, 7.0]]]])
    first = math.exp(2 / math.sqrt(2)) / (math.exp(2 / math.sqrt(2)) + 1)
    torch.testing.assert_close(ScaledDot().weights(query, key), torch.tensor([[[[first, 1 - first]]]]))
    torch.testing.assert_close(ScaledDot(scale=0.5).weights(query, key), torch.tensor([[[[1.0, 0.0]]]]).softmax(-1))


@pytest.mark.parametrize("backend", ["sdpa", "tiled", "reference"])
def test_every_backend_takes_the_scale(backend):
    torch.manual_seed(0)
    query, key = random(1, 2, 3, 4), random(1, 2, 5, 4)
    expected = (0.3 * query @ key.mT).softmax(-1) @ key
    torch.testing.assert_close(attention(query, key, key, mechanism=ScaledDot(scale=0.3), backend=backend), expected)


def test_additive_by_hand():
    mechanism = Additive(1, 1)
    for linear, weight in ((mechanism.from_query, 2.0), (mechanism.from_key, 3.0), (mechanism.energy, 5.0)):
        nn.init.constant_(linear.weight, weight)
    query, key = torch.tensor([[[[0.1]]]]), torch.tensor([[[[0.2], [-0.3]]]])
    scores = torch.tensor([5 * math.tanh(0.2 + 0.6), 5 * math.tanh(0.2 - 0.9)])
    torch.testing.assert_close(mechanism.weights(query, key)[0, 0, 0], scores.softmax(-1))


def test_weights_follow_from_forward():
    class RunningMean(Mechanism):
        def forward(self, query, key, value, mask=everything):
            return share(value, query.shape[1]).cumsum(2) / torch.arange(1, value.shape[2] + 1)[:, None]

    x = torch.randn(1, 2, 3, 3)
    expected = torch.tensor([[1, 0, 0], [1 / 2, 1 / 2, 0], [1 / 3] * 3])
    torch.testing.assert_close(RunningMean().weights(x, x)[0, 0], expected)
    torch.testing.assert_close(RunningMean().weights(x, x, rows=range(1, 3))[0, 0], expected[1:3])
    torch.testing.assert_close(attention(x, x, x, mechanism=RunningMean()), expected @ x)
    assert plan(x, x, x, mechanism=RunningMean()).backend == "itself"
    assert MultiHeadAttention(6, 2, mechanism=RunningMean())(torch.randn(1, 3, 6)).shape == (1, 3, 6)


def test_a_mechanism_must_write_one_of_the_two():
    with pytest.raises(TypeError, match="Empty must override weights or forward"):
        type("Empty", (Mechanism,), {})


def test_multihead_equals_pytorch_with_the_same_weights():
    torch.manual_seed(0)
    ours, theirs = MultiHeadAttention(12, 3).double(), nn.MultiheadAttention(12, 3, batch_first=True).double()
    for i, projection in enumerate((ours.query, ours.key, ours.value)):
        projection.weight.data = theirs.in_proj_weight.data.chunk(3)[i]
        projection.bias.data = theirs.in_proj_bias.data.chunk(3)[i]
    ours.out.load_state_dict(theirs.out_proj.state_dict())
    x, memory = random(2, 5, 12), random(2, 7, 12)
    torch.testing.assert_close(ours(x, memory), theirs(x, memory, memory)[0])
    hidden = ~causal.write((1, 1), range(5), range(5))[0, 0]
    torch.testing.assert_close(ours(x, mask=causal), theirs(x, x, x, attn_mask=hidden)[0])


def test_grouped_heads_equal_repeated_ones():
    torch.manual_seed(0)
    grouped, full = MultiHeadAttention(8, 4, num_kv_heads=2), MultiHeadAttention(8, 4)
    for name in ("query", "out"):
        getattr(full, name).load_state_dict(getattr(grouped, name).state_dict())
    for name in ("key", "value"):
        for part in ("weight", "bias"):
            whole = getattr(getattr(grouped, name), part).data.unflatten(0, (2, 2)).repeat_interleave(2, 0).flatten(0, 1)
            getattr(getattr(full, name), part).data = whole
    x = torch.randn(2, 5, 8)
    torch.testing.assert_close(grouped(x), full(x))


def test_the_mask_of_a_module_and_of_a_call_are_joined():
    torch.manual_seed(0)
    module = MultiHeadAttention(8, 2, mask=causal)
    x = torch.randn(1, 6, 8)
    both = MultiHeadAttention(8, 2)
    both.load_state_dict(module.state_dict())
    torch.testing.assert_close(module(x, mask=window(2, 2)), both(x, mask=causal & window(2, 2)))


def test_a_named_backend_never_falls_back():
    x = random(1, 2, 3, 4)
    with pytest.raises(Unsupported, match="'sdpa' refuses: it computes scaled dot products only, not Additive"):
        attention(x, x, x, mechanism=Additive(4).double(), backend="sdpa")
    with pytest.raises(InputError, match="Did you mean 'tiled'"):
        attention(x, x, x, backend="tild")


def test_the_plan_gives_every_reason():
    small, length = torch.zeros(1, 1, 8, 4), math.isqrt(DENSE_MASK_LIMIT) + 1
    large = torch.zeros(1, 1, length, 4)
    assert regard.plan(small, small, small, mask=window(2)).backend == "sdpa"
    assert regard.plan(large, large, large, mask=causal).backend == "sdpa"
    plan = regard.plan(large, large, large, mask=window(2))
    assert plan.backend == "tiled"
    assert f"{length} × {length}" in plan.reasons["sdpa"]
    assert set(plan.reasons) == set(BACKENDS)
    assert 0.6 < plan.share_skipped < 0.7
    assert "% of the matrix lies in empty tiles" in str(plan)
    plan = regard.plan(small, small, small, mechanism=Additive(4))
    assert plan.backend == "tiled"
    assert plan.reasons["sdpa"] == "refuses: it computes scaled dot products only, not Additive"
    assert "→ tiled" in str(plan)


@pytest.mark.parametrize(("mechanism", "chosen"), [("differential", "sdpa"), ("gated", "sdpa"), ("linear", "itself")])
def test_the_plan_is_that_of_the_calls_inside(mechanism, chosen):
    x = torch.randn(1, 2, 300, 8)
    made = mechanism_named(mechanism, 8, 2)
    assert plan(x, x, x, mechanism=made).backend == chosen
    assert plan(x, x, x, mechanism=made, mask=window(3)).backend != "itself"


def test_a_normaliser_of_ones_own_is_not_taken_for_the_softmax():
    class Sharp(Softmax):
        def forward(self, scores, allowed):
            return super().forward(3 * scores, allowed)

    x = torch.randn(1, 2, 6, 8, dtype=torch.float64)
    sharp = ScaledDot(normalize=Sharp())
    torch.testing.assert_close(attention(x, x, x, mechanism=sharp), attention(x, x, x, mechanism=ScaledDot(3 * 8**-0.5)))


def test_a_row_of_weights_writes_no_bias_of_the_rest():
    written = []

    class Far(Bias):
        def at(self, head, query, key):
            written.append(query.numel() * key.numel())
            return -0.01 * (query - key).abs()

    x = torch.randn(2, 2, 50, 8, dtype=torch.float64)
    call = Call(ScaledDot(), x, x, x, causal, Far())
    whole = call.weights()
    del written[:]
    torch.testing.assert_close(call.weights(range(7, 9)), whole[:, :, 7:9])
    assert written == [2 * 50]


def test_tiles_hold_no_matrix():
    """The memory of a window over 20,000 positions, forward and backward: tens of MB, where a matrix would take 1.6 GB."""
    query = torch.randn(1, 1, 20_000, 8, requires_grad=True)
    sizes = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x)
    with hooks:
        out = attention(query, query, query, mask=window(64), backend="tiled")
    out.sum().backward()
    assert sum(sizes) < 40 * query.numel()
    assert query.grad.isfinite().all()


MEASURED = """
import torch
from regard.attention import attention, causal, DropKey, DropWeights


def status(name):
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith(name))


def run(length):
    x = torch.randn(1, 1, length, 16, requires_grad=True)
    out = attention(x, x, x, mask=causal, backend="tiled", {options})
    torch.autograd.grad(out.square().sum(), x)


run(500)  # what the first call loads and keeps
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
run(12_000)
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize("options", ["", "mechanism='sigmoid'", "dropout=DropKey(0.1)", "dropout=DropWeights(0.1)"])
def test_the_peak_of_memory_is_far_below_a_matrix(options):
    """A causal mask over 12,000 positions, forward and backward: a matrix would take 549 MB."""
    done = subprocess.run([sys.executable, "-c", MEASURED.replace("{options}", options)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 150


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((1, 3, 5, 4), (1, 2, 5, 4), (1, 2, 5, 4)), "query heads be a multiple of key heads"),
        (((1, 2, 5, 4), (1, 2, 5, 3), (1, 2, 5, 3)), "must agree in head_dim"),
        (((1, 2, 5, 4), (1, 2, 6, 4), (1, 2, 5, 4)), "key and value also in heads and length"),
        (((2, 2, 5, 4), (1, 2, 5, 4), (1, 2, 5, 4)), "must agree in batch"),
    ],
)
def test_shapes_that_do_not_belong_together_are_named(shapes, message):
    from regard.attention.call import Call

    with pytest.raises(InputError, match=message):
        Call(ScaledDot(), *(torch.zeros(shape) for shape in shapes))


def test_heads_must_divide():
    with pytest.raises(InputError, match="d_model must be a multiple of num_heads, got 10 and 4"):
        MultiHeadAttention(10, 4)
    with pytest.raises(InputError, match="num_heads must be a multiple of num_kv_heads, got 4 and 3"):
        MultiHeadAttention(8, 4, num_kv_heads=3)


def test_a_mechanism_with_weights_must_be_made_first():
    x = torch.zeros(1, 1, 2, 4)
    with pytest.raises(InputError, match="'additive' has weights to learn"):
        attention(x, x, x, mechanism="additive")
