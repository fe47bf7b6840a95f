"""A task's model as Lightning trains it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from regard.data.batching import Batches
from regard.models.precision import autocast
from regard.tasks.folder import Run


class NotFinite(Exception):
    """The loss is no number any more."""

    def __init__(self, num_steps: int) -> None:
        super().__init__(f"after {num_steps} steps")
        self.num_steps = num_steps


class TaskModule(LightningModule):
    """Loss on training batches, the task's own score on dev; knows the task protocol and no task."""

    def __init__(self, run: Run, dev: Sequence[Any], num_steps: int, spent: Callable[[], float]) -> None:
        """`spent` is the share of the time given that is over, 0 where there is no limit."""
        super().__init__()
        self.task, self.encoder, self.model, self.dev, self.spent = run.task, run.encoder, run.model, dev, spent
        # The trainer's own estimate sets the loaders up before a checkpoint is read, and their state would be lost.
        self.num_steps = num_steps
        self.predictions: list[Any] = []
        self.remark = ""

    @property
    def monitored(self) -> str:
        """Name under which the dev score is logged."""
        return f"dev_{self.task.metric}"

    def sheet(self) -> bytes:
        """What the model makes by now, to be seen."""
        return self.task.samples(Run(self.task, self.encoder, self.model))

    def dev_batches(self) -> Batches:
        """The dev examples, each batch with their numbers, so that predictions find their place again."""

        def collate(numbers: list[int]) -> dict[str, Tensor]:
            return {"number": torch.tensor(numbers), **self.encoder.collate([self.dev[i] for i in numbers])}

        return Batches(range(len(self.dev)), collate, 64, length=lambda i: self.encoder.length(self.dev[i]))

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """One step."""
        with autocast(self.task.training.precision, self.device):
            loss = self.model.loss(batch)
        if not loss.isfinite():
            raise NotFinite(self.trainer.global_step)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the last pass. Weights that are no numbers must not be scored, much less kept."""
        if not all(parameter.isfinite().all() for parameter in self.model.parameters()):
            raise NotFinite(self.trainer.global_step)
        self.predictions = [None] * len(self.dev)

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        """Predict a batch of dev."""
        with autocast(self.task.training.precision, self.device):
            predictions = self.model.estimate(batch)
        for i, raw in zip(batch["number"].tolist(), predictions, strict=True):
            self.predictions[i] = self.task.decode(self.encoder, self.dev[i], raw)

    def on_validation_epoch_end(self) -> None:
        """Score all of dev at once."""
        score = self.task.dev_score(self.dev, self.predictions)
        self.remark = self.task.remark(score)
        self.log(self.monitored, float(score[self.task.metric]), batch_size=1)

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW; a warm-up in a tenth of all steps at most, then a cosine down to zero at the last or the end of the time."""
        options = self.task.training
        warm_up = min(options.warm_up, max(1, self.num_steps // 10))
        optimizer = torch.optim.AdamW(
            [_with_rate(group, options.learning_rate) for group in self.model.parameter_groups()],
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            betas=(0.9, 0.99),
            fused=True,
        )

        def share(step: int) -> float:
            done = min(1.0, max(step / self.num_steps, self.spent()))
            return min(1.0, (step + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * done))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _with_rate(group: dict[str, Any], rate: float) -> dict[str, Any]:
    """A group that learns so many times as fast as the rest has a rate of its own."""
    share = group.pop("rate", None)
    return group if share is None else {**group, "lr": rate * share}
