"""Every backend on a GPU, forward and backward, against the definition in float64 by an error budget."""

import pytest
import torch

from regard.attention import (
    DropHead,
    DropKey,
    DropWeights,
    Linear,
    ScaledDot,
    SoftCap,
    attention,
    block_sparse,
    causal,
    document,
    everything,
    padding,
    window,
)
from regard.attention.normalizers.softmax import OffByOne
from regard.attention.positions import Alibi
from regard.catalog import BACKENDS
from regard.errors import Unsupported

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

LENGTH = 300
GPU = "cuda" if torch.cuda.is_available() else "cpu"
CALLS = {
    "dense": {"mask": everything},
    "causal": {"mask": causal},
    "window": {"mask": window(70)},
    "documents": {"mask": causal & document(torch.arange(LENGTH)[None].expand(2, -1) // 90)},
    "padding and blocks": {
        "mask": padding(torch.tensor([250, 0])) & block_sparse(torch.eye(5).bool() | (torch.ones(5, 5).tril(-2) > 0), 64)
    },
    "softcap and ALiBi": {
        "mechanism": SoftCap(5.0),
        "bias": Alibi(4).to("cuda" if torch.cuda.is_available() else "cpu"),
        "mask": causal,
    },
    "off by one": {"mechanism": ScaledDot(normalize=OffByOne()), "mask": window(20)},
    "linear": {"mechanism": Linear(), "mask": causal},
    "dropped keys": {"mask": causal, "dropout": DropKey(0.3, seed=1)},
    "dropped weights": {"mask": causal, "dropout": DropWeights(0.3, seed=1)},
    "dropped heads": {"mask": causal, "dropout": DropHead(0.3, seed=1)},
}


def computed(given, dtype, backend, options):
    leaves = [x.detach().to(dtype).requires_grad_() for x in given]
    out = attention(*leaves, backend=backend, **options)
    return [out, *torch.autograd.grad(out.square().sum(), leaves)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
@pytest.mark.parametrize("options", CALLS.values(), ids=CALLS)
def test_a_backend_errs_at_most_twice_as_much_as_the_definition(options, backend, dtype):
    torch.manual_seed(0)
    given = [torch.randn(2, heads, LENGTH, 64, device="cuda").to(dtype) for heads in (4, 2, 2)]
    try:
        fast = computed(given, dtype, backend, options)
    except Unsupported as refusal:
        pytest.skip(str(refusal))
    exact, plain = (computed(given, kind, "reference", options) for kind in (torch.float64, dtype))
    for name, x, y, z in zip(("out", "grad_query", "grad_key", "grad_value"), fast, plain, exact, strict=True):
        error, budget = (x.double() - z).norm(), 2 * (y.double() - z).norm() + 2e-6 * z.norm()
        assert error <= budget, f"{name}: {error:.2e} over {budget:.2e}"


@pytest.mark.parametrize("backend", ["sdpa", "triton", "tiled"])
def test_second_gradients(backend):
    torch.manual_seed(0)
    given = [torch.randn(1, 2, 200, 32, device="cuda", requires_grad=True) for _ in range(3)]
    found = []
    for name in (backend, "reference"):
        out = attention(*given, mask=causal, backend=name)
        slopes = torch.autograd.grad(out.square().sum(), given, create_graph=True)
        found.append(torch.autograd.grad(sum(slope.square().sum() for slope in slopes), given))
    torch.testing.assert_close(*found, rtol=2e-3, atol=2e-3)
