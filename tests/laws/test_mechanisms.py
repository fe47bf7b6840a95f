"""Every mechanism of the catalog obeys the same laws, in float64. A new catalog line is tested with no new test."""

import pytest
import torch
from torch.autograd import forward_ad

from regard.attention import DropHead, DropKey, DropWeights, causal, dense, document, everything, global_local, padding, window
from regard.attention.call import Call, share
from regard.attention.masks import EXAMPLES
from regard.attention.mechanism import mechanism_named
from regard.attention.positions import Alibi, T5Relative
from regard.catalog import BACKENDS, MASKS, MECHANISMS, NORMALIZERS
from regard.errors import InputError, Unsupported

EXACT = {"rtol": 1e-10, "atol": 1e-12}
COMBINED = {
    **EXAMPLES,
    "padded causal": causal & padding(torch.tensor([5, 3]), torch.tensor([5, 3])),
    "all but the diagonal": ~EXAMPLES["dense"],
}
COMBINED["padding"] = padding(torch.tensor([5, 0]))
COMBINED["document"] = document(torch.tensor([[0, 0, 1, 1, 1], [3, 1, 1, 2, 3]]))
COMBINED["window or document"] = EXAMPLES["window"] | COMBINED["document"]
LENGTH, DIM, HEADS = 5, 4, 4


def make(name):
    torch.manual_seed(0)
    return mechanism_named(name, DIM, HEADS).double()


def inputs(num_kv_heads=HEADS, length=LENGTH):
    torch.manual_seed(1)
    return [
        torch.randn(2, h, length, DIM, dtype=torch.float64, requires_grad=True) for h in (HEADS, num_kv_heads, num_kv_heads)
    ]


def a_bias(length=LENGTH):
    torch.manual_seed(2)
    return torch.randn(1, HEADS, length, length, dtype=torch.float64)


NAMES = [*MECHANISMS, *(name for name in NORMALIZERS if name not in MECHANISMS), "additive+sparsemax", "cosine+sink"]
each_mechanism = pytest.mark.parametrize("name", NAMES)
each_mask = pytest.mark.parametrize("mask", COMBINED.values(), ids=COMBINED)
IN_FLOAT64 = [name for name in BACKENDS if name not in ("flex", "triton")]  # these two have tests of their own
each_backend = pytest.mark.parametrize("backend", IN_FLOAT64)


@pytest.fixture(autouse=True)
def _a_backend_that_refuses_is_skipped(monkeypatch):
    """With the reason it gave."""
    import regard.attention.mechanism as module

    def choose(call, backend):
        try:
            return chosen(call, backend)
        except Unsupported as refusal:
            pytest.skip(str(refusal))

    chosen = module.choose
    monkeypatch.setattr(module, "choose", choose)


def bias_for(mechanism, length=LENGTH):
    return a_bias(length) if mechanism.takes_bias else None


def test_every_mask_of_the_catalog_has_an_example():
    assert set(EXAMPLES) == set(MASKS)


@pytest.mark.parametrize("num_kv_heads", [4, 2, 1])
@each_mask
@each_backend
@each_mechanism
def test_output_is_weights_times_value(name, backend, mask, num_kv_heads):
    query, key, value = inputs(num_kv_heads)
    mechanism = make(name)
    expected = mechanism.weights(query, key, mask) @ share(value, HEADS)
    torch.testing.assert_close(mechanism(query, key, value, mask, backend=backend), expected, **EXACT)


@each_backend
@each_mechanism
def test_a_bias_is_added_to_the_scores(name, backend):
    query, key, value = inputs(2)
    mechanism, bias = make(name), a_bias()
    if not mechanism.takes_bias:
        with pytest.raises(InputError, match="no scores that a bias could be added to"):
            mechanism(query, key, value, causal, bias=bias, backend=backend)
        return
    expected = mechanism.weights(query, key, causal, bias=bias) @ share(value, HEADS)
    torch.testing.assert_close(mechanism(query, key, value, causal, bias=bias, backend=backend), expected, **EXACT)
    forbidding = torch.zeros_like(bias).masked_fill(bias < 0, float("-inf"))
    allowed = dense(bias >= 0)
    torch.testing.assert_close(
        mechanism(query, key, value, bias=forbidding, backend=backend), mechanism(query, key, value, allowed, backend=backend)
    )


@each_mask
@each_mechanism
def test_weights_are_zero_where_forbidden_and_sum_to_one(name, mask):
    query, key, _ = inputs()
    mechanism = make(name)
    weights = mechanism.weights(query, key, mask)
    allowed = mask.write((2, HEADS), range(LENGTH), range(LENGTH)).expand_as(weights)
    assert (weights[~allowed] == 0).all()
    assert not mechanism.is_nonnegative or (weights >= 0).all()
    if mechanism.sums_to_one:
        torch.testing.assert_close(weights.sum(-1), allowed.any(-1).double(), **EXACT)


@each_mask
@each_mechanism
def test_rows_are_rows_of_the_whole(name, mask):
    query, key, _ = inputs()
    mechanism = make(name)
    bias = bias_for(mechanism)
    parts = [mechanism.weights(query, key, mask, bias=bias, rows=range(a, min(a + 2, LENGTH))) for a in range(0, LENGTH, 2)]
    torch.testing.assert_close(torch.cat(parts, 2), mechanism.weights(query, key, mask, bias=bias), **EXACT)


@each_backend
@each_mechanism
def test_the_future_cannot_change_the_past(name, backend):
    query, key, value = inputs()
    mechanism = make(name)
    other_key, other_value = (torch.cat([x[:, :, :3], torch.randn_like(x[:, :, 3:])], 2) for x in (key, value))
    before = mechanism(query, key, value, causal, backend=backend)[:, :, :3]
    torch.testing.assert_close(mechanism(query, other_key, other_value, causal, backend=backend)[:, :, :3], before, **EXACT)


@each_mask
@each_backend
@each_mechanism
def test_gradients(name, backend, mask):
    query, key, value = inputs(2)
    mechanism = make(name)
    parameters = tuple(mechanism.parameters())
    assert torch.autograd.gradcheck(
        lambda q, k, v, *_: mechanism(q, k, v, mask, backend=backend), (query, key, value, *parameters), fast_mode=True
    )


@pytest.mark.parametrize("dropout", [DropKey(0.4, seed=1), DropWeights(0.4, seed=1), DropHead(0.4, seed=3)], ids=str)
@each_backend
@each_mechanism
def test_dropout_obeys_the_laws_too(name, backend, dropout):
    query, key, value = inputs(2)
    mechanism = make(name)
    call = Call(mechanism, query, key, value, causal, None, dropout.draw((2, HEADS, LENGTH, LENGTH), "cpu"))
    out = mechanism(query, key, value, causal, dropout=dropout, backend=backend)
    torch.testing.assert_close(out, call.weights() @ share(value, HEADS), **EXACT)
    assert not torch.allclose(out, mechanism(query, key, value, causal, backend=backend))
    assert torch.autograd.gradcheck(
        lambda q, k, v: mechanism(q, k, v, causal, dropout=dropout, backend=backend), (query, key, value), fast_mode=True
    )


@pytest.mark.parametrize("kind", [Alibi, T5Relative])
@each_backend
@each_mechanism
def test_a_bias_may_be_a_function_of_positions(name, backend, kind):
    query, key, value = inputs(2)
    mechanism, bias = make(name), kind(HEADS).double()
    if not mechanism.takes_bias:
        return
    written = bias.write(HEADS, range(LENGTH), range(LENGTH), dtype=torch.float64)
    expected = mechanism.weights(query, key, causal, bias=written) @ share(value, HEADS)
    out = mechanism(query, key, value, causal, bias=bias, backend=backend)
    torch.testing.assert_close(out, expected, **EXACT)
    for parameter in bias.parameters():
        given, wanted = (torch.autograd.grad(x.square().sum(), parameter, retain_graph=True)[0] for x in (out, expected))
        torch.testing.assert_close(given, wanted, **EXACT)


@each_backend
@each_mechanism
def test_forward_mode(name, backend):
    query, key, value = inputs(2)
    mechanism = make(name)

    def out(q, k, v):
        return mechanism(q, k, v, causal, backend=backend)

    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(x.detach(), torch.ones_like(x)) for x in (query, key, value)]
        tangent = forward_ad.unpack_dual(out(*duals)).tangent
    step = 1e-6
    ahead, back = (out(*(x.detach() + s for x in (query, key, value))) for s in (step, -step))
    torch.testing.assert_close(tangent, (ahead - back) / (2 * step), rtol=1e-6, atol=1e-8)


@each_backend
@each_mechanism
def test_second_gradients(name, backend):
    mechanism = make(name)
    assert torch.autograd.gradgradcheck(
        lambda q, k, v: mechanism(q, k, v, causal, backend=backend), tuple(inputs(2)), fast_mode=True
    )


@pytest.mark.parametrize("dropout", [DropKey(0.4, seed=1), DropWeights(0.4, seed=1), DropHead(0.4, seed=3)], ids=str)
@each_backend
@pytest.mark.parametrize("name", ["softmax", "sink", "softcap", "additive"])
def test_second_gradients_with_dropout(name, backend, dropout):
    mechanism = make(name)
    assert torch.autograd.gradgradcheck(
        lambda q, k, v, *_: mechanism(q, k, v, causal, dropout=dropout, backend=backend),
        (*inputs(2), *mechanism.parameters()),
        fast_mode=True,
    )


@each_backend
@each_mechanism
def test_a_query_that_may_look_at_nothing_gets_zeros_and_no_gradient(name, backend):
    nothing = padding(torch.tensor([0, LENGTH]))
    query, key, value = inputs()
    out = make(name)(query, key, value, nothing, backend=backend)
    out.square().sum().backward()
    assert (out[0] == 0).all()
    for given in (query, key, value):
        assert (given.grad[0] == 0).all()
        assert given.grad.isfinite().all()
        assert (given.grad[1] != 0).any()


@each_backend
@each_mechanism
def test_the_order_in_memory_and_odd_sizes_change_nothing(name, backend):
    torch.manual_seed(4)
    query, key, value = (torch.randn(2, length, 3, 6, dtype=torch.float64).transpose(1, 2) for length in (5, 9, 9))
    turned = [x.mT.contiguous().mT.requires_grad_() for x in (query, key, value)]
    plain = [x.contiguous().requires_grad_() for x in (query, key, value)]
    torch.manual_seed(0)
    mechanism = mechanism_named(name, 6, 3).double()
    outs = [mechanism(*given, causal, backend=backend) for given in (turned, plain)]
    torch.testing.assert_close(*outs, **EXACT)
    torch.testing.assert_close(outs[0], mechanism.weights(*plain[:2], causal) @ plain[2], **EXACT)
    for out in outs:
        out.square().sum().backward()
    for one, other in zip(turned, plain, strict=True):
        torch.testing.assert_close(one.grad, other.grad, **EXACT)


@pytest.mark.parametrize("shape", [(1, 0), (0, 3), (1, 1), (3, 7)])
@each_backend
@each_mechanism
def test_lengths_may_differ_and_be_zero(name, backend, shape):
    queries, keys = shape
    query = torch.randn(2, HEADS, queries, DIM, dtype=torch.float64)
    key = torch.randn(2, HEADS, keys, DIM, dtype=torch.float64)
    out = make(name)(query, key, key, backend=backend)
    assert out.shape == (2, HEADS, queries, DIM)
    assert out.isfinite().all()


@each_backend
@each_mechanism
def test_blocks_of_rows_change_nothing(name, backend, monkeypatch):
    monkeypatch.setattr("regard.attention.call.TILE_ROWS", 3)
    monkeypatch.setattr("regard.attention.call.TILE_KEYS", 2)
    query, key, value = inputs(2, length=11)
    mechanism = make(name)
    bias = bias_for(mechanism, 11)
    for mask in (everything, causal, EXAMPLES["window"], ~causal, causal & ~EXAMPLES["window"], global_local([4], 1, 0)):
        expected = mechanism.weights(query, key, mask, bias=bias) @ share(value, HEADS)
        torch.testing.assert_close(mechanism(query, key, value, mask, bias=bias, backend=backend), expected, **EXACT)


@pytest.mark.parametrize("numbers", [2**21, 150])
@pytest.mark.parametrize("mask", [causal, global_local([4], 1, 0), COMBINED["padded causal"]], ids=str)
@each_mechanism
def test_gradients_of_any_order_are_sums_over_blocks(name, mask, numbers, monkeypatch):
    """Blocks cut by rows, keys and sequences: first and second gradients of inputs, weights and bias are the definition's."""
    for size, value in (("TILE_ROWS", 3), ("TILE_KEYS", 2), ("BLOCK_NUMBERS", numbers)):
        monkeypatch.setattr(f"regard.attention.call.{size}", value)
    monkeypatch.setattr("regard.attention.dots.GRAPH_NUMBERS", numbers)
    mechanism, given = make(name), inputs(2, length=11)
    learned = [*given, *mechanism.parameters()]
    bias = a_bias(11).requires_grad_() if mechanism.takes_bias and name != "softmax" else None  # without, it is fused
    learned += [] if bias is None else [bias]
    found = []
    for backend in ("tiled", "reference"):
        out = mechanism(*given, mask, bias=bias, backend=backend)
        plain = torch.autograd.grad(out.square().sum(), learned, retain_graph=True)
        slopes = torch.autograd.grad(out.square().sum(), learned, create_graph=True)
        found.append([*plain, *slopes, *torch.autograd.grad(sum(slope.square().sum() for slope in slopes), learned)])
    torch.testing.assert_close(*found, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@each_backend
@each_mechanism
def test_the_fast_version_errs_at_most_twice_as_much_as_the_plain_one(name, backend, dtype):
    """Both against float64 on the same numbers, outputs and gradients."""
    torch.manual_seed(3)
    given = [torch.randn(2, HEADS, 64, DIM).to(dtype) for _ in range(3)]
    mechanism = make(name).to(dtype)  # its weights rounded once, for all three

    def computed(kind, backend):
        leaves = [x.to(kind).requires_grad_() for x in given]
        out = mechanism.to(kind)(*leaves, window(20), backend=backend)
        return [out, *torch.autograd.grad(out.square().sum(), leaves)]

    exact, plain, fast = computed(torch.float64, "reference"), computed(dtype, "reference"), computed(dtype, backend)
    for what, x, y, z in zip(("out", "query", "key", "value"), fast, plain, exact, strict=True):
        error, budget = (x.double() - z).norm(), 2 * (y.double() - z).norm() + 1e-6 * z.norm()
        assert error <= budget, f"{what}: {error:.2e} over {budget:.2e}"
