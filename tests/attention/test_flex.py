"""The flex backend against the definition. Compiling takes seconds a case, so a handful of cases that differ in kind.

In a process of its own: what is compiled cannot be traced through the checks of shapes that the other tests run under.
"""

import os
import subprocess
import sys

import pytest
import torch

from regard.attention import (
    DropKey,
    DropWeights,
    ScaledDot,
    SoftCap,
    attention,
    block_sparse,
    causal,
    document,
    padding,
    window,
)
from regard.attention.normalizers.softmax import OffByOne
from regard.attention.positions import Alibi
from regard.errors import Unsupported

CASES = {
    "window": {"mask": window(100)},
    "documents": {"mask": causal & document(torch.arange(300)[None].expand(2, -1) // 90)},
    "padding and blocks": {"mask": padding(torch.tensor([300, 130])) & block_sparse(torch.rand(5, 5) < 0.6, 64)},
    "softcap and ALiBi": {"mechanism": SoftCap(5.0), "bias": Alibi(4), "mask": causal},
    "dropped keys": {"mask": causal, "dropout": DropKey(0.3, seed=1)},
}


UNCHECKED = os.environ.get("REGARD_UNCHECKED") == "1"


@pytest.mark.skipif(UNCHECKED, reason="this is that process")
def test_flex_computes_the_definition_where_shapes_are_not_checked():
    command = [sys.executable, "-m", "pytest", "-q", "--noconftest", "--show-capture=no", __file__]
    done = subprocess.run(command, env=os.environ | {"REGARD_UNCHECKED": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.skipif(not UNCHECKED, reason="runs in a process of its own, without checks of shapes")
@torch.no_grad()
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_flex_computes_the_definition(options):
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 300, 32), torch.randn(2, 2, 300, 32), torch.randn(2, 2, 300, 32)
    exact = attention(query.double(), key.double(), value.double(), backend="reference", **options)
    plain = (attention(query, key, value, backend="reference", **options).double() - exact).abs().max()
    error = (attention(query, key, value, backend="flex", **options).double() - exact).abs().max()
    assert error <= 2 * plain + 1e-6


def test_flex_says_what_it_cannot_do():
    x = torch.randn(1, 1, 4, 16, requires_grad=True)
    with pytest.raises(Unsupported, match="on a CPU it has no backward pass"):
        attention(x, x, x, backend="flex")
    with pytest.raises(Unsupported, match="it has no dropout of weights"):
        attention(x.detach(), x.detach(), x.detach(), dropout=DropWeights(0.1), backend="flex")
    with pytest.raises(Unsupported, match="it gives no log-sum-exp, so no sinks"):
        attention(*[x.detach()] * 3, mechanism=ScaledDot(normalize=OffByOne()), backend="flex")
    with pytest.raises(Unsupported, match="it computes no float64"):
        attention(*[x.detach().double()] * 3, backend="flex")
