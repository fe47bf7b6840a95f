"""How many pictures a second a classifier trains on and predicts, beside a plain PyTorch loop over the same network.

    python benchmarks/picture_speed.py DATA_FOLDER [--batch 64] [--steps 20] [--rounds 5] [-- OPTION ...]

Ours is `regard train classify`: pictures in memory, moved by one affine map each and mirrored, a whole batch at a time. The
plain loop is the usual one: a Dataset of pictures in memory that are shifted and mirrored one by one, a DataLoader without
workers, the same network, AdamW and mixed precision. Predicting has no changes. They take turns in one process; medians are in
benchmarks/results/picture_speed_NAME.json, NAME being the folder's, with the share of ours that went into making batches.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from common import spread, train_step, write
from jsonargparse import ArgumentParser
from torch import Tensor
from torch.nn.functional import cross_entropy, pad
from torch.utils.data import DataLoader, Dataset

from regard.data.batching import Batches
from regard.models.precision import autocast
from regard.tasks.classify.task import Classify
from regard.tasks.folder import Run

CPU = torch.device("cpu")
SHIFT = 0.1


class Plain(Dataset[tuple[Tensor, int]]):
    """Pictures, each changed by itself."""

    def __init__(self, values: list[Tensor], numbers: list[int], *, is_training: bool) -> None:
        self.values, self.numbers, self.is_training = values, numbers, is_training

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        picture = self.values[place].float() / 255
        if self.is_training:
            size = picture.shape[1]
            most = round(SHIFT * size)
            top, left = torch.randint(2 * most + 1, (2,)).tolist()
            picture = pad(picture, (most, most, most, most))[:, top : top + size, left : left + size]
            picture = picture.flip(2) if torch.rand(()) < 0.5 else picture
        return (picture - 0.5) / 0.5, self.numbers[place]


def forever(loader: Any) -> Iterator[Any]:
    """Pass after pass."""
    while True:
        yield from loader


def trained(batches: Iterator[Any], model: Any, loss_of: Callable[[Any], Tensor], steps: int) -> tuple[float, float]:
    """Pictures a second, and the share of the time that making batches took."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    model.train()
    making, count, start = 0.0, 0, time.perf_counter()
    for _ in range(steps):
        before = time.perf_counter()
        batch = next(batches)
        making += time.perf_counter() - before
        train_step(model, optimizer, lambda: loss_of(batch), "auto")  # noqa: B023, called at once
        count += len(next(iter(batch.values())) if isinstance(batch, dict) else batch[0])
    seconds = time.perf_counter() - start
    return count / seconds, making / seconds


def predicted(work: Callable[[], object], count: int) -> float:
    """Pictures a second."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def plain_predictions(loader: Any, model: Any) -> None:
    """As one does it."""
    model.eval()
    with torch.no_grad(), autocast("auto", CPU):
        for pixels, _ in loader:
            model(pixels).float().softmax(1).argmax(1).tolist()


def measure(task: Classify, folder: str, options: argparse.Namespace) -> dict[str, Any]:
    """Rounds of both, in turn."""
    examples, _ = task.read(next(path for _, path in task.files(folder, {}).items()))
    examples = examples[: options.batch * options.steps]
    encoder: Any = task.fit_encoder(examples)
    torch.manual_seed(0)
    run = Run(task, encoder, task.build(encoder))
    model: Any = run.model
    training, scored = (task.cut(encoder, examples, is_training=is_training) for is_training in (True, False))
    numbers = [encoder.numbers[one.label] for one in examples]
    values = [encoder.viewer.values_of(view) for view in scored]
    own = forever(Batches(training, encoder.collate, options.batch, length=encoder.length, seed=0))
    plain = forever(DataLoader(Plain(values, numbers, is_training=True), options.batch, shuffle=True))
    unchanged = DataLoader(Plain(values, numbers, is_training=False), task.at_once)

    def plain_loss(batch: Any) -> Tensor:
        return cross_entropy(model(batch[0]).float(), batch[1])

    found: dict[str, list[float]] = {name: [] for name in ("train", "train plain", "making", "predict", "predict plain")}
    for _ in range(options.rounds + 1):
        speed, making = trained(own, model, model.loss, options.steps)
        found["train"].append(speed)
        found["making"].append(making)
        found["train plain"].append(trained(plain, model, plain_loss, options.steps)[0])
        found["predict"].append(predicted(lambda: run.predict(scored), len(scored)))
        found["predict plain"].append(predicted(lambda: plain_predictions(unchanged, model), len(scored)))
    kept = {name: spread(one[1:]) for name, one in found.items()}  # the first round warms up
    middle = {name: one["median"] for name, one in kept.items()}
    return {
        "parameters": sum(one.numel() for one in model.parameters()),
        "sizes": {"pixels": encoder.viewer.size, "channels": encoder.viewer.channels, "batch": options.batch},
        "threads": torch.get_num_threads(),
        "train_pictures_per_second": {"regard": kept["train"], "plain loop": kept["train plain"]},
        "predict_pictures_per_second": {"regard": kept["predict"], "plain loop": kept["predict plain"]},
        "share_of_making_batches": kept["making"],
        "ratios": {"train": middle["train"] / middle["train plain"], "predict": middle["predict"] / middle["predict plain"]},
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("more", nargs="*", help="options of the task, behind --")
    options = parser.parse_args()
    choices = ArgumentParser()
    choices.add_class_arguments(Classify, "task")
    given = [word.replace("--", "--task.", 1) if word.startswith("--") else word for word in options.more]
    task = choices.instantiate(choices.parse_args(given)).task
    result = {"question": " ".join(["classify", *options.more]), **measure(task, options.folder, options)}
    write(f"picture_speed_{Path(options.folder).name}", result)
    print(result)


if __name__ == "__main__":
    main()
