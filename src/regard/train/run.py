"""From files to a run folder: read, train, score, show."""

from __future__ import annotations

import json
import logging
import random
import resource
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint, Timer

from regard.data.batching import Batches
from regard.data.files import Files
from regard.data.findings import Finding, raise_first_error
from regard.errors import InputError
from regard.models.model import Model
from regard.tasks import folder as run_folder
from regard.tasks.check import read_all
from regard.tasks.folder import Run
from regard.tasks.task import Encoder, Task
from regard.train.callbacks import Interruption, Log, ProgressLine, RandomState
from regard.train.module import TaskModule
from regard.viewer.report import render

HELD_OUT = 0.1


@dataclass(frozen=True)
class Data:
    """The examples of each part of a data set."""

    train: list[Any]
    dev: list[Any]
    test: list[Any]

    @property
    def scored(self) -> tuple[str, list[Any]]:
        """The part that the final score is about."""
        return ("test", self.test) if self.test else ("dev", self.dev)


def read_data(task: Task, files: Files, seed: int) -> Data:
    """What training needs; raises InputError on the first error in a file. Without dev, a tenth of train is held out."""
    if files.train is None:
        raise InputError("training needs a train file. Put one in the --data folder, or name it with --train.")
    parts, findings = read_all(task, files)
    raise_first_error(findings)
    _tell(findings)
    train, dev = parts["train"], parts.get("dev", [])
    if not dev:
        random.Random(seed).shuffle(train)
        held = max(1, int(HELD_OUT * len(train)))
        dev, train = train[:held], train[held:]
        print(
            f"No dev file: {held} of {held + len(train)} training examples are held out to choose the best model.",
            file=sys.stderr,
        )
    if not train:
        raise InputError("too few examples to train on.", file=files.train)
    return Data(train, dev, parts.get("test", []))


def train(
    task: Task,
    files: Files,
    out: Path,
    *,
    recipe: dict[str, Any],
    seed: int,
    max_minutes: float | None = None,
    is_resumed: bool = False,
) -> dict[str, Any]:
    """Train, keep the best weights on dev, score them, write the run folder; the result is what metrics.json holds."""
    data = read_data(task, files, seed)
    run_folder.create(out, "checkpoints")
    seed_everything(seed, verbose=False)
    encoder = (
        task.load_encoder(json.loads((out / run_folder.ENCODER).read_text())) if is_resumed else task.fit_encoder(data.train)
    )
    model = task.build(encoder)
    if not is_resumed:
        run_folder.save_start(out, task, encoder, recipe)
    start = time.monotonic()
    num_seen = _fit(task, encoder, model, data, out, (seed, max_minutes, is_resumed))
    seconds = time.monotonic() - start
    run_folder.save_weights(out, model)
    run = Run(task, encoder, model.eval())
    split, examples = data.scored
    result = {
        "task": task.name,
        "split": split,
        **score(run, examples),
        **({f"dev_{task.metric}": score(run, data.dev)[task.metric]} if split == "test" else {}),
        "train_seconds": round(seconds, 2),
        "examples_per_second": round(num_seen / seconds, 1),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "peak_memory_mb": round(_peak_memory_mb(), 1),
        "run": str(out),
        "report": str(out / run_folder.REPORT),
    }
    write_report(run, task.worth_showing(examples), out / run_folder.REPORT, result)
    run_folder.write(out / run_folder.METRICS, json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    return result


def score(run: Run, examples: Sequence[Any]) -> dict[str, Any]:
    """The task's score of a run on examples with known answers."""
    return run.task.score(examples, run.predict(examples))


def write_report(run: Run, examples: Sequence[Any], path: Path, result: dict[str, Any] | None = None) -> int:
    """A page of where the model looks for each example; returns how many there are."""
    pictures = run.task.explain(run.encoder, run.model, examples)
    if not pictures or not pictures[0].layers:
        raise InputError("this model has no attention to look at: it was trained with --model.mechanism none.")
    facts = {}
    if result:
        facts = {
            run.task.metric.removesuffix("_percent").replace("_", " "): f"{result[run.task.metric]:.2f} % on {result['split']}",
            "training": f"{result['train_seconds']:,.0f} s",
            "parameters": f"{result['parameters']:,}",
        }
    run_folder.write(path, render(pictures, title=f"regard · {run.task.name} · where it looks", facts=facts))
    return len(pictures)


def _fit(task: Task, encoder: Encoder, model: Model, data: Data, out: Path, how: tuple[int, float | None, bool]) -> int:
    """Train `model` in place to its best weights on dev; returns how many examples it was shown."""
    seed, max_minutes, is_resumed = how
    options, checkpoints = task.training_options, out / "checkpoints"
    batches = Batches(data.train, encoder.collate, options.batch_size, length=encoder.length, seed=seed)
    module = TaskModule(task, encoder, model, data.dev, options.max_epochs * len(batches))
    last = checkpoints / "last.ckpt"
    if is_resumed and not last.is_file():
        raise InputError("there is no checkpoint to go on from. Train again without --resume, into another --out.", file=last)
    best = ModelCheckpoint(
        checkpoints,
        "best",
        module.monitored,
        mode="max",
        save_last=True,
        enable_version_counter=False,
        auto_insert_metric_name=False,
    )
    interruption = Interruption(last, f"Go on: regard train {task.name} --out {out} --resume")
    max_time = None if max_minutes is None else timedelta(minutes=max_minutes)
    log = Log(out / "log.csv", module.monitored)
    callbacks = [
        RandomState(),
        best,
        EarlyStopping(module.monitored, patience=options.patience, mode="max", check_finite=False),
        log,
        ProgressLine(module.monitored, None if max_time is None else max_time.total_seconds()),
        *([EMAWeightAveraging(decay=options.average_decay)] if options.average_decay else []),
        *([Timer(max_time, verbose=False)] if max_time else []),
        interruption,  # after all others, so that it keeps what they did at this step
    ]
    _quiet_lightning()
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=options.max_epochs,
        gradient_clip_val=options.max_gradient_norm,
        callbacks=callbacks,
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=out,
    )
    with interruption:
        trainer.fit(module, batches, module.dev_batches(), ckpt_path=str(last) if is_resumed else None, weights_only=True)
    _load_best(module, Path(best.best_model_path or last))
    return trainer.global_step * options.batch_size


def _load_best(module: TaskModule, checkpoint: Path) -> None:
    if not checkpoint.is_file():  # stopped by the clock before the first dev score: what there is, is the best
        return
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    module.load_state_dict(state)


def _tell(findings: list[Finding], most: int = 5) -> None:
    for finding in findings[:most]:
        print(finding, file=sys.stderr)
    if len(findings) > most:
        print(f"… and {len(findings) - most} more warnings: regard check lists them all.", file=sys.stderr)


def _quiet_lightning() -> None:
    """Its hints about loggers and loader workers say nothing to a person who asked for a model."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")


def _peak_memory_mb() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
