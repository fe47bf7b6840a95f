"""What cannot be computed is said in terms of what must hold, what came and what to do; NaN stays where it came from."""

import pytest
import torch

from regard import InputError
from regard.attention import (
    Additive,
    MultiHeadAttention,
    ScaledDot,
    attention,
    block_sparse,
    causal,
    dense,
    document,
    everything,
    padding,
    window,
)
from regard.attention.call import Call, check_bias, check_mask
from regard.attention.dropout import check_dropout
from regard.attention.positions.alibi import Alibi


def x(*shape, dtype=torch.float32):
    return torch.randn(*shape).to(dtype)


def call(query, key, value, mask=everything, bias=None):
    """A call as users without shape checks make it: the tests' own checks stop wrong shapes earlier."""
    return Call(ScaledDot(), query, key, value, mask, bias)


Q = x(2, 4, 5, 8)
WRONG = [
    (lambda: call(x(4, 5, 8), Q, Q), "must have 4 sides"),
    (lambda: call(Q, x(2, 4, 5, 6), x(2, 4, 5, 6)), r"agree in head_dim.*key \(2, 4, 5, 6\)"),
    (lambda: call(Q, x(3, 4, 5, 8), x(3, 4, 5, 8)), "must agree in batch"),
    (lambda: call(Q, Q, x(2, 4, 6, 8)), "key and value also in heads and length"),
    (lambda: call(Q, x(2, 3, 5, 8), x(2, 3, 5, 8)), "query heads be a multiple of key heads"),
    (lambda: call(Q, Q.double(), Q), r"one floating-point type, got float32, float64, float32: convert them with \.to"),
    (lambda: call(Q.int(), Q.int(), Q.int()), "floating-point type, got int32"),
    (lambda: call(Q, Q, Q, bias=Alibi(8)), "Alibi was made for 8 heads, got 4"),
    (lambda: call(Q, Q, Q, bias=torch.ones(1, 1, 5, 5, dtype=torch.bool)), r"got torch.bool: True = may look is masks\.dense"),
    (lambda: check_bias(1.0, (2, 4, 5, 5)), r"bias must be a tensor or a regard Bias, got 1\.0"),
    (lambda: check_dropout(0.1), r"dropout must be a regard dropout such as DropKey\(0\.1\), got 0\.1"),
    (
        lambda: call(Q, Q, Q, bias=x(2, 4, 5, 6)),
        r"broadcast to \(2, 4, 5, 5\), with 4 sides, got \(2, 4, 5, 6\)",
    ),
    (lambda: call(Q, Q, Q, bias=x(5, 5)), "with 4 sides"),
    (lambda: call(Q, Q, Q, mask=padding(torch.tensor([3, 4, 5]))), "3 lengths for a batch of 2: give one for each"),
    (lambda: call(Q, Q, Q, mask=document(torch.zeros(2, 4).long())), r"id for each of 2 × 5 positions, got \(2, 4\)"),
    (
        lambda: call(Q, Q, Q, mask=dense(torch.ones(5, 6).bool())),
        r"does not fit .*\(2, 4, 5, 5\): it must be",
    ),
    (lambda: call(Q, Q, Q, mask=causal & block_sparse(torch.ones(2, 2).bool(), 2)), r"it must be \(2, 4, 3, 3\)"),
    (lambda: attention(Q, Q, Q, mechanism="aditive"), "Did you mean 'additive'"),
    (lambda: attention(Q, Q, Q, mechanism="additive"), "'additive' has weights to learn: make one, keep it"),
    (lambda: MultiHeadAttention(10, 3), "d_model must be a multiple of num_heads, got 10 and 3"),
    (lambda: MultiHeadAttention(12, 4, num_kv_heads=3), "num_heads must be a multiple of num_kv_heads, got 4 and 3"),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_it_is_said_what_must_hold(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("mask", [torch.ones(5, 5).bool(), "causal"], ids=["tensor", "name"])
def test_a_mask_of_the_wrong_kind_is_told_what_to_be(mask):
    with pytest.raises(
        InputError, match=r"must be a regard mask \(True = may look\), got (Tensor: pass masks\.dense|str: see)"
    ):
        check_mask(mask)


MASKS = {
    "everything": everything,
    "causal": causal,
    "window": window(2),
    "padding": padding(torch.tensor([4, 5])),
    "documents": document(torch.tensor([[0, 0, 0, 1, 1]])),
}


@pytest.mark.parametrize("backend", ["auto", "sdpa", "tiled", "reference"])
@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["query", "key", "value"])
@pytest.mark.parametrize("learning", [False, True])
def test_what_is_not_a_number_stays_where_it_came_from(backend, name, poison, where, learning):
    torch.manual_seed(0)
    mask = MASKS[name]
    given = {part: torch.randn(2, 2, 5, 4, dtype=torch.float64) for part in ("query", "key", "value")}
    clean = attention(**given, mask=mask, backend="reference")
    given[where][0, 0, 4] = poison
    for tensor in given.values():
        tensor.requires_grad_(learning)
    out = attention(**given, mask=mask, backend=backend)
    allowed = mask.write((2, 2), range(5), range(5)).expand(2, 2, 5, 5)
    hit = torch.zeros(2, 2, 5, dtype=torch.bool)
    hit[0, 0] = torch.arange(5) == 4 if where == "query" else allowed[0, 0, :, 4]
    assert out[hit].isnan().all()
    torch.testing.assert_close(out[~hit], clean[~hit])
    if learning:
        grads = torch.autograd.grad(out[~hit].square().sum(), list(given.values()))
        assert all(grad.isfinite().all() for grad in grads)


def test_a_mechanism_that_learns_keeps_it_apart_too():
    torch.manual_seed(0)
    given = [torch.randn(1, 1, 5, 4) for _ in range(3)]
    mechanism = Additive(4)
    clean = mechanism(*given, causal)
    given[1][0, 0, 3] = float("nan")
    out = mechanism(*given, causal)
    torch.testing.assert_close(out[:, :, :3], clean[:, :, :3])
    assert out[:, :, 3:].isnan().all()
