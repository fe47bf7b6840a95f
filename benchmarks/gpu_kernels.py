# ruff: noqa: B023  closures over a loop variable run within its turn
"""Are the Triton kernels right on this GPU, how fast are they beside flex_attention, and which step is the fastest?

python benchmarks/gpu_kernels.py grid              compile every kernel for sm_80 and sm_90, without a GPU
python benchmarks/gpu_kernels.py tune compare dense -o out.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
import triton
from torch.nn import functional as F

from regard.attention.kernels import flash
from regard.attention.kernels.flash import Step, flash_backward, flash_forward
from regard.attention.kernels.layout import Layout


@dataclass(frozen=True)
class Window:
    """Keys at most `left` positions before the query and none after."""

    left: int

    def tiles(self, query_first, query_last, key_first, key_last):
        q, r = query_first[:, None], query_last[:, None]
        some = (key_first <= r) & (key_last >= q - self.left)
        every = (key_last <= q) & (key_first >= r - self.left)
        return (some.to(torch.int8) + (some & every))[None, None]

    def allows(self, batch, head, query, key):
        return (key <= query) & (query - key <= self.left)


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


def compiled(capability: int, heads: int, dim: int, dtype: torch.dtype, steps: dict[str, Step], **how: Any) -> list[Any]:
    """The three kernels as a call would launch them, not launched."""
    triton.runtime.driver.set_active(NoDevice(capability))
    kernels = []

    def launch(kernel, grid, *args, **sizes):
        kernels.append(kernel.warmup(*args, grid=grid, **sizes))

    flash._launch = launch
    adopt(steps)
    layout_keys = how.pop("layout_keys", 128)
    layout = Layout.build(Window(100), 256, 256, "cpu", rows=how.pop("layout_rows", 64), keys=layout_keys)
    query, key, value = (torch.randn(1, heads, 256, dim, dtype=dtype) for _ in range(3))
    out, lse = flash_forward(query, key, value, layout, scale=0.1, **how)
    flash_backward(out, query, key, value, out, lse, layout, scale=0.1, **how)
    return kernels


def adopt(steps: dict[str, Step]) -> None:
    """Take these steps at every width."""
    for name, step in steps.items():
        table = getattr(flash, name)
        for size in table:
            table[size] = step


def resources(kernel: Any, capability: int) -> dict[str, Any]:
    """Registers and spills as ptxas tells them, shared memory as the launch asks for it."""
    ptxas = Path(triton.__file__).parent / "backends/nvidia/bin/ptxas"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "k.ptx").write_text(kernel.asm["ptx"])
        arch = "sm_90a" if capability == 90 else f"sm_{capability}"
        command = [str(ptxas), "-v", f"--gpu-name={arch}", "k.ptx", "-o", "k.cubin"]
        told = subprocess.run(command, cwd=folder, capture_output=True, text=True).stderr
    found = {
        "registers": re.search(r"Used (\d+) registers", told),
        "spilled_bytes": re.search(r"(\d+) bytes spill stores", told),
    }
    serial = re.search(r"serialized due to ([^\n]*)", told)
    return (
        {"kernel": kernel.name, "shared": kernel.metadata.shared}
        | {k: int(m[1]) if m else -1 for k, m in found.items()}
        | {"serial": serial[1][:110] if serial else ""}
    )


def grid() -> list[dict[str, Any]]:
    """Every kernel × dtype × width × switch for both targets."""
    rows = []
    ones = torch.ones(2)
    codes = torch.ones(1, 2, 256, dtype=torch.int32), torch.ones(256, dtype=torch.int32)
    switches = {
        "plain": {},
        "softcap, slopes, sinks": {"softcap": 2.0, "slopes": ones, "sinks": ones},
        "drop keys": {"drop": flash.Drop(*codes, 5, 0.1, True)},
        "drop weights": {"drop": flash.Drop(*codes, 5, 0.1, False)},
    }
    for capability, dtype, dim in itertools.product(
        (80, 90), (torch.bfloat16, torch.float16, torch.float32), (32, 64, 128, 256)
    ):
        for name, how in switches.items():
            if name != "plain" and dim != 128:
                continue
            for kernel in compiled(capability, 2, dim, dtype, {}, **how):
                rows.append(
                    {"sm": capability, "dtype": str(dtype)[6:], "dim": dim, "switch": name} | resources(kernel, capability)
                )
                print(*rows[-1].values(), flush=True)
    return rows


def milliseconds(calls: dict[str, Any], rounds: int = 15) -> dict[str, float]:
    """Median of each call, in turns, by device events."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(2):
            call()
    for _, (name, call) in itertools.product(range(rounds), calls.items()):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        # Fills the queue, so that the host's time to launch is not measured.
        torch.cuda._sleep(2_000_000)
        begin.record()
        call()
        end.record()
        torch.cuda.synchronize()
        times[name].append(begin.elapsed_time(end))
    return {name: median(values) for name, values in times.items()}


def draw(batch: int, heads: int, length: int, dim: int, dtype: torch.dtype = torch.bfloat16) -> list[torch.Tensor]:
    return [torch.randn(batch, heads, length, dim, device="cuda", dtype=dtype) for _ in range(4)]


class Flash(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query, key, value, layout, scale):
        out, lse = flash_forward(query, key, value, layout, scale=scale)
        ctx.save_for_backward(query, key, value, out, lse)
        ctx.layout, ctx.scale = layout, scale
        return out

    @staticmethod
    def backward(ctx, grad_out):
        return *flash_backward(grad_out, *ctx.saved_tensors, ctx.layout, scale=ctx.scale), None, None


def variants(shapes, caps, modes) -> list[Step]:
    """Every shape with every mode (pinned, settled) and every cap on registers."""
    return [Step(*shape, cap, *mode) for shape in shapes for cap in caps for mode in modes]


P, S, PS, N = (True, False), (False, True), (True, True), (False, False)
SMALL = [(64, 64, 4, stages) for stages in (2, 3, 4)]
WIDE = [(64, 64, 4, 2), (64, 64, 8, 2), (128, 64, 8, 2), (128, 64, 8, 3), (64, 128, 4, 2), (128, 128, 8, 2)]
VARIANTS = {
    64: {
        "FORWARD": [*variants(SMALL, (None, 168, 128), [P, S]), *variants([(128, 64, 8, 3), (128, 64, 8, 4)], (128,), [P])],
        "QUERY_GRADIENT": [
            *variants(SMALL, (None, 168, 128), [S]),
            *variants(SMALL[:2], (None, 168), [PS]),
            *variants([(128, 64, 8, 3)], (128,), [S]),
        ],
        "KEY_GRADIENT": variants([(64, 64, 4, 1), *SMALL], (None, 168), [N, S]),
    },
    128: {
        "FORWARD": variants([(64, 64, 4, 2), (64, 64, 4, 3)], (None, 240), [P, S])
        + variants([(128, 64, 8, 3), (128, 128, 8, 2)], (None,), [P]),
        "QUERY_GRADIENT": variants([(64, 64, 4, 2), (64, 64, 4, 3), (64, 32, 4, 2), (64, 32, 4, 3)], (None,), [S, N])
        + variants([(128, 64, 8, 2)], (None,), [N]),
        "KEY_GRADIENT": variants([(32, 64, 4, s) for s in (1, 2, 3)], (None, 168), [N, S])
        + variants([(32, 128, 8, 2), (64, 128, 8, 2), (32, 64, 8, 2), (64, 64, 8, 2)], (None, 128), [S]),
    },
}
TILES = {64: [(64, 64)], 128: [(64, 64), (128, 128)]}
BEST: dict[int, tuple[int, int]] = {}
KERNEL = {"FORWARD": "forward_kernel", "QUERY_GRADIENT": "query_kernel", "KEY_GRADIENT": "key_kernel"}


def _warm(job: tuple[int, str, Step, tuple[int, int]]) -> None:
    """Compile one kernel into Triton's cache."""
    dim, table, step, tile = job

    def only(kernel, grid, *args, **sizes):
        if kernel.fn.__name__ == KERNEL[table]:
            kernel.warmup(*args, grid=grid, **sizes)

    triton.runtime.driver.set_active(NoDevice(90))
    flash._launch = only
    adopt({table: step})
    layout = Layout.build(Window(100), 256, 256, "cpu", rows=tile[0], keys=tile[1])
    query, key, value = (torch.randn(1, 8, 256, dim, dtype=torch.bfloat16) for _ in range(3))
    out, lse = flash_forward(query, key, value, layout, scale=0.125)
    flash_backward(out, query, key, value, out, lse, layout, scale=0.125)


def tune(dim: int = 64, length: int = 32768, heads: int = 8, window: int = 1024) -> list[dict[str, Any]]:
    """Every variant of a step under a window, alone: milliseconds of its kernel. Adopts the best."""
    jobs = [
        (dim, table, step, tile)
        for table, steps in VARIANTS[dim].items()
        for step in steps
        for tile in TILES[dim]
        if step.rows <= tile[0] and step.keys <= tile[1] and (dim > 64 or step.rows == tile[0])
    ]
    with multiprocessing.get_context("spawn").Pool(14) as pool:
        pool.map(_warm, jobs, chunksize=1)
    query, key, value, grad = draw(1, heads, length, dim)
    layouts = {t: Layout.build(Window(window), length, length, "cuda", rows=t[0], keys=t[1]) for t in TILES[dim]}
    rows, launch = [], flash._launch
    for _, table, step, tile in jobs:
        before = dict(getattr(flash, table))
        out, lse = flash_forward(query, key, value, layouts[tile], scale=0.125)
        adopt({table: step})
        flash._launch = lambda kernel, *a, table=table, **s: kernel.fn.__name__ == KERNEL[table] and launch(kernel, *a, **s)
        run = {
            True: lambda tile=tile: flash_forward(query, key, value, layouts[tile], scale=0.125),
            False: lambda tile=tile: flash_backward(grad, query, key, value, out, lse, layouts[tile], scale=0.125),
        }[table == "FORWARD"]
        try:
            ms = milliseconds({"ms": run}, 9)["ms"]
        except Exception as error:  # too much shared memory: a result like any other
            ms, _ = 1e9, print(table, step, str(error)[:80])
        rows.append({"table": table, "step": tuple(step), "tile": tile, "dim": dim, "ms": round(ms, 4)})
        flash._launch = launch
        getattr(flash, table).update(before)
    rows.sort(key=lambda row: row["ms"])
    first = {(row["table"], row["tile"]): row for row in reversed(rows)}
    sums = {tile: sum(first[t, tile]["ms"] for t in KERNEL if (t, tile) in first) for tile in TILES[dim]}
    full = [tile for tile in TILES[dim] if all((t, tile) in first for t in KERNEL)]
    BEST[dim] = min(full, key=lambda tile: sums[tile])
    print("tiles:", sums, "best", BEST[dim])
    for table in KERNEL:
        getattr(flash, table)[2, dim] = Step(*first[table, BEST[dim]]["step"])
        for row in [row for row in rows if row["table"] == table][:8]:
            print(*row.values(), flush=True)
    return rows


def compare(
    lengths: tuple[int, ...] = (32768,), heads: tuple[int, ...] = (8,), window: int = 1024, dim: int = 64
) -> list[dict[str, Any]]:
    """A window beside compiled flex_attention: forward, and forward with backward; both right to bf16."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    rows = []
    for length, num_heads in itertools.product(lengths, heads):
        torch._dynamo.reset()
        flex = torch.compile(flex_attention, dynamic=False)
        query, key, value, grad = (x.requires_grad_() for x in draw(1, num_heads, length, dim))
        layout = Layout.build(Window(window), length, length, "cuda", **tile_of(dim))
        block = create_block_mask(lambda b, h, q, k: (k <= q) & (q - k <= window), None, None, length, length, device="cuda")
        calls = {
            "regard": lambda: Flash.apply(query, key, value, layout, dim**-0.5),
            "flex": lambda: flex(query, key, value, block_mask=block, scale=dim**-0.5),
        }

        def both(call):
            return torch.autograd.grad(call(), (query, key, value), grad)

        ours, theirs = ([calls[name]().detach(), *both(calls[name])] for name in calls)
        apart = [((x - y).double().norm() / y.double().norm()).item() for x, y in zip(ours, theirs, strict=True)]
        with torch.no_grad():
            forward = milliseconds(calls)
        trained = milliseconds({name: (lambda call=call: both(call)) for name, call in calls.items()})
        built = milliseconds({"build": lambda: Layout.build(Window(window), length, length, "cuda", **tile_of(dim))}, 5)
        row = {"length": length, "heads": num_heads, "dim": dim, "apart": max(apart), "build_ms": built["build"]}
        for what, times in (("forward", forward), ("both", trained)):
            row |= {f"{what}_{name}_ms": ms for name, ms in times.items()} | {f"{what}_ratio": times["flex"] / times["regard"]}
        rows.append(row)
        print(*(f"{k}={v:.4g}" for k, v in row.items()), flush=True)
    return rows


def tile_of(dim: int) -> dict[str, int]:
    rows, keys = BEST.get(dim, (64, 64))
    return {"rows": rows, "keys": keys}


def options() -> dict[str, float]:
    """What each switch adds: milliseconds of a forward and backward under a window."""
    length, heads = 32768, 8
    query, key, value, grad = draw(1, heads, length, 64)
    layout = Layout.build(Window(1024), length, length, "cuda", **tile_of(64))
    ones = torch.ones(heads, device="cuda")
    codes = [torch.randint(-(2**31), 2**31, s, device="cuda").int() | 1 for s in ((1, heads, length), (length,))]
    switches = {
        "plain": {},
        "softcap": {"softcap": 30.0},
        "slopes": {"slopes": ones / 8},
        "sinks": {"sinks": ones},
        "DropKey": {"drop": flash.Drop(*codes, -(2**31) + 2**28, 1 / 16, True)},
        "weight dropout": {"drop": flash.Drop(*codes, -(2**31) + 2**28, 1 / 16, False)},
    }

    def both(how):
        out, lse = flash_forward(query, key, value, layout, scale=0.125, **how)
        return flash_backward(grad, query, key, value, out, lse, layout, scale=0.125, **how)

    times = milliseconds({name: lambda how=how: both(how) for name, how in switches.items()}, 9)
    print(*(f"{k}={v:.3f}" for k, v in times.items()), flush=True)
    return times


def dense(lengths: tuple[int, ...] = (8192, 16384), dims: tuple[int, ...] = (64, 128)) -> list[dict[str, Any]]:
    """Causal without a window, beside scaled_dot_product_attention."""
    rows = []
    for length, dim in itertools.product(lengths, dims):
        query, key, value, grad = (x.requires_grad_() for x in draw(1, 8, length, dim))
        layout = Layout.build(Window(length), length, length, "cuda", **tile_of(dim))
        calls = {
            "regard": lambda: Flash.apply(query, key, value, layout, dim**-0.5),
            "sdpa": lambda: F.scaled_dot_product_attention(query, key, value, is_causal=True),
        }
        with torch.no_grad():
            forward = milliseconds(calls, 7)
        trained = milliseconds(
            {n: (lambda call=call: torch.autograd.grad(call(), (query, key, value), grad)) for n, call in calls.items()}, 7
        )
        row = {"length": length, "dim": dim, "tflops": 2 * length**2 * 8 * dim / forward["regard"] / 1e9}
        row |= {f"forward_{n}_ms": ms for n, ms in forward.items()} | {f"both_{n}_ms": ms for n, ms in trained.items()}
        rows.append(row)
        print(*(f"{k}={v:.4g}" for k, v in row.items()), flush=True)
    return rows


def far() -> float:
    """More than 2^31 numbers a tensor: how far the last head is from the same head alone (0 is expected)."""
    length, heads = 2**20, 34
    query, key, value, grad = draw(1, heads, length, 64)
    layout = Layout.build(Window(1024), length, length, "cuda", **tile_of(64))
    out, lse = flash_forward(query, key, value, layout, scale=0.125)
    far = [out, *flash_backward(grad, query, key, value, out, lse, layout, scale=0.125)]
    query, key, value, grad = (x[:, -1:].clone() for x in (query, key, value, grad))
    out, lse = flash_forward(query, key, value, layout, scale=0.125)
    near = [out, *flash_backward(grad, query, key, value, out, lse, layout, scale=0.125)]
    apart = max((x[:, -1:] - y).abs().max().item() for x, y in zip(far, near, strict=True))
    print("far:", apart, "peak GB", torch.cuda.max_memory_allocated() / 2**30, flush=True)
    return apart


def host() -> dict[str, float]:
    """Milliseconds of the host for a forward, a backward and a layout."""
    import time

    query, key, value, grad = draw(1, 8, 256, 64)
    layout = Layout.build(Window(100), 256, 256, "cuda")
    out, lse = flash_forward(query, key, value, layout, scale=0.125)
    calls = {
        "forward": lambda: flash_forward(query, key, value, layout, scale=0.125),
        "backward": lambda: flash_backward(grad, query, key, value, out, lse, layout, scale=0.125),
        "layout 32768": lambda: Layout.build(Window(1024), 32768, 32768, "cuda"),
    }
    found = {}
    for name, call in calls.items():
        for _ in range(5):
            call()
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(50):
            call()
        torch.cuda.synchronize()
        found[name] = (time.perf_counter() - start) * 20
    print(found, flush=True)
    with torch.profiler.profile() as profile:
        calls["layout 32768"]()
        torch.cuda.synchronize()
    print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=14, max_name_column_width=40)[:4500])
    return found


def ceilings() -> dict[str, float]:
    """Bytes moved and operations done a second by a copy and by a matrix product."""
    a = torch.randn(2**30, device="cuda", dtype=torch.bfloat16)
    b, m = torch.empty_like(a), torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    times = milliseconds({"copy": lambda: b.copy_(a), "product": lambda: m @ m}, 7)
    found = {"copy_tb_s": 2 * a.nbytes / times["copy"] / 1e9, "product_tflops": 2 * 8192**3 / times["product"] / 1e9}
    print(found, flush=True)
    return found


ANSWERS = {
    "grid": grid,
    "ceilings": ceilings,
    "tune": tune,
    "tune128": lambda: tune(128),
    "compare": compare,
    "sizes": lambda: compare((4096, 32768, 65536), (8, 16)),
    "dense": dense,
    "host": host,
    "far": far,
    "wide": lambda: compare((32768,), (8,), dim=128),
    "options": options,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "questions",
        nargs="+",
        choices=["grid", "ceilings", "tune", "tune128", "compare", "sizes", "dense", "host", "far", "wide", "options"],
    )
    parser.add_argument("-o", "--out", type=Path, default=Path(os.environ.get("OUT", ".")) / "gpu_kernels.json")
    chosen = parser.parse_args()
    result: dict[str, Any] = {"torch": torch.__version__, "triton": triton.__version__}
    if torch.cuda.is_available():
        result["device"] = torch.cuda.get_device_name()
    for question in chosen.questions:
        result[question] = ANSWERS[question]()
        chosen.out.write_text(json.dumps(result, indent=1) + "\n")
