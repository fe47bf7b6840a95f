"""What does it cost to see where a model looks, and up to which length do the tools for it go?

python benchmarks/lens.py [--part cost|reach] [--runs 7]

cost: a causal attention call watched and not, alternating; with all statistics, with 8 top keys, sampled, and by the explicit
pass that serves where there is no C compiler; and memory beyond the model's own. reach: the same two-layer GPT-2 with random
weights, read by each tool in a process of its own at doubling lengths, until it needs more than 8 GB or 200 s. The peers are
read where they are installed: pip install transformers bertviz transformer_lens. Results: benchmarks/results/lens_<part>.json.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from common import spread, write
from torch import nn
from torch.nn import functional as F

from regard.attention import ScaledDot, causal
from regard.attention.call import Call
from regard.lens.measure import measure
from regard.lens.statistics import Wanted
from regard.lens.watch import watch

HEADS, HEAD_DIM = 8, 64
SAMPLE = 2
MOST_MB, MOST_SECONDS = 8192, 200
LENGTHS = [2**power for power in range(9, 17)]


class Attention(nn.Module):
    """A model that is one call of the fused kernel."""

    def forward(self, query, key, value):
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)


def watched(vectors: tuple[torch.Tensor, ...], **options: Any) -> Callable[[], Any]:
    """A pass of the model with the lens on."""
    model = Attention()

    def run() -> Any:
        with watch(model, **options) as lens:
            model(*vectors)
        assert lens.layers == ["Attention"]
        return lens

    return run


def cost(runs: int) -> dict[str, Any]:
    """Times of the pass watched over the pass alone."""
    results = []
    for length in (4096, 16384):
        torch.manual_seed(0)
        vectors = tuple(torch.randn(1, HEADS, length, HEAD_DIM) for _ in range(3))
        ways = {
            "all statistics": watched(vectors),
            "all statistics, 8 top keys": watched(vectors, statistics=Wanted(top_keys=8)),
            f"sample of {SAMPLE} blocks of 64 queries": watched(vectors, sample=SAMPLE),
        }
        call = Call(ScaledDot(), *vectors, causal)
        fallback = {"explicit pass, without a C compiler": lambda call=call: measure(call, way="explicit")}
        results += timed(f"causal, N={length}", lambda vectors=vectors: Attention()(*vectors), ways, fallback, runs)
    return {"heads": HEADS, "head_dim": HEAD_DIM, "dtype": "float32", "results": results, "memory": memory()}


def timed(case: str, plain: Callable[[], Any], ways: dict, fallback: dict, runs: int) -> list[dict[str, Any]]:
    """The plain pass and each way in turn; a fallback is a reading alone, to which the plain pass is added."""
    times: dict[str, list[float]] = {name: [] for name in ["plain", *ways, *fallback]}
    with torch.no_grad():
        for run in (plain, *ways.values()):
            run()
        for _ in range(runs):
            for name, run in ways.items():
                times["plain"].append(seconds(plain))
                times[name].append(seconds(run))
        for _ in range(max(1, runs // 3)):
            for name, run in fallback.items():
                times[name].append(seconds(plain) + seconds(run))
    base = spread(times.pop("plain"))
    lines = [{"case": case, "way": "plain", "seconds": base, "time_ratio": 1.0}]
    for name, found in times.items():
        middle = spread(found)
        lines.append({"case": case, "way": name, "seconds": middle, "time_ratio": middle["median"] / base["median"]})
    for line in lines:
        print(
            f"{line['case']:<18} {line['way']:<40} {1e3 * line['seconds']['median']:9.1f} ms  {line['time_ratio']:.3f}",
            flush=True,
        )
    return lines


def seconds(run: Callable[[], Any]) -> float:
    """Of one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def memory() -> dict[str, Any]:
    """Most memory that reading adds to a call over 32,768 positions; writing the matrix out would take 34 GB."""
    length = 32768
    vectors = tuple(torch.randn(1, HEADS, length, HEAD_DIM) for _ in range(3))
    short = tuple(x[:, :, :256] for x in vectors)
    watched(short)()
    call = Call(ScaledDot(), *vectors, causal)
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = status_mb("self", "VmRSS")
    measure(call)
    extra = status_mb("self", "VmHWM") - before
    print(f"memory, N={length}: {extra:.0f} MB more", flush=True)
    return {"length": length, "extra_mb": extra, "matrix_mb": HEADS * length**2 * 4 / 2**20}


def status_mb(process: str, name: str) -> float:
    """A figure of /proc/<process>/status."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0


def gpt2(length: int, implementation: str) -> Any:
    """Two layers, eight heads of 64, random weights."""
    from transformers import GPT2Config, GPT2Model

    torch.manual_seed(0)
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    config = GPT2Config(vocab_size=1000, n_positions=length, n_embd=512, n_layer=2, n_head=HEADS, use_cache=False, **ends)
    return GPT2Model._from_config(config, attn_implementation=implementation).eval()


def tokens(length: int) -> torch.Tensor:
    """Any text will do."""
    return torch.randint(1000, (1, length), generator=torch.Generator().manual_seed(0))


def with_regard(length: int) -> None:
    """All statistics of all heads, and the page."""
    from regard.viewer.picture import Picture
    from regard.viewer.report import render

    model = gpt2(length, "sdpa")
    with watch(model) as lens:
        model(tokens(length))
    assert len(lens) == 2
    render([Picture.of(lens, "random", [str(i) for i in range(length)])], title="reach")


def with_transformers(length: int) -> None:
    """The matrices that output_attentions gives."""
    out = gpt2(length, "eager")(tokens(length), output_attentions=True)
    assert len(out.attentions) == 2


def with_bertviz(length: int) -> None:
    """The page of head_view."""
    from bertviz import head_view

    out = gpt2(length, "eager")(tokens(length), output_attentions=True)
    head_view(out.attentions, [str(i) for i in range(length)], html_action="return")


def with_transformer_lens(length: int) -> None:
    """The patterns in the cache; a model reaches it through a folder with a tokenizer."""
    from tokenizers import Tokenizer, models
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({str(number): number for number in range(1000)}, "0"))
    with tempfile.TemporaryDirectory() as folder:
        GPT2LMHeadModel(gpt2(length, "eager").config).save_pretrained(folder)
        specials = dict.fromkeys(("bos_token", "eos_token", "pad_token", "unk_token"), "0")
        PreTrainedTokenizerFast(tokenizer_object=words, **specials).save_pretrained(folder)
        model = TransformerBridge.boot_transformers(folder)
    _, cache = model.run_with_cache(tokens(length), names_filter=lambda name: name.endswith("pattern"))
    assert len(cache) == 2


TOOLS = {
    "regard": (with_regard, "torch"),
    "transformers, eager, output_attentions": (with_transformers, "transformers"),
    "TransformerLens, patterns in the cache": (with_transformer_lens, "transformer_lens"),
    "BertViz, head_view": (with_bertviz, "bertviz"),
}


def reach() -> dict[str, Any]:
    """Seconds and memory of each tool at each length, until it fails."""
    results = []
    for name, (_, package) in TOOLS.items():
        if find_spec(package) is None or find_spec("transformers") is None:
            print(f"{name}: {package} is not installed", flush=True)
            continue
        for length in LENGTHS:
            found = {"tool": name, "length": length, **alone(name, length)}
            results.append(found)
            print(json.dumps(found), flush=True)
            if found["end"] != "done":
                break
    versions = {one: version(one) for one in ("transformers", "bertviz", "transformer-lens") if _is_there(one)}
    return {"peers": versions, "most_mb": MOST_MB, "most_seconds": MOST_SECONDS, "results": results}


def alone(name: str, length: int) -> dict[str, Any]:
    """A tool in a process of its own, watched from outside."""
    start, peak = time.perf_counter(), 0.0
    command = [sys.executable, __file__, "--tool", name, "--length", str(length)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    end = ""
    while process.poll() is None and not end:
        time.sleep(0.02)
        peak = max(peak, status_mb(str(process.pid), "VmHWM")) if Path(f"/proc/{process.pid}").exists() else peak
        passed = time.perf_counter() - start
        end = (
            f"needs more than {MOST_MB} MB"
            if peak > MOST_MB
            else f"needs more than {MOST_SECONDS} s"
            if passed > MOST_SECONDS
            else ""
        )
    process.kill()
    told = (process.communicate()[1] or "").strip().splitlines()
    fault = told[-1][-200:] if told and process.returncode not in (0, -9) else ""
    return {"end": end or fault or "done", "seconds": round(time.perf_counter() - start, 2), "peak_mb": round(peak)}


def _is_there(distribution: str) -> bool:
    try:
        return bool(version(distribution))
    except ModuleNotFoundError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--part", choices=["cost", "reach"], default="cost")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--tool", choices=TOOLS)
    parser.add_argument("--length", type=int)
    options = parser.parse_args()
    if options.tool:
        with torch.no_grad():
            TOOLS[options.tool][0](options.length)
        return
    found = cost(options.runs) if options.part == "cost" else reach()
    print(write(f"lens_{options.part}", found))


if __name__ == "__main__":
    main()
