"""What happens beside the steps: progress, the log, interruption, exact resuming."""

from __future__ import annotations

import csv
import io
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, WeightAveraging
from torch import Tensor, nn

from regard.data.batching import Batches
from regard.errors import InputError, Interrupted
from regard.tasks.folder import create, write
from regard.tasks.progress import bar, clock, figure, named
from regard.tasks.task import Task
from regard.train.module import NotFinite, TaskModule

PERSISTENT = 2
"""Scores in a row of which the same has to be remarked before it is told: at first, nothing is as it will be."""
SECONDS_UNSAVED = 600
"""So much of a long pass may be lost at most."""
MONITORED = "attention/"
"""How the names begin of what an attention monitor logs."""


class RandomState(Callback):
    """Keeps torch's random state and the place among the batches: a resumed run draws what the run would have drawn.

    Lightning itself goes on in the order of batches within a pass only; behind one it would begin with the first order again.
    """

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def state_dict(self) -> dict[str, Any]:
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {"cpu": torch.get_rng_state(), "cuda": cuda, "batches": self.batches.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.batches.load_state_dict(state["batches"])
        torch.set_rng_state(state["cpu"])
        if state["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["cuda"])


class Best(ModelCheckpoint):
    """Keeps the weights of the pass with the best score, as soon as dev is scored; also in a run folder that was moved."""

    def __init__(self, folder: Path, monitored: str, goal: str) -> None:
        super().__init__(folder, "best", monitored, mode=goal, enable_version_counter=False, save_on_train_epoch_end=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def moved(path: str) -> str:
            return path and str(Path(str(self.dirpath), Path(path).name))

        paths = {name: moved(state_dict[name]) for name in ("best_model_path", "kth_best_model_path", "last_model_path")}
        best = {moved(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": best, "dirpath": self.dirpath})


class Patience(EarlyStopping):
    """Training stops after so many scores without a better one; a run that had stopped does not go on when it is resumed.

    It counts as soon as dev is scored, so that what is kept of the pass holds it.
    """

    def __init__(self, monitored: str, patience: int, goal: str) -> None:
        super().__init__(monitored, patience=patience, mode=goal, check_finite=False, check_on_train_epoch_end=False)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class RunningMean(WeightAveraging):
    """The weights that are scored and kept are a running mean: each step keeps the share `decay` of the old one.

    At first it keeps less, (1 + steps) / (10 + steps), or what the weights began with would stay in it for long. Counts, and
    the singular vectors that spectral norms keep, are those of the last step: a mean of unit vectors is no unit vector.
    """

    def __init__(self, decay: float) -> None:
        def mean(old: list[Tensor], new: list[Tensor], num_steps: Tensor) -> None:
            if not old[0].is_floating_point():
                torch._foreach_copy_(old, new)
                return
            torch._foreach_lerp_(old, new, 1 - min(decay, (1 + int(num_steps)) / (10 + int(num_steps))))

        # where the module will be: when this is set up, it is not there yet
        super().__init__("cuda" if torch.cuda.is_available() else None, multi_avg_fn=mean)

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_end(trainer, module, outputs, batch, batch_idx)
        assert self._average_model is not None
        for old, new in zip(_singular(self._average_model.module), _singular(module), strict=True):
            old.copy_(new)

    @contextmanager
    def swapped(self, trainer: Trainer, module: LightningModule) -> Iterator[None]:
        """Meanwhile the module has the running mean."""
        self.on_validation_epoch_start(trainer, module)
        yield
        self.on_validation_epoch_end(trainer, module)


def _singular(module: nn.Module) -> list[Tensor]:
    """Vectors of spectral norms, of all modules inside."""
    return [vector for name, vector in module.named_buffers() if name.endswith(("._u", "._v"))]


def _loss(trainer: Trainer, outputs: Any) -> Tensor:
    """Of a batch; Lightning has divided it by the number of batches of a step."""
    return cast(Tensor, outputs["loss"]) * trainer.accumulate_grad_batches


def _is_scored(trainer: Trainer) -> bool:
    """Is dev scored in the pass at hand?"""
    return (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0


class LastScore(Callback):
    """The last pass is scored, also where it is cut short: by then the rate has fallen, and its weights are the best settled.

    It has to act after whatever may stop training.
    """

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.on_train_epoch_start(trainer, module)  # which is not called within a pass that is resumed

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.should_stop:
            trainer.check_val_every_n_epoch = 1


class Samples(Callback):
    """Every so many steps a sheet of what the model makes, samples/STEP.png in the run folder; by the running mean, if any."""

    def __init__(self, folder: Path, steps: int, mean: RunningMean | None) -> None:
        self.folder, self.steps, self.mean = create(folder, "samples"), steps, mean

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        step = trainer.global_step
        path = self.folder / f"{step:06d}.png"
        if not step or step % self.steps or path.exists():  # once, where several batches make a step
            return
        with self.mean.swapped(trainer, module) if self.mean else nullcontext():
            write(path, cast(TaskModule, module).sheet())


@contextmanager
def stopped_by_numbers(last: Path) -> Iterator[None]:
    """A loss that is no number ends training with the best weights so far; raises InputError where there are none."""
    try:
        yield
    except NotFinite as stop:
        advice = "Try a smaller --training.learning_rate, --training.max_gradient_norm 1 or --training.precision float32."
        what = f"the loss must be a number, after {stop.num_steps:,} steps it was none"
        if not last.is_file():
            raise InputError(f"{what}, and nothing was kept yet. {advice}") from None
        print(f"\nTraining stops: {what}. The best weights up to the last checkpoint are taken. {advice}", file=sys.stderr)


class Interruption(Callback):
    """Ctrl-C (and SIGTERM): finish the step at hand, save a checkpoint, and say how to go on. A second one stops at once.

    For what nobody is asked about, such as a power cut, one is saved when dev was scored, and within each long pass. It has to
    act after all that a checkpoint should hold. At the last step of a pass it waits until the pass is over: Lightning would
    take it for over, and never score it, where a checkpoint of that step is resumed.
    """

    def __init__(self, checkpoint: Path, advice: str) -> None:
        self.checkpoint, self.advice = checkpoint, advice
        self.is_asked, self.saved_at = False, time.monotonic()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def _ask(self, number: int, frame: Any) -> None:
        if self.is_asked:
            raise KeyboardInterrupt
        self.is_asked = True
        print("\nStopping after this step, or the score of this pass; once more to stop at once.", file=sys.stderr)

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        # at a step Lightning's own counters can be restored, and no gradient is half added up
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0 and not trainer.is_last_batch:
            self._keep(trainer, is_due=False)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._keep(trainer, is_due=_is_scored(trainer))

    def _keep(self, trainer: Trainer, *, is_due: bool) -> None:
        if is_due or self.is_asked or time.monotonic() - self.saved_at > SECONDS_UNSAVED:
            part = self.checkpoint.with_suffix(".part")
            trainer.save_checkpoint(part)
            part.replace(self.checkpoint)
            self.saved_at = time.monotonic()
        if self.is_asked:
            raise Interrupted(f"Interrupted at step {trainer.global_step}; all of it is kept. {self.advice}")

    def __exit__(self, *exception: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class Log(Callback):
    """log.csv: a line a pass over the training data; after the FIELDS stands what an attention monitor found."""

    FIELDS = ("epoch", "step", "seconds", "train_loss", "learning_rate", "dev_score")

    def __init__(self, path: Path, monitored: str) -> None:
        self.path, self.monitored = path, monitored
        self.rows: list[dict[str, Any]] = []
        self.loss, self.num_learnt = torch.zeros(()), 0
        self.start, self.end, self.num_examples = time.monotonic(), 0.0, 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "seconds": self.seconds, "loss": float(self.loss), "num_learnt": self.num_learnt}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows = state["rows"]
        self.loss, self.num_learnt = torch.tensor(state["loss"]), state["num_learnt"]
        self.start = time.monotonic() - state["seconds"]

    @property
    def seconds(self) -> float:
        """From the start of training to its end or now, with what a resumed run took before."""
        return (self.end or time.monotonic()) - self.start

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.end = time.monotonic()

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.loss, self.num_learnt = torch.zeros((), device=module.device), 0

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        size = len(next(iter(batch.values())))
        self.loss = self.loss.to(module.device) + size * _loss(trainer, outputs)
        self.num_learnt += size

    @property
    def mean_loss(self) -> float:
        """Of the examples that were learnt from in the pass at hand."""
        return float(self.loss) / max(1, self.num_learnt)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        values = (trainer.current_epoch + 1, trainer.global_step, round(self.seconds, 2), self.mean_loss, rate)
        more = {name: round(value, 4) for name, value in metrics.items() if name.startswith(MONITORED)}
        is_scored = _is_scored(trainer)
        score = metrics.get(self.monitored) if is_scored else None
        self.rows.append(dict(zip(self.FIELDS, (*values, score), strict=True)) | more)
        if len(self.rows) > 1 and not is_scored:  # such passes may be many and short
            return
        text = io.StringIO()
        table = csv.DictWriter(text, [*self.FIELDS, *sorted(set().union(*self.rows) - {*self.FIELDS})])
        table.writeheader()
        table.writerows(self.rows)
        write(self.path, text.getvalue())


class ProgressLine(Callback):
    """One live line on standard error: how far, how well, when it ends. Without a terminal, a line a pass."""

    def __init__(self, task: Task, table: Log, num_steps: int, max_seconds: float | None) -> None:
        self.task, self.table, self.num_steps, self.max_seconds = task, table, num_steps, max_seconds
        self.stream = sys.stderr
        self.best: float | None = None
        self.num_remarks = 0
        self.shown_at = 0.0
        self.first_step = 0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = state["best"]

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.start, self.first_step = time.monotonic(), trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        now = time.monotonic()
        if not self.stream.isatty() or now - self.shown_at < 0.25:
            return
        self.shown_at = now
        loss = float(_loss(trainer, outputs))
        share = (batch_idx + 1) / max(1, int(trainer.num_training_batches))
        self._show(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs} {bar(share)} loss {loss:7.3f}{self._end(trainer)}", ""
        )

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        if not _is_scored(trainer):
            return
        passes = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self._show(f"{passes}  loss {self.table.mean_loss:.3f}  {self._score(trainer)}{self._end(trainer)}", "\n")
        remark = cast(TaskModule, module).remark
        self.num_remarks = self.num_remarks + 1 if remark else 0
        if self.num_remarks == PERSISTENT:
            print(remark, file=self.stream)

    def _score(self, trainer: Trainer) -> str:
        metric = self.task.metric
        score = float(trainer.callback_metrics.get(f"dev_{metric}", float("nan")))
        is_best = self.best is None or (score > self.best if self.task.goal == "max" else score < self.best)
        self.best = score if is_best else self.best
        mark = "best so far" if is_best or self.best is None else f"best {figure(metric, self.best)}"
        return f"dev {named(metric)} {figure(metric, score)}  {mark}"

    def _end(self, trainer: Trainer) -> str:
        """When all passes would be over, or the time that was given."""
        done, spent = trainer.global_step - self.first_step, time.monotonic() - self.start
        left = (self.num_steps - trainer.global_step) * spent / max(1, done)
        if self.max_seconds is not None:
            left = min(left, self.max_seconds * (1 - cast(TaskModule, trainer.lightning_module).spent()))
        at = time.strftime("%H:%M:%S", time.localtime(time.time() + max(0.0, left)))
        return f"  at most {clock(left)} left, until {at}"

    def _show(self, text: str, end: str) -> None:
        is_terminal = self.stream.isatty()
        self.stream.write(f"\r\x1b[2K{text}{end}" if is_terminal else f"{text}{end}")
        self.stream.flush()
