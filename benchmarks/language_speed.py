"""How fast a Transformer of ours learns a language, beside GPT-2 of transformers in a plain loop.

    python benchmarks/language_speed.py [--steps 20] [--rounds 5]

Both have the same sizes (two of them: nanoGPT's for a CPU, and one four times as wide and long), 65 characters and the same
random rows. Ours trains as `regard train generate` does, in mixed precision where the processor has instructions for it; GPT-2
in float32, and once more in the same mixed precision. They take turns in one process; benchmarks/results/language_speed.json
has tokens a second.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from common import spread, train_step, write
from generation_speed import CHARACTERS, gpt2
from torch import Tensor

from regard.models.language import Language
from regard.models.options import LanguageOptions, WritingOptions
from regard.models.transformer_language import TransformerLanguage

SIZES = {
    "4 x 128, context 64": ({"d_model": 128, "num_layers": 4, "num_heads": 4, "d_feedforward": 512}, 64, 12),
    "6 x 256, context 256": ({"d_model": 256, "num_layers": 6, "num_heads": 4, "d_feedforward": 1024}, 256, 16),
}
"""Sizes, context, rows of a batch."""


def trained(model: Any, loss_of: Callable[[Tensor], Tensor], rows: list[Tensor], precision: str) -> float:
    """Tokens a second."""

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    model.train()
    start = time.perf_counter()
    for batch in rows:
        train_step(model, optimizer, lambda: loss_of(batch), precision)  # noqa: B023, called at once
    return sum(batch.shape[0] * (batch.shape[1] - 1) for batch in rows) / (time.perf_counter() - start)


def measure(sizes: dict[str, int], context: int, batch: int, options: argparse.Namespace) -> dict[str, Any]:
    """Rounds of all three, in turn."""
    torch.manual_seed(0)
    ours = TransformerLanguage(Language(CHARACTERS, context), LanguageOptions(**sizes), WritingOptions())
    theirs = gpt2(context, sizes)
    rows = [torch.randint(CHARACTERS, (batch, context + 1)) for _ in range(options.steps)]
    lengths = torch.full((batch,), context)

    def our_loss(tokens: Tensor) -> Tensor:
        return ours.loss({"tokens": tokens, "lengths": lengths})

    def their_loss(tokens: Tensor) -> Tensor:
        return theirs(input_ids=tokens[:, :-1], labels=tokens[:, :-1]).loss  # it shifts by itself; one token fewer is scored

    timed = {
        "regard": lambda: trained(ours, our_loss, rows, "auto"),
        "gpt-2, plain loop": lambda: trained(theirs, their_loss, rows, "float32"),
        "gpt-2, mixed precision": lambda: trained(theirs, their_loss, rows, "auto"),
    }
    speeds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(options.rounds + 1):
        for name, run in timed.items():
            speeds[name].append(run())
    kept = {name: spread(found[1:]) for name, found in speeds.items()}  # the first round warms up
    ratios = {name: kept["regard"]["median"] / one["median"] for name, one in kept.items() if name != "regard"}
    return {"tokens_per_second": kept, "ratios": ratios}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found = {name: measure(*given, options) for name, given in SIZES.items()}
    write("language_speed", {"threads": torch.get_num_threads(), "sizes": found})
    print({name: one["ratios"] for name, one in found.items()})


if __name__ == "__main__":
    main()
