"""How fast 1,000 tokens are written, beside GPT-2 of transformers with its cache, and without one, as nanoGPT samples.

    python benchmarks/generation_speed.py [--tokens 1000] [--rounds 3]

All have 6 layers, 6 heads, 384 channels, 65 characters and a context of 256, and fresh weights: which characters come costs
nothing. Ours goes on behind its context by reading the last half again. GPT-2 with a cache writes as far as its positions go,
so it is given as many as are written; without one, every token is a full pass over the last 256, as nanoGPT's sampling does it.
Ours is also timed layer by layer, as it writes with a mechanism that `Decoder` does not know, or while somebody watches.
They take turns in one process; benchmarks/results/generation_speed.json has the medians.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from common import write

from regard.models.language import Language
from regard.models.options import LanguageOptions, WritingOptions
from regard.models.transformer_language import TransformerLanguage

CHARACTERS, CONTEXT = 65, 256
SIZES = {"d_model": 384, "num_layers": 6, "num_heads": 6, "d_feedforward": 1536}


def gpt2(positions: int, sizes: dict[str, int] = SIZES) -> Any:
    """Of the same sizes."""
    from transformers import GPT2Config, GPT2LMHeadModel, logging

    logging.set_verbosity_error()
    sides = {"n_embd": sizes["d_model"], "n_layer": sizes["num_layers"], "n_head": sizes["num_heads"]}
    ends = {"bos_token_id": None, "eos_token_id": None}
    return GPT2LMHeadModel(GPT2Config(vocab_size=CHARACTERS, n_positions=positions, **sides, **ends))


def cached(model: Any, num_tokens: int) -> None:
    """By its own `generate`."""
    given = torch.zeros(1, 1, dtype=torch.long)
    model.generate(
        given, attention_mask=torch.ones_like(given), do_sample=True, max_new_tokens=num_tokens, min_new_tokens=num_tokens
    )


@torch.no_grad()
def uncached(model: Any, num_tokens: int) -> None:
    """A full pass over the last context for each token."""
    written = torch.zeros(1, 1, dtype=torch.long)
    for _ in range(num_tokens):
        shares = model(written[:, -CONTEXT:], use_cache=False).logits[:, -1].softmax(1)
        written = torch.cat([written, torch.multinomial(shares, 1)], 1)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    num_tokens = options.tokens
    torch.manual_seed(0)
    writing = WritingOptions(temperature=1.0, max_tokens=num_tokens)
    ours, layered = (TransformerLanguage(Language(CHARACTERS, CONTEXT), LanguageOptions(**SIZES), writing).eval() for _ in "ab")
    layered.body.register_forward_hook(lambda *_: None)
    long, short = gpt2(num_tokens + 1).eval(), gpt2(CONTEXT).eval()
    timed: dict[str, Callable[[], object]] = {
        "regard": lambda: list(ours.write([1])),
        "regard, layer by layer": lambda: list(layered.write([1])),
        "gpt-2, cached": lambda: cached(long, num_tokens),
        "gpt-2, no cache": lambda: uncached(short, num_tokens),
    }
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(options.rounds):
        for name, run in timed.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    speeds = {name: round(num_tokens / median(found), 1) for name, found in seconds.items()}
    ratios = {name: round(speeds["regard"] / speed, 2) for name, speed in speeds.items() if name != "regard"}
    sizes = {**SIZES, "characters": CHARACTERS, "context": CONTEXT, "tokens": num_tokens}
    write(
        "generation_speed", {"sizes": sizes, "threads": torch.get_num_threads(), "tokens_per_second": speeds, "ratios": ratios}
    )
    print(speeds, ratios)


if __name__ == "__main__":
    main()
