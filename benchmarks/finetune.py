"""How fast is a pretrained encoder fine-tuned for entities, beside a plain transformers loop?

    python benchmarks/finetune.py ENCODER TRAIN.conll [--rounds 5] [--steps 20]

Both take the same batches of 32 sentences in the same process: first so many steps of the one, then of the other, in turn. The
plain loop is the usual one: AutoModelForTokenClassification in float32, sentences in the order they come, padded to the longest
of their batch, AdamW. Ours is `regard train ner --encoder.path ENCODER`: batches of like length, bfloat16 where the processor
has it, locked dropout, characters and a recurrent layer and a CRF on top.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import torch
from common import spread, write

from regard.data.batching import Batches
from regard.data.entities import read_entities
from regard.data.sentence import Sentence
from regard.models.options import EncoderOptions
from regard.models.precision import autocast
from regard.tasks.ner.task import Ner

BATCH_SIZE = 32


def plain_loop(path: str, sentences: list[Sentence]) -> Callable[[int], int]:
    """Runs so many steps; returns the words that went through."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    tags = sorted({tag for sentence in sentences for tag in sentence.tags or ()})
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForTokenClassification.from_pretrained(path, num_labels=len(tags)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    order = sentences.copy()
    random.Random(0).shuffle(order)
    batches = cycle([order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)])

    def run(steps: int) -> int:
        words = 0
        for _ in range(steps):
            batch = next(batches)
            given = tokenizer(
                [list(sentence.tokens) for sentence in batch],
                is_split_into_words=True,
                padding=True,
                truncation=True,
                return_tensors="pt",
            )
            labels = torch.full_like(given["input_ids"], -100)
            for row, sentence in enumerate(batch):
                before = None
                for place, word in enumerate(given.word_ids(row)):
                    if word is not None and word != before:
                        labels[row, place] = tags.index((sentence.tags or ())[word])
                    before = word
            model(**given, labels=labels).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            words += sum(len(sentence.tokens) for sentence in batch)
        return words

    return run


def ours(path: str, sentences: list[Sentence]) -> Callable[[int], int]:
    """The same for our task: what `regard train ner` does at each step."""
    task = Ner(encoder=EncoderOptions(path=path))
    encoder = task.fit_encoder(sentences)
    model = task.build(encoder).train()
    task.load_pretrained(model)
    optimizer = torch.optim.AdamW(model.parameter_groups(), lr=task.training.learning_rate, fused=True)
    batches = _passes(Batches(sentences, encoder.collate, BATCH_SIZE, length=encoder.length, seed=0))

    def run(steps: int) -> int:
        words = 0
        for _ in range(steps):
            batch = next(batches)
            with autocast(task.training.precision, torch.device("cpu")):
                loss = model.loss(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), task.training.max_gradient_norm)
            optimizer.step()
            optimizer.zero_grad()
            words += int(batch["lengths"].sum())
        return words

    return run


def _passes(batches: Batches) -> Iterator[dict[str, torch.Tensor]]:
    while True:
        yield from batches


def main() -> None:
    """Alternate, and write the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder")
    parser.add_argument("train", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    sentences = read_entities(options.train)[0]
    runs = {"transformers": plain_loop(options.encoder, sentences), "regard": ours(options.encoder, sentences)}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run(3)
    for _ in range(options.rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            words = run(options.steps)
            rates[name].append(words / (time.perf_counter() - start))
    ratios = [mine / theirs for mine, theirs in zip(rates["regard"], rates["transformers"], strict=True)]
    result = {f"{name}_words_per_second": spread(found) for name, found in rates.items()}
    question = "fine-tuning a 22.7 M encoder for entities, batches of 32, words a second in training"
    print(write("finetune", {"question": question, "threads": torch.get_num_threads(), **result, "ratio": spread(ratios)}))


if __name__ == "__main__":
    main()
