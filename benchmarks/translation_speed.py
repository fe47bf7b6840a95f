"""How fast a Transformer of ours trains and translates, beside Marian of transformers, and CTranslate2 on the exported model.

    python benchmarks/translation_speed.py DATA_FOLDER [--sentences 200] [--steps 12] [--rounds 3]

All have the same sizes and tokens. Training: ours as `regard train` does it (batches of like lengths, mixed precision where the
processor has instructions for it); Marian in a plain loop over shuffled batches of as many sentences, padded as they come, in
float32, and once more in the same mixed precision. Translating: beam 5, 24 tokens for every sentence, whatever they are, so
that each does the same work. The three take turns in one process; benchmarks/results/translation_speed.json has the medians.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from common import write
from torch import Tensor

from regard.data.batching import Batches
from regard.models.options import PairOptions, SearchOptions, TranslatorOptions
from regard.models.precision import autocast
from regard.models.search import Start, beam_search
from regard.tasks.folder import Run
from regard.tasks.subwords import END, PADDING, START
from regard.tasks.translate.task import Translate

SIZES = {"d_model": 256, "num_layers": 3, "num_heads": 4, "d_feedforward": 1024}
BEAM, LENGTH = 5, 24
CPU = torch.device("cpu")


def marian(num_tokens: int) -> Any:
    """Of the same sizes."""
    from transformers import MarianConfig, MarianMTModel, logging

    logging.set_verbosity_error()
    sides = {"layers": SIZES["num_layers"], "attention_heads": SIZES["num_heads"], "ffn_dim": SIZES["d_feedforward"]}
    return MarianMTModel(
        MarianConfig(
            vocab_size=num_tokens,
            d_model=SIZES["d_model"],
            **{f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in sides.items()},
            pad_token_id=PADDING,
            eos_token_id=END,
            bos_token_id=START,
            forced_eos_token_id=None,
            decoder_start_token_id=START,
            dropout=0.1,
            activation_function="gelu",
            scale_embedding=True,
            share_encoder_decoder_embeddings=True,
            max_position_embeddings=512,
        )
    )


def trained(
    batches: Iterator[dict[str, Tensor]], model: Any, loss_of: Callable[[Any], Tensor], precision: str, steps: int
) -> float:
    """Target tokens a second."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    model.train()
    num_tokens, start = 0, time.perf_counter()
    for _ in range(steps):
        batch = next(batches)
        with autocast(precision, CPU):
            loss = loss_of(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        num_tokens += int((batch["outputs"] != PADDING).sum())
    return num_tokens / (time.perf_counter() - start)


def forever(loader: Any) -> Iterator[dict[str, Tensor]]:
    """Pass after pass."""
    while True:
        yield from loader


def shuffled(examples: list[Any], encoder: Any, size: int) -> Iterator[dict[str, Tensor]]:
    """Batches in any order, padded as they come."""
    while True:
        for rows in torch.randperm(len(examples)).split(size):
            yield encoder.collate([examples[row] for row in rows.tolist()])


def of_marian(model: Any, batch: dict[str, Tensor]) -> Tensor:
    """Its own loss."""
    labels = batch["outputs"].masked_fill(batch["outputs"] == PADDING, -100)
    return model(
        input_ids=batch["source"],
        attention_mask=(batch["source"] != PADDING).long(),
        decoder_input_ids=batch["inputs"],
        labels=labels,
    ).loss


def training(task: Translate, encoder: Any, examples: list[Any], steps: int) -> dict[str, Callable[[], float]]:
    """What is timed."""
    torch.manual_seed(0)
    ours, theirs = task.build(encoder), marian(len(encoder.source))
    loader = Batches(examples, encoder.collate, 32, length=encoder.length, seed=0, batch_tokens=task.training.batch_tokens)
    own, plain = forever(loader), shuffled(examples, encoder, round(len(examples) / len(loader)))
    return {
        "regard": lambda: trained(own, ours, ours.loss, "auto", steps),
        "marian, plain loop": lambda: trained(plain, theirs, lambda batch: of_marian(theirs, batch), "float32", steps),
        "marian, mixed precision": lambda: trained(plain, theirs, lambda batch: of_marian(theirs, batch), "auto", steps),
    }


def translating(task: Translate, encoder: Any, examples: list[Any], folder: Path) -> dict[str, Callable[[], float]]:
    """What is timed: each says how many sentences it does a second."""
    import ctranslate2

    torch.manual_seed(0)
    ours, theirs = task.build(encoder).eval(), marian(len(encoder.source)).eval()
    with torch.no_grad():
        ours.bias[END] = -1e9  # no answer ends before the others
    exported = task.export(Run(task, encoder, ours), "ctranslate2", folder / "exported")
    threads = torch.get_num_threads()
    translator = ctranslate2.Translator(exported["folder"], "cpu", compute_type="float32", intra_threads=threads)
    ordered = sorted(examples, key=encoder.length)
    batches = [encoder.collate(ordered[at : at + 64]) for at in range(0, len(ordered), 64)]
    names = [[encoder.source.tokenizer.id_to_token(token) for token in encoder.source_tokens(one.source)] for one in ordered]

    def regard() -> None:
        with torch.no_grad(), autocast(task.training.precision, CPU):
            for batch in batches:
                start = Start(batch["begun"], torch.full_like(batch["lengths"], LENGTH))
                beam_search(ours.begin(batch), start, END, SearchOptions(BEAM))

    def transformers() -> None:
        with torch.no_grad():
            for batch in batches:
                theirs.generate(
                    input_ids=batch["source"],
                    attention_mask=(batch["source"] != PADDING).long(),
                    num_beams=BEAM,
                    min_new_tokens=LENGTH,
                    max_new_tokens=LENGTH,
                    do_sample=False,
                )

    def ct2() -> None:
        given = {"beam_size": BEAM, "min_decoding_length": LENGTH, "max_decoding_length": LENGTH, "max_batch_size": 64}
        translator.translate_batch(names, **given)

    def timed(run: Callable[[], None]) -> Callable[[], float]:
        def seconds() -> float:
            start = time.perf_counter()
            run()
            return len(ordered) / (time.perf_counter() - start)

        return seconds

    return {"regard": timed(regard), "transformers generate": timed(transformers), "ctranslate2": timed(ct2)}


def in_turns(timed: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median of each, after one round that counts for nothing."""
    found: dict[str, list[float]] = {name: [] for name in timed}
    for number in range(rounds + 1):
        for name, run in timed.items():
            speed = run()
            if number:
                found[name].append(speed)
    return {name: round(median(speeds), 1) for name, speeds in found.items()}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    task = Translate(text=PairOptions(vocabulary=8000), model=TranslatorOptions(**SIZES, dropout=0.1))
    files = task.files(options.folder, {})
    examples = task.read(files.train)[0]
    encoder = task.fit_encoder(examples)
    trained_at = in_turns(training(task, encoder, examples, options.steps), options.rounds)
    with tempfile.TemporaryDirectory() as folder:
        dev = task.read(files.dev)[0][: options.sentences]
        translated_at = in_turns(translating(task, encoder, dev, Path(folder)), options.rounds)
    ratios = {
        "training": trained_at["regard"] / trained_at["marian, plain loop"],
        "beam": translated_at["regard"] / translated_at["transformers generate"],
    }
    write(
        "translation_speed",
        {
            "sizes": {**SIZES, "vocabulary": len(encoder.source), "beam": BEAM, "tokens_each": LENGTH},
            "threads": torch.get_num_threads(),
            "training_target_tokens_per_second": trained_at,
            "beam_sentences_per_second": translated_at,
            "ratios": {name: round(value, 2) for name, value in ratios.items()},
        },
    )
    print(trained_at, translated_at, ratios)


if __name__ == "__main__":
    main()
