"""The kernels of deformable attention against its definition, in Triton's interpreter (a process of its own) or on a GPU."""

from importlib.util import find_spec

import pytest
import torch

from regard.attention.deformable import Samples, _has_kernels, deformable_attention
from tests.attention.test_kernels import DEVICE, NoDevice, compiles, runs_kernels
from tests.interpreting import assert_passes_interpreted

if find_spec("triton") is not None:
    from regard.attention.kernels import sampling
    from regard.attention.kernels.sampling import sampled

SIDES = (5, 3), (2, 4), (1, 1)


def given(dim, dtype, num_queries=19, seed=0):
    """Maps of three sizes, places that partly lie beyond their edges, weights, and a gradient of the output."""
    torch.manual_seed(seed)
    maps = [torch.randn(2, *sides, 3 * dim).movedim(-1, 1).unflatten(1, (3, dim)).to(dtype) for sides in SIDES]
    places = torch.rand(2, num_queries, 3, 3, 2, 2) * 1.6 - 0.3
    places[0, 0, 0, 0, 0] = torch.tensor([1e9, -1e9])
    weights = torch.rand(2, num_queries, 3, 3, 2)
    return [x.to(DEVICE).requires_grad_() for x in (*maps, places, weights)], torch.randn(
        2, num_queries, 3 * dim, device=DEVICE
    )


def found(compute, tensors, grad):
    out = compute(tensors[:3], *tensors[3:])
    return [out, *torch.autograd.grad(out, tensors, grad)]


@runs_kernels
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("dim", [1, 8, 24])
def test_the_kernels_compute_the_definition(dim, dtype):
    tensors, grad = given(dim, dtype)
    exact = [x.detach().double().requires_grad_() for x in tensors]
    right = found(lambda maps, *samples: deformable_attention(maps, Samples(*samples)), exact, grad.double())
    for one, other in zip(found(sampled, tensors, grad), right, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4 if one.dtype == torch.float32 else 2e-3, atol=1e-4)


@runs_kernels
def test_the_kernels_take_maps_as_they_lie_in_memory():
    tensors, grad = given(8, torch.float32)
    moved = [one.detach().contiguous().requires_grad_() for one in tensors]
    for one, other in zip(found(sampled, tensors, grad), found(sampled, moved, grad), strict=True):
        torch.testing.assert_close(one, other)


@compiles
def test_the_kernels_of_sampling_agree_in_the_interpreter():
    assert_passes_interpreted(__file__)


@compiles
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kernels_of_sampling_compile(monkeypatch, dtype):
    from triton.runtime import driver

    kernels = []
    monkeypatch.setattr(driver, "_active", None)
    monkeypatch.setattr(
        sampling, "_run", lambda kernel, grid, *args, **sizes: kernels.append(kernel.warmup(*args, grid=grid, **sizes))
    )
    driver.set_active(NoDevice(90))
    tensors, grad = given(32, dtype)
    found(sampled, tensors, grad)
    assert [kernel.name for kernel in kernels] == ["forward_kernel", "backward_kernel"]


def test_what_the_kernels_do_not_serve_is_read_by_pytorch():
    tensors, _ = given(8, torch.float32)
    assert _has_kernels(tensors[:3], Samples(*tensors[3:])) is (DEVICE == "cuda" and find_spec("triton") is not None)
    assert not _has_kernels([one.double() for one in tensors[:3]], Samples(*tensors[3:]))
