"""How fast is attention beside its peers, and how much memory does it take? Peers and ours alternate in one run.

python benchmarks/attention.py [--part pairs|grid] [--device cpu|cuda] [--runs 7]

pairs: the cases that matter most, each against its best peer. grid: lengths × head widths × implementations, for the table
and the plot. Results go to benchmarks/results/attention_<part>_<device>.json.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import math
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import torch
from common import spread, write
from torch import Tensor
from torch.nn import functional as F

from regard.attention import Additive, DropKey, DropWeights, ScaledDot, attention, causal, everything, lower_right, window

Run = Callable[[], Any]
HEADS = 8
QUEUED = 10


class Machine:
    """The device: its clock, its memory and its rate of matrix products."""

    def __init__(self, device: str, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self.matmul_tflops = self._matmul_tflops()

    def seconds(self, run: Run) -> float:
        """Time of one run; on a GPU of one among ten that are queued, as the layers of a model are."""
        if self.device == "cpu":
            start = time.perf_counter()
            run()
            return time.perf_counter() - start
        start_event, end_event = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start_event.record()
        for _ in range(QUEUED):
            run()
        end_event.record()
        torch.cuda.synchronize()
        return start_event.elapsed_time(end_event) / 1e3 / QUEUED

    def extra_mb(self, run: Run) -> float:
        """Most memory held above what was there before, results included."""
        gc.collect()
        if self.device != "cpu":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            run()
            return (torch.cuda.max_memory_allocated() - before) / 2**20
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # forget the peak so far
        before = _status_mb("VmRSS")
        run()
        return _status_mb("VmHWM") - before

    def random(self, *shape: int) -> Tensor:
        """Standard normal numbers on the device."""
        return torch.randn(*shape, device=self.device, dtype=self.dtype)

    def _matmul_tflops(self) -> float:
        size = 2048 if self.device == "cpu" else 8192
        x, y = self.random(size, size), self.random(size, size)
        times = [self.seconds(lambda: x @ y) for _ in range(8)][3:]
        return 2 * size**3 / sorted(times)[len(times) // 2] / 1e12


def _status_mb(name: str) -> float:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(name + ":"))


def alternate(machine: Machine, contestants: dict[str, Run], runs: int) -> dict[str, dict[str, Any]]:
    """Times of all, taken in turns after a first round that does not count, and the memory of each."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    result: dict[str, dict[str, Any]] = {}
    for name, run in contestants.items():
        result[name] = {"first_ms": 1e3 * machine.seconds(run)}
    for name, run in contestants.items():
        result[name]["extra_mb"] = machine.extra_mb(run)
    for _ in range(runs):
        for name, run in contestants.items():
            times[name].append(1e3 * machine.seconds(run))
    return {name: {"ms": spread(times[name]), **result[name]} for name in contestants}


def backward(function: Callable[..., Tensor], *given: Tensor) -> Run:
    """A run of the function forward and backward."""
    leaves = [x.detach().clone().requires_grad_() for x in given]
    grad = torch.randn_like(function(*leaves).detach())

    def run() -> None:
        torch.autograd.grad(function(*leaves), leaves, grad)

    return run


def quietly(function: Callable[..., Tensor], *given: Tensor) -> Run:
    """A run of the function without gradients."""

    def run() -> None:
        with torch.no_grad():
            function(*given)

    return run


def window_matrix(length: int, left: int, device: str) -> Tensor:
    """A causal window written out."""
    at = torch.arange(length, device=device)
    return (at[:, None] >= at) & (at[:, None] - at <= left)


def compiled_flex(length: int, left: int | None, device: str) -> Callable[..., Tensor]:
    """flex_attention as its users write it; `left` None is causal without a window."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    def mask_mod(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query >= key) & (query - key <= left) if left is not None else query >= key

    block_mask = create_block_mask(mask_mod, None, None, length, length, device=device)
    compiled = torch.compile(flex_attention, dynamic=False)
    return lambda q, k, v: compiled(q, k, v, block_mask=block_mask)


def naive(mask: Tensor | None = None) -> Callable[..., Tensor]:
    """softmax(q kᵀ / √d) v, written out."""

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        return (scores if mask is None else scores.masked_fill(~mask, -math.inf)).softmax(-1) @ value

    return attend


def x_transformers(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Its attention as it is when maps are wanted."""
    from x_transformers.attend import Attend

    return Attend(causal=True, flash=False)(query, key, value)[0]


def sdpa_by(backend: Any, **options: Any) -> Callable[..., Tensor]:
    """scaled_dot_product_attention held to one of its kernels."""
    from torch.nn.attention import sdpa_kernel

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(query, key, value, **options)

    return attend


Pair = tuple[str, dict[str, Run]]


def cpu_pairs(machine: Machine) -> list[Pair]:
    """Each case as (what is measured, {"regard": ours, name of the peer: theirs})."""
    short, long = ([machine.random(1, HEADS, n, 64) for _ in range(3)] for n in (4096, 16384))
    band = window(512)
    matrix = window_matrix(4096, 512, machine.device)

    def ours(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        return attention(q, k, v, **{"mask": band, **options})

    def dense(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=matrix)

    pairs: list[Pair] = [
        (
            "window 512, N=4096, forward",
            {"regard": quietly(ours, *short), "flex compiled": quietly(compiled_flex(4096, 512, "cpu"), *short)},
        ),
        (
            "window 512, N=4096, forward+backward",
            {"regard": backward(ours, *short), "sdpa, boolean mask": backward(dense, *short)},
        ),
        ("window 512, forward, N=16384 to 4096", {"regard": quietly(ours, *long), "regard, N=4096": quietly(ours, *short)}),
        (
            "window 512, forward+backward, N=16384 to 4096",
            {"regard": backward(ours, *long), "regard, N=4096": backward(ours, *short)},
        ),
    ]
    for name, mask, is_causal in (("dense", everything, False), ("causal", causal, True)):
        for mode, wrap in (("forward", quietly), ("forward+backward", backward)):

            def auto(q: Tensor, k: Tensor, v: Tensor, mask: Any = mask) -> Tensor:
                return attention(q, k, v, mask=mask)

            def peer(q: Tensor, k: Tensor, v: Tensor, is_causal: bool = is_causal) -> Tensor:
                return F.scaled_dot_product_attention(q, k, v, is_causal=is_causal)

            pairs.append((f"{name} through auto, N=4096, {mode}", {"regard": wrap(auto, *short), "sdpa": wrap(peer, *short)}))
    for drop in (DropKey(0.1, seed=1), DropWeights(0.1, seed=1)):
        for mode, wrap in (("forward", quietly), ("forward+backward", backward)):

            def dropped(q: Tensor, k: Tensor, v: Tensor, drop: Any = drop) -> Tensor:
                return attention(q, k, v, mask=band, dropout=drop, backend="tiled")

            without = {"tiled without": wrap(lambda q, k, v: ours(q, k, v, backend="tiled"), *short)}
            pairs.append((f"{type(drop).__name__}, window 512, N=4096, {mode}", {"regard": wrap(dropped, *short), **without}))
    return [*pairs, _additive(machine), _gradient_penalty(machine), _decode(machine)]


def _additive(machine: Machine) -> Pair:
    mechanism = Additive(128)
    given = [machine.random(1, 1, 1024, 128) for _ in range(3)]

    def written_out(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        pair = mechanism.from_query(q)[:, :, :, None] + mechanism.from_key(k)[:, :, None]
        return mechanism.energy(torch.tanh(pair)).squeeze(-1).softmax(-1) @ v

    return (
        "additive 1024 × 1024, d 128, forward+backward",
        {"regard": backward(lambda q, k, v: mechanism(q, k, v), *given), "naive": backward(written_out, *given)},
    )


def _gradient_penalty(machine: Machine) -> Pair:
    given = [machine.random(1, HEADS, 2048, 64) for _ in range(3)]

    def penalty(backend: str) -> Run:
        leaves = [x.clone().requires_grad_() for x in given]

        def run() -> None:
            out = attention(*leaves, backend=backend)
            grads = torch.autograd.grad(out.square().sum(), leaves, create_graph=True)
            torch.autograd.grad(sum(g.square().sum() for g in grads), leaves)

        return run

    return "gradient penalty (double backward), N=2048", {"regard": penalty("tiled"), "reference": penalty("reference")}


def _decode(machine: Machine) -> Pair:
    query, key, value = (machine.random(1, HEADS, n, 64) for n in (1, 4097, 4097))
    softmax, mask = ScaledDot(), lower_right(causal, 1, 4097)
    many = 50  # one is too short for the clock

    def ours(*given: Tensor) -> None:
        for _ in range(many):
            softmax(*given, mask)

    def peer(*given: Tensor) -> None:
        for _ in range(many):
            F.scaled_dot_product_attention(*given)

    return "50 tokens, each after 4096", {"regard": quietly(ours, query, key, value), "sdpa": quietly(peer, query, key, value)}


def cuda_pairs(machine: Machine) -> list[Pair]:
    """The same, where there is a GPU."""
    from torch.nn.attention import SDPBackend

    kernels = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}
    pairs: list[Pair] = []
    modes = (("forward", quietly), ("forward+backward", backward))
    for length, dim in ((4096, 64), (16384, 64), (16384, 128)):
        given = [machine.random(1, 16, length, dim) for _ in range(3)]
        for name, mask, is_causal in (("dense", everything, False), ("causal", causal, True)):
            for mode, wrap in modes:
                peers = {f"sdpa {k}": wrap(sdpa_by(b, is_causal=is_causal), *given) for k, b in kernels.items()}
                ours = wrap(lambda q, k, v, mask=mask: attention(q, k, v, mask=mask), *given)
                pairs.append((f"{name} through auto, N={length}, head {dim}, {mode}", {"regard": ours, **peers}))
    for length, dim, left in ((32768, 64, 1024), (32768, 128, 1024), (65536, 64, 1024)):
        given = [machine.random(1, 16, length, dim) for _ in range(3)]
        flex = compiled_flex(length, left, machine.device)
        for mode, wrap in modes:
            ours = wrap(lambda q, k, v, left=left: attention(q, k, v, mask=window(left), backend="triton"), *given)
            case = f"window {left}, N={length}, head {dim}, {mode}"
            pairs.append((case, {"regard": ours, "flex compiled": wrap(flex, *given)}))
    return pairs


def run_pairs(machine: Machine, runs: int) -> list[dict[str, Any]]:
    """Each case with its ratio to the best peer."""
    results = []
    for case, contestants in (cpu_pairs if machine.device == "cpu" else cuda_pairs)(machine):
        found = alternate(machine, contestants, runs)
        peer = min((name for name in found if name != "regard"), key=lambda name: found[name]["ms"]["median"])
        time_ratio = found["regard"]["ms"]["median"] / found[peer]["ms"]["median"]
        memory_ratio = found["regard"]["extra_mb"] / max(found[peer]["extra_mb"], 1e-9)
        results.append({"case": case, "peer": peer, "time_ratio": time_ratio, "memory_ratio": memory_ratio, **found})
        extra = f"{found['regard']['extra_mb']:.0f} to {found[peer]['extra_mb']:.0f} MB"
        print(f"{case:58} {time_ratio:6.3f} of {peer}, {found['regard']['ms']['median']:.2f} ms; {extra}", file=sys.stderr)
    return results


def grid(machine: Machine, length: int, dim: int) -> dict[str, tuple[Callable[..., Tensor], float, bool]]:
    """Name → (function, pairs of query and key it must look at, is it able to go backward)."""
    is_cpu = machine.device == "cpu"
    full, seen = length * (length + 1) / 2, sum(min(i, 512) + 1 for i in range(length))
    at_hand: dict[str, tuple[Callable[..., Tensor], float, bool]] = {
        "regard causal": (lambda q, k, v: attention(q, k, v, mask=causal), full, True),
        "sdpa causal": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), full, True),
        "regard window 512": (lambda q, k, v: attention(q, k, v, mask=window(512)), seen, True),
    }
    if is_cpu or length >= 4096:
        at_hand["flex window 512"] = (compiled_flex(length, 512, machine.device), seen, not is_cpu)
    if length <= 16384:
        matrix = window_matrix(length, 512, machine.device)
        masked = F.scaled_dot_product_attention
        at_hand["sdpa boolean window 512"] = (lambda q, k, v: masked(q, k, v, attn_mask=matrix), seen, True)
    if length <= 4096:
        below = torch.ones(length, length, dtype=torch.bool, device=machine.device).tril()
        at_hand["naive causal"] = (naive(below), full, True)
        if find_spec("x_transformers"):
            at_hand["x-transformers causal"] = (x_transformers, full, True)
    return at_hand


def run_grid(machine: Machine, runs: int) -> list[dict[str, Any]]:
    """All of it, with the share of the machine's rate of matrix products."""
    results = []
    lengths = [512, 1024, 2048, 4096, 8192, 16384] + ([] if machine.device == "cpu" else [32768, 65536])
    for dim in (64, 128):
        for length in lengths:
            torch.compiler.reset()
            given = [machine.random(1, HEADS, length, dim) for _ in range(3)]
            able = grid(machine, length, dim)
            for mode, wrap, products in (("forward", quietly, 2), ("forward+backward", backward, 7)):
                chosen = {name: wrap(f, *given) for name, (f, _, goes_back) in able.items() if mode == "forward" or goes_back}
                for name, found in alternate(machine, chosen, runs if length < 8192 else min(runs, 3)).items():
                    tflops = products * 2 * HEADS * dim * able[name][1] / found["ms"]["median"] / 1e9
                    case = {"name": name, "length": length, "head_dim": dim, "mode": mode, **found}
                    results.append({**case, "share_of_matmul_rate": tflops / machine.matmul_tflops})
                print(f"head {dim}, length {length}, {mode} done", file=sys.stderr)
    return results


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["pairs", "grid"], default="pairs")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    torch.manual_seed(0)
    dtype = torch.float32 if options.device == "cpu" else torch.bfloat16
    machine = Machine(options.device, dtype)
    measured = (run_pairs if options.part == "pairs" else run_grid)(machine, options.runs)
    name = "cpu" if options.device == "cpu" else torch.cuda.get_device_name()
    peers = {"x-transformers": version("x-transformers")} if find_spec("x_transformers") else {}
    write(
        f"attention_{options.part}_{options.device}",
        {
            "question": "time and memory of attention beside its peers, alternating in one run",
            "device": name,
            "threads": torch.get_num_threads(),
            "settings": {"batch": 1, "heads": HEADS, "dtype": str(dtype), **peers},
            "matmul_tflops": machine.matmul_tflops,
            "results": measured,
        },
    )


if __name__ == "__main__":
    main()
