"""Watches attention while a model trains: entropy, sink share and logits of each layer, and a warning where one collapses."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from regard.errors import InputError
from regard.lens.record import BROKEN, Lens, Reading
from regard.lens.watch import Watch, watch
from regard.train.callbacks import MONITORED

STATISTICS = "entropy_bits", "evenness", "sink_share", "largest_logit"


class AttentionWarning(UserWarning):
    """A layer's attention looks as if it had collapsed."""


@dataclass(frozen=True)
class Limits:
    """Beyond what a layer is warned of.

    Entropy near 0 goes before divergence: Zhai et al. 2023, arXiv:2303.06296, section 3. At a logit of 50 float16 numbers are
    1/32 apart and bfloat16 numbers 1/4, so that weights computed from scores in them are off by 3 % and 28 %; training that
    diverges was seen with growing logits, Dehghani et al. 2023, arXiv:2302.05442, section 2. A head whose first key takes more
    than nine tenths hands on next to nothing of the rest.
    """

    entropy_bits: float = 0.1
    """A query below it has chosen one key; queries that may look at one key only do not count."""
    share_of_queries: float = 0.9
    """A head of which more queries than this have is told."""
    largest_logit: float = 50.0
    """Told when a reading is above it and above the one before."""
    sink_share: float = 0.9
    """Of the first key, a mean over heads and queries."""


class AttentionMonitor(Callback):
    """Every so many steps, reads the attention of that step's forward pass: `sample` blocks of 64 queries of each call.

    Logs attention/LAYER/entropy_bits (mean over heads), smallest_entropy_bits (of a head), sink_share (of the first key) and
    largest_logit (of the queries that were read), to every logger at its step, and as a mean over the epoch where
    callback_metrics go. Warns once a layer and kind. Weights, outputs and random numbers of the training stay the same.
    """

    def __init__(
        self, every_n_steps: int = 100, sample: int | None = 2, layers: str = "*", limits: Limits | None = None
    ) -> None:
        if every_n_steps < 1:
            raise InputError(f"every_n_steps must be at least 1, got {every_n_steps}.")
        self.every_n_steps, self.sample, self.layers, self.limits = every_n_steps, sample, layers, limits or Limits()
        self._watch: Watch | None = None
        self._lens = Lens()
        self._step_read = -1
        self._is_without_attention = False
        self._logits: dict[str, float] = {}
        self._told: set[tuple[str, str]] = set()

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Look, if it is time."""
        step = trainer.global_step
        if self._is_without_attention or step % self.every_n_steps or step == self._step_read:
            return
        self._step_read = step
        self._watch = watch(module, STATISTICS, layers=self.layers, sample=self.sample, keep=None)
        self._lens = self._watch.__enter__()

    def on_before_backward(self, trainer: Trainer, module: LightningModule, loss: Tensor) -> None:
        """The forward pass is over."""
        if not self._close():
            return
        self._is_without_attention = not self._lens.layers
        found = summary(self._lens)
        for name, value in found.items():
            module.log(name, value, on_step=False, on_epoch=True, logger=False, batch_size=1)
        for logger in trainer.loggers:
            logger.log_metrics(found, step=trainer.global_step)
        for layer in self._lens.layers:
            self._warn(layer, trainer.global_step, {kind: found.get(f"{MONITORED}{layer}/{kind}", math.nan) for kind in KINDS})

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        """A step without a backward pass is let go unread."""
        self._close()

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        """Leave nothing in the model."""
        self._close(exception)

    def _close(self, exception: BaseException | None = None) -> bool:
        """End the watch, if there is one; of a model without attention it warns."""
        watching, self._watch = self._watch, None
        if watching is not None:
            watching.__exit__(None if exception is None else type(exception), exception, None)
        return watching is not None

    def _warn(self, layer: str, step: int, found: dict[str, float]) -> None:
        limits, logit, before = self.limits, found["largest_logit"], self._logits.get(layer, math.inf)
        self._logits[layer] = logit
        if (layer, BROKEN) in self._lens.unseen:
            what = "weights of some of its queries are NaN or infinite"
            self._tell(layer, step, "nan", what, "a lower learning rate, a longer warm-up or clipped gradients")
        settled = [head for head, share in shares_settled(self._lens, layer, limits) if share > limits.share_of_queries]
        if settled:
            what = f"head {settled[0]} looks at one key in more than {limits.share_of_queries:.0%} of queries"
            self._tell(layer, step, "entropy", what, "a lower learning rate, QK-norm or an entropy floor")
        if logit > limits.largest_logit and logit > before:
            what = f"its largest logit grew from {before:.0f} to {logit:.0f}, more than half precision holds well"
            self._tell(layer, step, "logit", what, "QK-norm, a softcap or a lower learning rate")
        if found["sink_share"] > limits.sink_share:
            what = f"{found['sink_share']:.0%} of its weight goes to the first key"
            self._tell(layer, step, "sink", what, "a softmax with a sink of its own, or a sink penalty")

    def _tell(self, layer: str, step: int, kind: str, what: str, advice: str) -> None:
        if (layer, kind) not in self._told:
            self._told.add((layer, kind))
            warnings.warn(f"{layer} at step {step}: {what}. What may help: {advice}.", AttentionWarning, stacklevel=1)


KINDS = "entropy_bits", "smallest_entropy_bits", "sink_share", "largest_logit"


def summary(lens: Lens) -> dict[str, float]:
    """What is logged of each layer, by name; what a mechanism does not have is left out."""
    found = {}
    for layer, means in lens.head_means().items():
        found[f"{MONITORED}{layer}/entropy_bits"] = float(means["entropy_bits"].mean())
        found[f"{MONITORED}{layer}/smallest_entropy_bits"] = float(means["entropy_bits"].min())
        found[f"{MONITORED}{layer}/sink_share"] = float(means["sink_share"].mean())
        logits = [reading.statistics.values.get("largest_logit") for reading in lens.calls(layer)]
        known = [logit.max() for logit in logits if logit is not None]
        if known:
            found[f"{MONITORED}{layer}/largest_logit"] = float(torch.stack(known).max())
    return found


def shares_settled(lens: Lens, layer: str, limits: Limits) -> list[tuple[int, float]]:
    """Of each head, the share of queries whose entropy is near 0, of those that were read and may look at several keys."""
    settled = counted = torch.zeros(())
    for reading in lens.calls(layer):
        statistics = reading.statistics
        counts = statistics.is_live & ~statistics.evenness.isnan() & _is_read(reading)
        counted = counted + counts.sum((0, 2))
        settled = settled + (counts & (statistics.entropy_bits < limits.entropy_bits)).sum((0, 2))
    return list(enumerate((settled / counted.clamp(min=1)).tolist()))


def _is_read(reading: Reading) -> Tensor:
    """Which queries were read."""
    is_read = torch.full(reading.shape[2:3], reading.sample is None)
    for rows in () if reading.sample is None else reading.sample.rows:
        is_read[rows.start : rows.stop] = True
    return is_read
