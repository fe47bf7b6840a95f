"""Which of PyTorch's kernels a call reaches on a CPU, and that what is done to reach it changes no result."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from regard.attention import attention

FUSED = "aten._scaled_dot_product_flash_attention_for_cpu"


class Kernels(TorchDispatchMode):
    """Notes what was called, and in which precision."""

    def __init__(self):
        super().__init__()
        self.seen = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen[str(func).rpartition(".")[0]] = getattr(args[0], "dtype", None) if args else None
        return func(*args, **(kwargs or {}))


def vectors(length, widths, dtype=torch.float32):
    """Query, key and value as a convolution leaves them: the numbers of a position lie far apart."""
    torch.manual_seed(0)
    return [torch.randn(2, width, length).to(dtype).mT.unsqueeze(1).requires_grad_() for width in widths]


def kernels(*tensors, **options):
    with Kernels() as seen:
        attention(*tensors, backend="sdpa", **options)
    return seen.seen


@pytest.mark.parametrize("widths", [(4, 4, 16), (16, 16, 4), (8, 8, 8)])
def test_vectors_of_unlike_widths_far_apart_reach_the_fused_kernel(widths):
    assert FUSED in kernels(*vectors(20, widths))


@pytest.mark.parametrize("widths", [(4, 4, 16), (16, 16, 4), (8, 8, 8)])
def test_nothing_but_time_changes(widths):
    tensors = vectors(20, widths)
    exact = [tensor.detach().double().requires_grad_() for tensor in tensors]
    out, wanted = attention(*tensors, backend="sdpa"), attention(*exact, backend="reference")
    assert out.shape == wanted.shape
    torch.testing.assert_close(out.double(), wanted, atol=1e-5, rtol=1e-5)
    found, right = (torch.autograd.grad(one.square().sum(), of) for one, of in ((out, tensors), (wanted, exact)))
    for one, other in zip(found, right, strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("width", "length", "dtype"), [(16, 40, torch.float32), (64, 40, torch.bfloat16), (16, 600, torch.bfloat16)]
)
def test_short_vectors_are_trained_in_float32(width, length, dtype):
    with torch.autocast("cpu", torch.bfloat16):
        tensors = vectors(length, (width,) * 3, torch.bfloat16)
        seen, out = kernels(*tensors), attention(*tensors, backend="sdpa")
    assert out.dtype == torch.bfloat16
    if FUSED in seen:  # else it was the product of matrices
        assert seen[FUSED] == dtype
    assert (width == 64 and length == 40) or FUSED in seen


def test_what_is_not_trained_stays_in_half_precision():
    tensors = [tensor.detach() for tensor in vectors(40, (16,) * 3, torch.bfloat16)]
    assert kernels(*tensors)[FUSED] == torch.bfloat16


def test_a_tensor_given_three_times_gets_the_sum_of_its_gradients_each_time_it_is_asked():
    x = torch.randn(1, 2, 6, 4, dtype=torch.float64, requires_grad=True)
    out, wanted = (attention(x, x, x, backend=backend).square().sum() for backend in ("sdpa", "reference"))
    (right,) = torch.autograd.grad(wanted, x)
    for _ in range(2):
        torch.testing.assert_close(torch.autograd.grad(out, x, retain_graph=True)[0], right)
