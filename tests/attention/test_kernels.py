"""The kernels against the definition in float64, in Triton's interpreter (in a process of its own) or on a GPU."""

import gc
import math
import os
import weakref
from dataclasses import dataclass
from importlib.util import find_spec

import pytest
import torch

from regard.attention import (
    Bilinear,
    DropHead,
    DropKey,
    DropWeights,
    ScaledDot,
    SoftCap,
    attention,
    block_sparse,
    causal,
    document,
    padding,
    plan,
    window,
)
from regard.attention.kernels.layout import Layout, pack
from regard.attention.masks import EMPTY, EXAMPLES, FULL, PARTIAL, Mask
from regard.attention.normalizers.softmax import Sink
from regard.attention.positions import Alibi
from regard.errors import InputError
from tests.interpreting import assert_passes_interpreted

HAS_TRITON = find_spec("triton") is not None
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
ON_GPU = torch.cuda.is_available() and not INTERPRETED
DEVICE = "cuda" if ON_GPU else "cpu"
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="the kernels need triton")
runs_kernels = pytest.mark.skipif(
    not HAS_TRITON or not (INTERPRETED or ON_GPU), reason="runs on a GPU, or in a process of its own in triton's interpreter"
)
compiles = pytest.mark.skipif(
    not HAS_TRITON or INTERPRETED or ON_GPU, reason="compiles with triton, where the kernels do not run anyway"
)

if HAS_TRITON:
    from regard.attention.kernels import flash
    from regard.attention.kernels.flash import Drop, flash_backward, flash_forward, sink_gradient


@dataclass(frozen=True, eq=False)
class Matrix(Mask):
    """A mask that is written out."""

    allowed: torch.Tensor

    def tiles(self, query_first, query_last, key_first, key_last):
        sums = torch.nn.functional.pad(self.allowed.long().cumsum(-1).cumsum(-2), (1, 0, 1, 0))
        q, k, r, s = query_first, key_first, query_last + 1, key_last + 1
        some = sums[..., r[:, None], s] - sums[..., q[:, None], s] - sums[..., r[:, None], k] + sums[..., q[:, None], k]
        area = (r - q)[:, None] * (s - k)
        return torch.where(some == 0, EMPTY, torch.where(some == area, FULL, PARTIAL)).to(torch.int8)

    def allows(self, batch, head, query, key):
        return self.allowed[batch, head, query, key]


class Unknown(Matrix):
    """The same mask, too shy to say anything of a tile."""

    def tiles(self, *ends):
        return torch.ones_like(super().tiles(*ends))


def mask(name: str, queries: int, keys: int, batch: int = 1, heads: int = 1) -> Matrix:
    i, j = torch.arange(queries)[:, None], torch.arange(keys)
    generator = torch.Generator().manual_seed(0)
    if name == "random blocks":
        blocks = torch.rand(batch, heads, -(-queries // 64), -(-keys // 64), generator=generator) < 0.5
        blocks = blocks.repeat_interleave(64, 2).repeat_interleave(64, 3)[..., :queries, :keys]
        return Unknown(blocks.to(DEVICE))
    rows = {
        "everything": (i >= 0) & (j >= 0),
        "nothing": (i < 0) & (j >= 0),
        "causal": j <= i,
        "window": (j <= i) & (i - j < 70),
        "documents": i // 90 == j // 90,
        "some rows empty": (j <= i) & (i % 3 > 0) & (i < queries // 2),
    }[name]
    return Matrix(rows[None, None].to(DEVICE))


def define(query, key, value, allowed, *, scale, softcap=None, slopes=None, sinks=None, drop=None):
    """What the kernels compute, by its definition: (out, lse)."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = scale * (query @ key.mT)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if slopes is not None:
        i, j = torch.arange(query.shape[2], device=DEVICE)[:, None], torch.arange(key.shape[2], device=DEVICE)
        scores = scores - slopes.to(scores)[:, None, None] * (i - j).abs()
    kept = torch.ones_like(scores, dtype=torch.bool)
    if drop is not None:
        kept = drop.rows[..., None] * drop.keys >= drop.threshold
        allowed = allowed & kept if drop.on_keys else allowed
    scores = scores.masked_fill(~allowed, float("-inf"))
    every = scores
    if sinks is not None:
        every = torch.cat([scores, sinks.to(scores)[:, None, None].expand(*scores.shape[:3], 1)], -1)
    lse = every.logsumexp(-1)
    weights = (scores - lse.masked_fill(lse == -math.inf, 0)[..., None]).exp()
    if drop is not None and not drop.on_keys:
        weights = weights * kept / (1 - drop.rate)
    return weights @ value, lse


def draw(*shape, dtype):
    return torch.randn(*shape, device=DEVICE).to(dtype)


def inputs(case, dtype):
    batch, heads, kv_heads, queries, keys, dim, value_dim = case
    query, key = draw(batch, heads, queries, dim, dtype=dtype), draw(batch, kv_heads, keys, dim, dtype=dtype)
    # Values lie as a projection leaves them: length before heads.
    value = draw(batch, keys, kv_heads, value_dim, dtype=dtype).transpose(1, 2)
    return query, key, value, draw(batch, heads, queries, value_dim, dtype=dtype)


def by_definition(query, key, value, grad_out, allowed, dtype, options):
    leaves = [x.detach().to(dtype).requires_grad_() for x in (query, key, value)]
    out, lse = define(*leaves, allowed, **options)
    return out.detach(), lse.detach(), *torch.autograd.grad(out, leaves, grad_out.to(dtype))


def by_kernels(query, key, value, grad_out, layout, options):
    out, lse = flash_forward(query, key, value, layout, **options)
    return out, lse, *flash_backward(grad_out, query, key, value, out, lse, layout, **options)


def agree(case, name, dtype, options, *, tile=(64, 64), seed=0):
    """The kernels' error is at most twice that of the definition in the same precision, both against float64."""
    torch.manual_seed(seed)
    given = inputs(case, dtype)
    seen = mask(name, case[3], case[4], case[0], case[1])
    layout = Layout.build(seen, case[3], case[4], DEVICE, rows=tile[0], keys=tile[1])
    options = {"scale": case[5] ** -0.5} | options
    exact = by_definition(*given, seen.allowed, torch.float64, options)
    plain = by_definition(*given, seen.allowed, dtype, options)
    fast = by_kernels(*given, layout, options)
    for what, x, y, z in zip(("out", "lse", "grad_query", "grad_key", "grad_value"), fast, plain, exact, strict=True):
        assert (x.isneginf() == z.isneginf()).all(), what
        x, y, z = (part.double().masked_fill(z.isneginf(), 0) for part in (x, y, z))
        budget = 2 * (y - z).norm() + 1e-6 * z.numel() ** 0.5
        assert (x - z).norm() <= budget, f"{what}: error {(x - z).norm():.2e} over budget {budget:.2e}"
    empty = ~seen.allowed.any(-1).expand(given[0].shape[:3])
    assert (fast[0][empty] == 0).all()
    assert (fast[2][empty] == 0).all()


def dropping(case, *, on_keys: bool, rate: float = 0.3) -> "Drop":
    batch, heads, _, queries, keys = case[:5]
    rows = torch.randint(-(2**31), 2**31, (batch, heads, queries), dtype=torch.int64).to(DEVICE, torch.int32) | 1
    codes = torch.randint(-(2**31), 2**31, (keys,), dtype=torch.int64).to(DEVICE, torch.int32) | 1
    return Drop(rows, codes, min(int(-(2**31) + rate * 2**32), 2**31 - 1), rate, on_keys)


SQUARE = (1, 1, 1, 150, 150, 32, 32)
DTYPES = [torch.float32, torch.float16] + [torch.bfloat16] * ON_GPU


@runs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["everything", "nothing", "causal", "window", "documents", "random blocks", "some rows empty"])
def test_every_mask(name, dtype):
    agree(SQUARE, name, dtype, {})


@runs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "case",
    [
        (1, 1, 1, 3, 130, 32, 32),
        (1, 1, 1, 200, 77, 40, 40),
        (1, 1, 1, 1, 1, 64, 64),
        (2, 4, 2, 70, 90, 64, 32),
        (1, 1, 1, 65, 65, 16, 100),
        *[(1, 2, 1, 300, 300, dim, dim) for dim in (64, 128, 256)] * ON_GPU,
    ],
)
def test_every_shape(case, dtype):
    agree(case, "causal", dtype, {})
    agree(case, "random blocks", dtype, {}, tile=(64, 128))


@runs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("option", ["softcap", "slopes", "sinks", "sinks and empty rows", "DropKey", "weight dropout", "all"])
def test_every_option(option, dtype):
    case = (2, 2, 1, 100, 140, 32, 32)
    slopes, sinks = torch.tensor([0.5, 0.0625], device=DEVICE), torch.tensor([0.0, 1.5], device=DEVICE)
    options = {
        "softcap": {"softcap": 2.0},
        "slopes": {"slopes": slopes},
        "sinks": {"sinks": sinks},
        "sinks and empty rows": {"sinks": sinks},
        "DropKey": {"drop": dropping(case, on_keys=True)},
        "weight dropout": {"drop": dropping(case, on_keys=False)},
        "all": {"softcap": 3.0, "slopes": slopes, "sinks": sinks, "drop": dropping(case, on_keys=True, rate=0.9)},
    }[option]
    agree(case, "some rows empty" if option == "sinks and empty rows" else "window", dtype, options)


@runs_kernels
def test_the_gradient_of_sinks():
    query, key, value, grad_out = inputs((2, 3, 1, 70, 70, 16, 16), torch.float32)
    sinks, seen = torch.tensor([0.0, 1.5, -1.0], device=DEVICE), mask("causal", 70, 70)
    out, lse = flash_forward(query, key, value, Layout.build(seen, 70, 70, DEVICE), scale=0.25, sinks=sinks)
    exact = sinks.double().requires_grad_()
    define(query.double(), key.double(), value.double(), seen.allowed, scale=0.25, sinks=exact)[0].backward(grad_out.double())
    assert torch.allclose(sink_gradient(grad_out, out, lse, sinks).double(), exact.grad, atol=1e-4)


@pytest.mark.skipif(not ON_GPU, reason="only a GPU could sum in another order")
def test_the_same_bits_every_time():
    given = inputs((2, 4, 2, 200, 200, 64, 64), torch.float16)
    layout = Layout.build(mask("documents", 200, 200), 200, 200, DEVICE)
    for one, other in zip(by_kernels(*given, layout, {"scale": 0.1}), by_kernels(*given, layout, {"scale": 0.1}), strict=True):
        assert (one == other).all()


@needs_triton
def test_what_the_kernels_cannot_do_is_refused():
    query, key, value, _ = inputs((1, 1, 1, 5, 5, 16, 16), torch.float32)
    layout = Layout.build(mask("causal", 5, 4), 5, 4, DEVICE)
    with pytest.raises(InputError, match=r"layout is of \(5, 4\)"):
        flash_forward(query, key, value, layout, scale=1.0)
    with pytest.raises(InputError, match="scale > 0"):
        flash_forward(query, key, value, layout, scale=-1.0)


@runs_kernels
def test_a_row_whose_keys_all_drop_gives_zeros():
    case = (1, 1, 1, 70, 70, 32, 32)
    agree(case, "everything", torch.float32, {"drop": dropping(case, on_keys=True, rate=1.0)})


CALLS = {
    "window": {"mask": window(40)},
    "documents": {"mask": causal & document(torch.arange(100)[None].expand(2, -1) // 30)},
    "padding and blocks": {"mask": padding(torch.tensor([90, 0])) & block_sparse(torch.tensor([[1, 0], [1, 1]]).bool(), 64)},
    "softcap and ALiBi": {"mechanism": SoftCap(5.0), "bias": Alibi(4), "mask": causal},
    "sinks": {"mechanism": ScaledDot(normalize=Sink(4)), "mask": window(20)},
    "a score of its own": {"mechanism": Bilinear(16), "mask": causal},
    "dropped keys": {"mask": causal, "dropout": DropKey(0.3, seed=1)},
    "dropped weights": {"mask": causal, "dropout": DropWeights(0.3, seed=1)},
    "dropped heads": {"mask": causal, "dropout": DropHead(0.3, seed=1)},
}


@runs_kernels
@pytest.mark.parametrize("options", CALLS.values(), ids=CALLS)
def test_the_backend_computes_the_definition(options):
    torch.manual_seed(0)
    given = [torch.randn(2, heads, 100, 16, device=DEVICE, requires_grad=True) for heads in (4, 2, 2)]
    if "mechanism" in options:
        options = options | {"mechanism": options["mechanism"].to(DEVICE)}
    parameters = [*given, *options["mechanism"].parameters()] if "mechanism" in options else given
    found = {}
    for backend in ("triton", "reference"):
        out = attention(*given, backend=backend, **options)
        found[backend] = [out, *torch.autograd.grad(out.square().sum(), parameters)]
    torch.testing.assert_close(found["triton"], found["reference"], rtol=1e-4, atol=1e-4)


@runs_kernels
def test_the_backend_has_second_gradients():
    torch.manual_seed(0)
    given = [torch.randn(1, 2, 20, 16, device=DEVICE, requires_grad=True) for _ in range(3)]
    found = {}
    for backend in ("triton", "reference"):
        out = attention(*given, mask=causal, backend=backend)
        slopes = torch.autograd.grad(out.square().sum(), given, create_graph=True)
        found[backend] = torch.autograd.grad(sum(slope.square().sum() for slope in slopes), given)
    torch.testing.assert_close(found["triton"], found["reference"], rtol=1e-3, atol=1e-3)


def test_the_backend_says_why_it_refuses():
    x = torch.randn(1, 1, 4, 16)
    if not HAS_TRITON:
        assert plan(x, x, x).reasons["triton"] == "refuses: the package triton is not installed"
    elif not INTERPRETED:
        assert plan(x, x, x).reasons["triton"] == "refuses: it needs a GPU, the tensors are on cpu"


@needs_triton
def test_the_backend_refuses_a_scale_that_its_kernels_do_not_take(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    x = torch.randn(1, 1, 4, 16)
    for scale in (0.0, -0.5):
        assert plan(x, x, x, mechanism=ScaledDot(scale)).reasons["triton"] == f"refuses: its scale must be above 0, not {scale}"


@runs_kernels
def test_the_backend_drops_all_weights_and_gives_zeros():
    x = torch.randn(1, 2, 20, 16, device=DEVICE, requires_grad=True)
    out = attention(x, x, x, dropout=DropWeights(1.0, seed=1), backend="triton")
    assert (out == 0).all()
    assert (torch.autograd.grad(out.sum(), x)[0] == 0).all()


@runs_kernels
def test_the_backend_lets_go_of_its_tensors_in_the_backward_pass():
    leaf = torch.randn(1, 2, 20, 16, device=DEVICE, requires_grad=True)
    given = [leaf * factor for factor in (1, 2, 3)]
    kept = [weakref.ref(x.untyped_storage()) for x in given]
    total = attention(*given, backend="triton").sum()
    del given
    total.backward()
    gc.collect()  # cycles of the interpreter
    assert all(memory() is None for memory in kept)


def test_words_hold_a_key_a_bit():
    allowed = torch.rand(3, 5, 128) < 0.5
    bits = pack(allowed)[..., None] >> torch.arange(32) & 1
    assert (bits.flatten(-2).bool() == allowed).all()


def test_a_layout_holds_the_mask_and_nothing_else():
    for name, queries, keys in [
        ("causal", 300, 300),
        ("window", 257, 100),
        ("documents", 400, 130),
        ("random blocks", 200, 300),
    ]:
        seen = mask(name, queries, keys, 2, 3)
        layout = Layout.build(seen, queries, keys, DEVICE, rows=64, keys=64)
        for lines, strides, turned in [
            (layout.by_query, layout.by_query_strides, False),
            (layout.by_key, layout.by_key_strides, True),
        ]:
            for batch in range(layout.size[0]):
                for head in range(layout.size[1]):
                    dense = unfold(layout, lines, batch * strides[0] + head * strides[1], turned)
                    assert (dense == seen.allowed[batch, head]).all(), name


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_layout_holds_every_mask(name):
    layout = Layout.build(EXAMPLES[name], 5, 5, "cpu", rows=64, keys=64)
    dense = EXAMPLES[name].write((1, 1), range(5), range(5))[0, 0]
    assert (unfold(layout, layout.by_query, 0, False) == dense).all()
    assert (unfold(layout, layout.by_key, 0, True) == dense).all()


def unfold(layout, lines, first_line, turned):
    """The matrix that a head's lines stand for."""
    dense = torch.zeros(layout.size[2] * 64, layout.size[3] * 64, dtype=torch.long, device=layout.words.device)
    for line in range(layout.size[3 if turned else 2]):
        for run in range(lines.run_first[first_line + line], lines.run_first[first_line + line + 1]):
            start, stop = (lines.runs[run] * 64).tolist()
            (dense.T if turned else dense)[line * 64 : line * 64 + 64, start:stop] += 1
        for part in range(lines.part_first[first_line + line], lines.part_first[first_line + line + 1]):
            bits = layout.words[lines.part_word[part], :, :, None] >> torch.arange(32, device=layout.words.device) & 1
            other = int(lines.part_tile[part])
            row, column = (other, line) if turned else (line, other)
            dense[row * 64 : row * 64 + 64, column * 64 : column * 64 + 64] += bits.transpose(0, 1).flatten(1)
    assert dense.max() <= 1, "a tile is visited twice"
    assert not dense[layout.shape[0] :].any()
    assert not dense[:, layout.shape[1] :].any()
    return dense[: layout.shape[0], : layout.shape[1]] == 1


def test_most_of_a_window_is_skipped():
    assert Layout.build(mask("window", 640, 640), 640, 640, DEVICE, rows=64, keys=64).skipped_share == 1 - (10 + 9 + 8) / 100


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


@pytest.fixture
def compiled(monkeypatch):
    """Compile what a call would launch: compiled(capability, case, dtype, **options) gives the kernels."""
    from triton.runtime import driver

    kernels = []
    monkeypatch.setattr(
        flash, "_launch", lambda kernel, grid, *args, **sizes: kernels.append(kernel.warmup(*args, grid=grid, **sizes))
    )

    def compile(capability, case, dtype, name="causal", **options):
        kernels.clear()
        driver.set_active(NoDevice(capability))
        layout = Layout.build(mask(name, case[3], case[4]), case[3], case[4], "cpu", rows=128, keys=128)
        by_kernels(*(x.cpu() for x in inputs(case, dtype)), layout, {"scale": 0.1} | options)
        return list(kernels)

    monkeypatch.setattr(driver, "_active", None)
    return compile


SHARED_MEMORY = {80: 163 * 1024, 90: 227 * 1024}


@compiles
@pytest.mark.parametrize(
    ("capability", "dim", "dtype"),
    [(90, 64, torch.bfloat16), (80, 128, torch.float16), (80, 256, torch.bfloat16), (80, 32, torch.float32)],
)
def test_the_kernels_compile_and_fit_into_shared_memory(compiled, capability, dim, dtype):
    for kernel in compiled(capability, (1, 2, 1, 256, 256, dim, dim), dtype):
        assert kernel.metadata.shared <= SHARED_MEMORY[capability], kernel.name


@compiles
@pytest.mark.parametrize("on_keys", [True, False])
def test_every_option_compiles(compiled, on_keys):
    case, ones = (1, 2, 1, 256, 256, 64, 64), torch.ones(2)
    drop = dropping(case, on_keys=on_keys)
    for kernel in compiled(90, case, torch.bfloat16, softcap=2.0, slopes=ones, sinks=ones, drop=drop):
        assert kernel.metadata.shared <= SHARED_MEMORY[90], kernel.name
