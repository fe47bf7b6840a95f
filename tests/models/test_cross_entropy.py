"""The loss over a vocabulary, part by part: PyTorch's, and its gradients."""

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from regard.models import cross_entropy as module
from regard.models.cross_entropy import cross_entropy_of

TOKENS, VOCABULARY, WIDTH = 23, 11, 5


def given(*, has_bias, dtype=torch.float64):
    torch.manual_seed(0)
    sides = (TOKENS, WIDTH), (VOCABULARY, WIDTH), (VOCABULARY,)
    states, weight, bias = (torch.randn(size, dtype=dtype, requires_grad=True) for size in sides)
    return [states, weight, bias if has_bias else None], torch.randint(VOCABULARY, (TOKENS,))


def both(has_bias, smoothing, dtype=torch.float64, *, is_mixed=False):
    """(loss, gradients) of ours and of PyTorch's; the gradients are of three times the loss."""
    found = []
    for loss_of in (cross_entropy_of, lambda x, w, b, y, e: cross_entropy(linear(x, w, b).to(dtype), y, label_smoothing=e)):
        inputs, targets = given(has_bias=has_bias, dtype=dtype)
        with torch.autocast("cpu", torch.bfloat16, enabled=is_mixed):
            loss = loss_of(*inputs, targets, smoothing)
        (3 * loss).backward()
        found.append((loss.detach(), [one.grad for one in inputs if one is not None]))
    return found


@pytest.mark.parametrize("in_cache", [1, 2 * VOCABULARY, 1000], ids="{} numbers".format)
@pytest.mark.parametrize("at_once", [1, 4, 100], ids="{} tokens".format)
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("has_bias", [False, True])
def test_it_is_pytorchs_and_so_are_its_gradients(monkeypatch, in_cache, at_once, smoothing, has_bias):
    monkeypatch.setattr(module, "LEAST_TOKENS", at_once)
    monkeypatch.setattr(module, "SCORES_AT_ONCE", 1)
    monkeypatch.setattr(module, "IN_CACHE", in_cache)
    ours, theirs = both(has_bias, smoothing)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_in_mixed_precision_products_are_narrow_and_sums_are_not():
    ours, theirs = both(True, 0.1, torch.float32, is_mixed=True)
    assert ours[0].dtype == torch.float32
    torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02)
    assert ours[0] != both(True, 0.1, torch.float32)[0][0]


def test_scores_of_any_size_have_a_finite_loss():
    inputs, targets = given(has_bias=False)
    inputs[0].data *= 1e4
    loss = cross_entropy_of(*inputs, targets)
    loss.backward()
    assert loss.isfinite()
    assert inputs[1].grad.isfinite().all()


def test_without_gradients_it_is_the_same():
    inputs, targets = given(has_bias=True)
    with torch.no_grad():
        found = cross_entropy_of(*inputs, targets, 0.1)
    torch.testing.assert_close(found, cross_entropy_of(*inputs, targets, 0.1).detach(), rtol=1e-12, atol=0)


def test_only_what_is_differentiated_needs_to_be_a_parameter():
    (states, weight, bias), targets = given(has_bias=True)
    frozen = weight.requires_grad_(False), bias
    cross_entropy_of(states, *frozen, targets).backward()
    assert states.grad.abs().sum() > 0
    assert weight.grad is None
    assert bias.grad.abs().sum() > 0


def test_the_loss_of_narrow_states_is_not_narrow():
    (states, weight, bias), targets = given(has_bias=True, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        loss = cross_entropy_of(states.bfloat16(), weight, bias, targets)
        with torch.no_grad():
            same = cross_entropy_of(states.bfloat16(), weight, bias, targets)
    assert loss.dtype == same.dtype == torch.float32
    torch.testing.assert_close(loss.detach(), same)


def test_narrow_weights_are_summed_up_in_float32():
    torch.manual_seed(0)
    states, weight = torch.randn(4096, 16).bfloat16(), torch.randn(50, 16).bfloat16().requires_grad_()
    targets = torch.randint(50, (4096,))
    loss = cross_entropy_of(states, weight, None, targets)
    loss.backward()
    exact = cross_entropy(linear(states, weight).float(), targets)
    assert loss.item() == pytest.approx(exact.item(), abs=1e-4)
    (expected,) = torch.autograd.grad(cross_entropy(linear(states.double(), weight.double()), targets), weight)
    assert (weight.grad - expected).norm() < 0.006 * expected.norm()


def test_no_tokens_have_no_mean():
    inputs, targets = given(has_bias=False)
    assert cross_entropy_of(inputs[0][:0], *inputs[1:], targets[:0]).isnan()
