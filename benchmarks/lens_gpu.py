"""What do all statistics of the lens cost on a GPU beside the fused forward, and which step of the kernels is the fastest?

python benchmarks/lens_gpu.py compile           registers, spills and instructions a pair for sm_90, without a GPU
python benchmarks/lens_gpu.py cost              beside scaled_dot_product_attention, alternating, up to 128k tokens
python benchmarks/lens_gpu.py tune              every variant of a step, alone

Results go to benchmarks/results/lens_gpu_<part>.json.
"""

from __future__ import annotations

import argparse
import gc
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import triton
from common import spread, write
from gpu_kernels import NoDevice, resources
from torch import Tensor
from torch.nn import functional as F

from regard.attention import ScaledDot, causal
from regard.attention.call import Call
from regard.lens import explicit, gpu, gpu_passes, statistics
from regard.lens.gpu_passes import FAR, LSE, NEAR, Step
from regard.lens.statistics import Wanted

HEADS, DIM = 32, 128
LENGTHS = 8192, 32768, 131072
CHECKED_ROWS = 16
VARIANTS = {
    "FAR": [
        *(Step(128, 128, 4, stages) for stages in (2, 3)),
        *(Step(128, 128, 8, 2, maxnreg) for maxnreg in (None, 168, 128)),
        *(Step(128, 64, 4, stages, maxnreg) for stages in (2, 3) for maxnreg in (None, 168)),
        *(Step(64, 128, 4, 2, maxnreg) for maxnreg in (None, 168)),
        *(Step(64, 256, 4, 2), Step(128, 256, 8, 2), Step(256, 64, 8, 2)),
    ],
    "LSE": [
        *(Step(128, 128, 4, 2), Step(128, 128, 8, 2), Step(128, 128, 8, 3)),
        *(Step(128, 64, warps, stages) for warps in (4, 8) for stages in (2, 3)),
    ],
    "NEAR": [Step(128, keys, warps, 2) for keys in (32, 64) for warps in (4, 8)],
}
TABLES = {"FAR": FAR, "LSE": LSE, "NEAR": NEAR}
SIZE = (2, DIM)


def vectors(length: int, heads: int = HEADS, device: str = "cuda") -> list[Tensor]:
    """Queries, keys and values as a projection leaves them: length before heads."""
    return [torch.randn(1, length, heads, DIM, device=device, dtype=torch.bfloat16).transpose(1, 2) for _ in range(3)]


def milliseconds(run: Callable[[], Any]) -> float:
    """Of the device, with the host's time to launch hidden."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda._sleep(4_000_000)
    start.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


def extra_mb(run: Callable[[], Any]) -> float:
    """Most memory held above what was there before, results included."""
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def alternate(contestants: dict[str, Callable[[], Any]], runs: int) -> dict[str, dict[str, Any]]:
    """Times of all, taken in turns after a first round that does not count, and the memory of each."""
    extra = {name: extra_mb(run) for name, run in contestants.items()}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(runs):
        for name, run in contestants.items():
            times[name].append(milliseconds(run))
    return {name: {"ms": spread(times[name]), "extra_mb": extra[name]} for name in contestants}


def apart(call: Call, found: dict[str, Tensor]) -> dict[str, float]:
    """How far statistics of the last rows are from those of the explicit pass in float32."""
    rows = (range(call.shape[2] - CHECKED_ROWS, call.shape[2]),)
    wide = Call(call.mechanism, call.query.float(), call.key.float(), call.key.float(), call.mask)
    expected, _ = explicit.measure(explicit.of_call(wide), Wanted(), 0, rows)
    names = "entropy_bits", "logsumexp", "mean_distance", "distance_spread", "top_weights"
    return {name: float((found[name] - expected[name])[:, :, rows[0].start :].abs().amax()) for name in names}


def cost(runs: int) -> list[dict[str, Any]]:
    """All statistics beside the forward of the model, with the log-sum-exps that it kept and without."""
    results = []
    for length in LENGTHS:
        query, key, value = vectors(length)
        call, scale = Call(ScaledDot(), query, key, value, causal), DIM**-0.5
        kept = gpu.fused(query, key, value, is_causal=True, scale=scale)
        if kept is None:
            sys.exit("scaled_dot_product_attention takes no fused kernel here: nothing to compare with.")
        lse = kept[1]

        def watched(q: Tensor = query, k: Tensor = key, v: Tensor = value, call: Call = call, scale: float = scale) -> None:
            out = gpu.fused(q, k, v, is_causal=True, scale=scale)
            gpu.measure(call, Wanted(), logsumexp=out[1])  # type: ignore[index]

        contestants = {
            "sdpa": lambda q=query, k=key, v=value: F.scaled_dot_product_attention(q, k, v, is_causal=True),
            "sdpa and all statistics": watched,
            "statistics, log-sum-exps kept": lambda call=call, lse=lse: gpu.measure(call, Wanted(), logsumexp=lse),
            "statistics, log-sum-exps found": lambda call=call: gpu.measure(call, Wanted()),
        }
        found = alternate(contestants, runs)
        plain = found["sdpa"]["ms"]["median"]
        own = (plain + found["statistics, log-sum-exps found"]["ms"]["median"]) / plain
        ratio = found["sdpa and all statistics"]["ms"]["median"] / plain
        tflops = 2 * length**2 * HEADS * DIM / plain / 1e9
        values = gpu.measure(call, Wanted())[0]
        results.append({
            "length": length, "ratio": ratio, "ratio_with_a_pass_of_its_own": own, "sdpa_tflops": tflops,
            "apart": apart(call, values), **found,
        })  # fmt: skip
        print(f"{length:7} tokens: sdpa {plain:.2f} ms ({tflops:.0f} TFLOPS), with all statistics {ratio:.2f} times that;")
        print(f"        {own:.2f} times where it keeps no log-sum-exps; {results[-1]['apart']}", flush=True)
        del values, call, lse, kept, contestants
    return results


def tune(runs: int, length: int = 32768) -> list[dict[str, Any]]:
    """Milliseconds of each kernel alone, for every variant of its step; the best first."""
    query, key, value = vectors(length)
    call, rows = Call(ScaledDot(), query, key, value, causal), []
    lse = gpu.measure(call, Wanted())[0]["logsumexp"]
    for table, steps in VARIANTS.items():
        for step in steps:
            before = adopt(table, step)
            try:
                ms = spread([alone(table, call, lse) for _ in range(runs + 1)][1:])
            except Exception as error:  # too much shared memory: a result like any other
                ms, _ = {"median": float("inf")}, print(table, step, str(error)[:90])
            for name, old in before.items():
                TABLES[name][SIZE] = old
            rows.append({"table": table, "step": tuple(step), "ms": ms})
    rows.sort(key=lambda row: (row["table"], row["ms"]["median"]))
    for row in rows:
        print(row["table"], row["step"], f"{row['ms']['median']:.3f} ms", flush=True)
    return rows


def adopt(table: str, step: Step) -> dict[str, Step]:
    """Take a step, and make the others fit a tile of FAR; returns what was before."""
    before = {name: TABLES[name][SIZE] for name in TABLES}
    if table == "FAR":
        FAR[SIZE], NEAR[SIZE], LSE[SIZE] = step, Step(step.rows, 32, 8, 2), Step(step.rows, 32, 4, 2)
    TABLES[table][SIZE] = step
    return before


def alone(table: str, call: Call, lse: Tensor) -> float:
    """Milliseconds of all launches of one table in a measurement."""
    launch, times = gpu_passes._launch, []

    def timed(kernel: Any, grid: Any, *given: Any, **sizes: Any) -> None:
        part = ("FAR" if sizes["FAR"] else "NEAR") if "FAR" in sizes else "LSE" if "STEP" in sizes else "names"
        if part == table:
            times.append(milliseconds(lambda: launch(kernel, grid, *given, **sizes)))

    gpu_passes._launch = timed
    try:
        gpu_passes.Passes(gpu.dots_of(call), Wanted(), 0, None).run(None if table == "LSE" else lse)
    finally:
        gpu_passes._launch = launch
    return sum(times)


def compiled(step: Step, table: str) -> Any:
    """The kernel of a step as a call would launch it on an H100, not launched."""
    triton.runtime.driver.set_active(NoDevice(90))
    kernels: list[Any] = []
    gpu_passes._launch = lambda kernel, grid, *given, **sizes: kernels.append(kernel.warmup(*given, grid=grid, **sizes))
    before = adopt(table, step)
    statistics.MAP_CELLS = 1  # cells as wide as those of long sequences, of which a tile lies in one
    query, key, value = vectors(512, 1, "cpu")
    gpu.measure(Call(ScaledDot(), query, key, value, causal), Wanted())
    for name, old in before.items():
        TABLES[name][SIZE] = old
    return kernels[("LSE", "FAR", "NEAR").index(table)]


def instructions(kernel: Any) -> Counter[str]:
    """Of the innermost loop that has the most exponentials for its length: the one over full tiles."""
    tools = Path(triton.__file__).parent / "backends/nvidia/bin"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "k.cubin").write_bytes(kernel.asm["cubin"])
        listing = subprocess.run([tools / "cuobjdump", "-sass", "k.cubin"], cwd=folder, capture_output=True, text=True).stdout
    lines = [(int(at, 16), text) for at, text in re.findall(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+ )?(.*?);", listing)]
    backward = [(int(to, 16), at) for at, text in lines for to in re.findall(r"BRA.*?(0x[0-9a-f]+)", text) if int(to, 16) < at]
    loops = [Counter(text.split()[0].split(".")[0] for at, text in lines if low <= at <= high) for low, high in backward]
    return max(loops, key=lambda loop: loop["MUFU"] / loop.total())


def compile_all(runs: int) -> list[dict[str, Any]]:
    """Every variant: what ptxas gives it, and instructions that a thread issues for each of its pairs."""
    rows = []
    for table, steps in VARIANTS.items():
        for step in steps:
            kernel = compiled(step, table)
            loop, pairs = instructions(kernel), step.rows * step.keys / (32 * step.num_warps)
            found = resources(kernel, 90) | {"instructions_a_pair": round(loop.total() / pairs, 2)}
            rows.append({"table": table, "step": tuple(step)} | found | {"loop": dict(loop.most_common(12))})
            print(*list(rows[-1].values())[:-1], flush=True)
    return rows


def main() -> None:
    """Run the part asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["compile", "cost", "tune"])
    parser.add_argument("--runs", type=int, default=7)
    chosen = parser.parse_args()
    torch.manual_seed(0)
    found = {"compile": compile_all, "cost": cost, "tune": tune}[chosen.part](chosen.runs)
    write(
        f"lens_gpu_{chosen.part}",
        {
            "question": "what all statistics of the lens cost on a GPU",
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "none: compiled for sm_90",
            "settings": {"batch": 1, "heads": HEADS, "head_dim": DIM, "dtype": "bfloat16", "mask": "causal", "top_keys": 1},
            "results": found,
        },
    )


if __name__ == "__main__":
    main()
