"""How fast a Transformer of ours trains, beside Marian of transformers, and translates, beside M2M-100 and CTranslate2.

    python benchmarks/translation_speed.py DATA_FOLDER RUN [--sentences 200] [--steps 12] [--rounds 3]

Training, at the sizes of RUN: ours as `regard train` does it (batches of like lengths, mixed precision where the processor has
instructions for it); Marian in a plain loop over shuffled batches of as many sentences, padded as they come, in float32, and
once more in the same mixed precision. Translating: RUN, a trained Transformer, searches with a beam of 5 over sentences of the
dev file, 64 at once. Its own weights are put into M2M-100, which has the same layers, for `generate`, and into CTranslate2; how
many of the sentences all say alike is told. They take turns in one process; benchmarks/results/translation_speed.json has the
medians.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import torch
from common import train_step, write
from torch import Tensor

from regard.data.batching import Batches
from regard.models.options import TranslatorOptions
from regard.tasks.folder import Run, load_run
from regard.tasks.subwords import END, PADDING, START

BEAM = 5


def sizes_of(options: TranslatorOptions, num_tokens: int) -> dict[str, Any]:
    """In the words of transformers."""
    sides = {"layers": options.num_layers, "attention_heads": options.num_heads, "ffn_dim": options.d_feedforward}
    return {
        "vocab_size": num_tokens,
        "d_model": options.d_model,
        **{f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in sides.items()},
        "pad_token_id": PADDING,
        "eos_token_id": END,
        "bos_token_id": START,
        "forced_eos_token_id": None,
        "decoder_start_token_id": START,
        "dropout": options.dropout,
        "activation_function": "gelu",
        "scale_embedding": True,
        "max_position_embeddings": 512,
    }


def marian(options: TranslatorOptions, num_tokens: int) -> Any:
    """Of the same sizes."""
    from transformers import MarianConfig, MarianMTModel, logging

    logging.set_verbosity_error()
    return MarianMTModel(MarianConfig(**sizes_of(options, num_tokens), share_encoder_decoder_embeddings=True))


def m2m100(run: Run) -> Any:
    """With the weights of a run: its layers are the same, norms before each, and a last one."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration

    ours, options = run.model, run.task.model
    model = M2M100ForConditionalGeneration(M2M100Config(**sizes_of(options, len(run.encoder.source)))).eval()
    with torch.no_grad():
        model.model.shared.weight.copy_(ours.target.weight)
        model.lm_head = torch.nn.Linear(options.d_model, len(run.encoder.source))
        model.lm_head.weight.copy_(ours.target.weight)
        model.lm_head.bias.copy_(ours.bias)
        for theirs, stack in ((model.model.encoder, ours.encoder), (model.model.decoder, ours.decoder)):
            table = theirs.embed_positions.weights
            table.zero_()
            table[1:] = stack.position.embed(torch.zeros(1, len(table) - 1, options.d_model))[0]  # its first position is 1
            theirs.layer_norm.load_state_dict(stack.norm.state_dict())
            for filled, layer in zip(theirs.layers, stack.layers, strict=True):
                fill_layer(filled, layer)
    return model


def fill_layer(filled: Any, layer: Any) -> None:
    """One layer of M2M-100 with the weights of one of ours."""
    pairs = [(filled.self_attn, layer.attention, filled.self_attn_layer_norm, layer.attention_norm)]
    if layer.look is not None:
        pairs.append((filled.encoder_attn, layer.look, filled.encoder_attn_layer_norm, layer.look_norm))
    for theirs, own, their_norm, own_norm in pairs:
        for name, part in (("q_proj", own.query), ("k_proj", own.key), ("v_proj", own.value), ("out_proj", own.out)):
            getattr(theirs, name).load_state_dict(part.state_dict())
        their_norm.load_state_dict(own_norm.state_dict())
    filled.fc1.load_state_dict(layer.feedforward.up.state_dict())
    filled.fc2.load_state_dict(layer.feedforward.down.state_dict())
    filled.final_layer_norm.load_state_dict(layer.feedforward_norm.state_dict())


def trained(
    batches: Iterator[dict[str, Tensor]], model: Any, loss_of: Callable[[Any], Tensor], precision: str, steps: int
) -> float:
    """Target tokens a second."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    model.train()
    num_tokens, start = 0, time.perf_counter()
    for _ in range(steps):
        batch = next(batches)
        train_step(model, optimizer, lambda: loss_of(batch), precision)  # noqa: B023, called at once
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


def training(run: Run, examples: list[Any], steps: int) -> dict[str, Callable[[], float]]:
    """What is timed."""
    torch.manual_seed(0)
    task, encoder = run.task, run.encoder
    ours, theirs = task.build(encoder), marian(task.model, len(encoder.source))
    loader = Batches(examples, encoder.collate, 32, length=encoder.length, seed=0, batch_tokens=task.training.batch_tokens)
    own, plain = forever(loader), shuffled(examples, encoder, round(len(examples) / len(loader)))
    return {
        "regard": lambda: trained(own, ours, ours.loss, "auto", steps),
        "marian, plain loop": lambda: trained(plain, theirs, lambda batch: of_marian(theirs, batch), "float32", steps),
        "marian, mixed precision": lambda: trained(plain, theirs, lambda batch: of_marian(theirs, batch), "auto", steps),
    }


Said = list[list[int]]


def translating(run: Run, examples: list[Any], folder: Path) -> dict[str, Callable[[], Said]]:
    """What is timed: each says the tokens of every sentence. Batches have the sentences as they come, but ours as it likes."""
    import ctranslate2

    encoder: Any = run.encoder
    theirs = m2m100(run)
    run.task.export(run, "ctranslate2", folder / "exported")
    translator = ctranslate2.Translator(
        str(folder / "exported"), "cpu", compute_type="float32", intra_threads=torch.get_num_threads()
    )
    tokenizer = encoder.source.tokenizer
    names = [[tokenizer.id_to_token(token) for token in encoder.source_tokens(one.source)] for one in examples]
    batches = [encoder.collate(examples[at : at + 64]) for at in range(0, len(examples), 64)]

    def regard() -> Said:
        return [found[0].tokens for found in run.answers(examples, run.model.predict)]

    @torch.no_grad()
    def transformers() -> Said:
        said: Said = []
        for batch in batches:
            written = theirs.generate(
                input_ids=batch["source"],
                attention_mask=(batch["source"] != PADDING).long(),
                num_beams=BEAM,
                max_new_tokens=int(2 * batch["lengths"].max()) + 10,
                do_sample=False,
                early_stopping=True,
            )
            said += [[token for token in row if token > END] for row in written.tolist()]
        return said

    def ct2() -> Said:
        found = translator.translate_batch(names, beam_size=BEAM, max_batch_size=64)
        return [[tokenizer.token_to_id(token) for token in one.hypotheses[0]] for one in found]

    return {"regard": regard, "transformers generate": transformers, "ctranslate2": ct2}


def per_second(timed: dict[str, Callable[[], Said]], said: dict[str, Said]) -> dict[str, Callable[[], float]]:
    """Sentences a second of each; what they said last is kept in `said`."""

    def of(name: str) -> Callable[[], float]:
        def seconds() -> float:
            start = time.perf_counter()
            said[name] = timed[name]()
            return len(said[name]) / (time.perf_counter() - start)

        return seconds

    return {name: of(name) for name in timed}


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
    parser.add_argument("run")
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    run = load_run(options.run)
    files = run.task.files(options.folder, {})
    trained_at = in_turns(training(run, run.task.read(files.train)[0], options.steps), options.rounds)
    said: dict[str, Said] = {}
    with tempfile.TemporaryDirectory() as folder:
        dev = run.task.read(files.dev)[0][: options.sentences]
        translated_at = in_turns(per_second(translating(run, dev, Path(folder)), said), options.rounds)
    alike = [one == other == third for one, other, third in zip(*said.values(), strict=True)]
    ratios = {
        "training": trained_at["regard"] / trained_at["marian, plain loop"],
        "beam": translated_at["regard"] / translated_at["transformers generate"],
    }
    found = {
        "model": asdict(run.task.model) | {"vocabulary": len(run.encoder.source), "beam": BEAM},
        "threads": torch.get_num_threads(),
        "training_target_tokens_per_second": trained_at,
        "beam_sentences_per_second": translated_at,
        "sentences_said_alike_percent": 100 * sum(alike) / len(alike),
        "ratios": {name: round(value, 2) for name, value in ratios.items()},
    }
    write("translation_speed", found)
    print(found)


if __name__ == "__main__":
    main()
