"""From files to a run folder: read, train, score, show."""

from __future__ import annotations

import json
import logging
import math
import random
import resource
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import Timer

from regard.data.batching import Batches
from regard.data.files import Files
from regard.data.findings import raise_first_error, tell
from regard.data.splitting import held_out
from regard.errors import InputError
from regard.metrics.errors import on_page
from regard.tasks import folder as run_folder
from regard.tasks.check import read_all
from regard.tasks.folder import Run
from regard.tasks.progress import figure, named
from regard.tasks.task import Task
from regard.train.callbacks import (
    Best,
    Interruption,
    LastScore,
    Log,
    Patience,
    ProgressLine,
    RandomState,
    RunningMean,
    Samples,
    stopped_by_numbers,
)
from regard.train.memory import keep_freed_memory
from regard.train.module import TaskModule
from regard.train.monitor import AttentionMonitor
from regard.viewer.report import Picture, render

NUM_ERRORS = 6
"""Of the worst errors that the report of a training shows."""


@dataclass(frozen=True)
class Terms:
    """Under which a model is trained."""

    seed: int = 0
    max_minutes: float | None = None
    is_resumed: bool = False
    start: Path | None = None
    """A run whose weights and vocabularies are begun with."""
    monitor_steps: int = 0
    """Attention is read every so many steps; 0 is never."""


@dataclass(frozen=True)
class Data:
    """The examples of each part of a data set."""

    train: Sequence[Any]
    dev: Sequence[Any]
    test: Sequence[Any]

    @property
    def scored(self) -> tuple[str, Sequence[Any]]:
        """The part that the final score is about."""
        return ("test", self.test) if self.test else ("dev", self.dev)

    def cut(self, run: Run) -> Data:
        """Each part as the model reads it."""
        train = run.task.cut(run.encoder, self.train, is_training=True)
        return Data(train, *(part and run.task.cut(run.encoder, part, is_training=False) for part in (self.dev, self.test)))


def read_data(task: Task, files: Files, seed: int) -> Data:
    """What training needs; raises InputError on the first error in a file. Without dev, a tenth of train is held out."""
    if files.train is None:
        raise InputError("training needs a train file. Put one in the --data folder, or name it with --train.")
    parts, findings = read_all(task, files)
    raise_first_error(findings)
    tell(findings)
    train, dev = parts["train"], parts.get("dev", [])
    if not dev:
        random.Random(seed).shuffle(train)
        dev, train = held_out(train, [task.kind_of(example) for example in train])
        print(
            f"No dev file: {len(dev)} of {len(dev) + len(train)} training examples are held out to choose the best model.",
            file=sys.stderr,
        )
    if not train:
        raise InputError("too little to train on and to hold out. Give more, or a dev file with --dev.", file=files.train)
    return Data(train, dev, parts.get("test", []))


def train(task: Task, files: Files, out: Path, terms: Terms) -> dict[str, Any]:
    """Train, keep the best weights on dev, score them, write the run folder; the result is what metrics.json holds."""
    data = read_data(task, files, terms.seed)
    run_folder.create(out, "checkpoints")
    seed_everything(terms.seed, verbose=False)
    run = _start(task, files, data, out, terms)
    data = data.cut(run)
    log = _fit(run, data, out, terms)
    with run.on_fastest():
        task.tuned(run, data.train, data.dev)
        run_folder.save_encoder(out, run.encoder)
        run_folder.save_weights(out, run.model.eval())
        split, examples = data.scored
        predictions = run.predict(examples)
        dev = task.choosing(data.dev)
        on_dev = task.dev_score(dev, run.predict(dev)) if split == "test" else {}
    result = {
        "task": task.name,
        "split": split,
        **task.score(examples, predictions),
        **({f"dev_{task.metric}": on_dev[task.metric]} if on_dev else {}),
        "train_seconds": round(log.seconds, 2),
        "examples_per_second": round(log.num_examples / log.seconds, 1),
        "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
        "peak_memory_mb": round(_peak_memory_mb(), 1),
        "run": str(out),
    }
    _keep(result, out)  # first of all: no fault in what is only shown may lose it
    pictures = task.explain(run.encoder, run.model, task.worth_showing(examples))
    pictures += task.worst_errors(run, examples, predictions, NUM_ERRORS)
    if any(picture.layers or picture.gates for picture in pictures):  # a model may have been asked to do without attention
        result["report"] = str(out / run_folder.REPORT)
        write_report(run, pictures, out / run_folder.REPORT, result)
        _keep(result, out)
    for name, content in task.figures(run, examples, result):
        run_folder.write(out / name, content)
    return result


def _keep(result: Mapping[str, Any], out: Path) -> None:
    run_folder.write(out / run_folder.METRICS, json.dumps(result, indent=2, ensure_ascii=False) + "\n")


def write_report(
    run: Run,
    pictures: Sequence[Picture],
    path: Path,
    result: Mapping[str, Any] = MappingProxyType({}),
    facts: Mapping[str, str] = MappingProxyType({}),
    title: str = "where it looks",
) -> None:
    """A page of where the model looks for each example, or of what `title` says."""
    run_folder.write(
        path, render(pictures, title=f"regard · {run.task.name} · {title}", facts={**facts, **_facts(run, result)})
    )


def _facts(run: Run, result: Mapping[str, Any]) -> dict[str, str]:
    """Of a result of training or scoring, what a page should say of the whole."""
    facts, metric = {}, run.task.metric
    if metric in result:
        where = result.get("split") or Path(result["file"]).name
        facts[named(metric)] = f"{figure(metric, result[metric])} on {where}"
    if "errors" in result:
        facts |= on_page(result)
    if "train_seconds" in result:
        facts |= {"training": f"{result['train_seconds']:,.0f} s", "parameters": f"{result['parameters']:,}"}
    return facts


def _start(task: Task, files: Files, data: Data, out: Path, terms: Terms) -> Run:
    """A new model, another run's, or one for the vocabularies of the run to go on with; and all that made it written down."""
    if terms.start and not terms.is_resumed:
        run = _begun(task, data.train, terms.start, files.train)
    else:
        encoder = run_folder.load_encoder(out, task) if terms.is_resumed else task.fit_encoder(data.train)
        run = Run(task, encoder, task.build(encoder))
        if not terms.is_resumed:
            task.load_pretrained(run.model)
    paths = {split: str(path.resolve()) for split, path in files.items()}
    start = {"start": str(terms.start.resolve())} if terms.start else {}
    run_folder.save_start(out, run, paths | start | {"seed": terms.seed, "max_minutes": terms.max_minutes})
    return run


def _begun(task: Task, train: Sequence[Any], start: Path, file: Path | None) -> Run:
    """The model of another run, which must know each label that it is to learn."""
    run = run_folder.load_run(start, chosen={one.name: getattr(task, one.name) for one in fields(task)})
    if unknown := sorted(task.unknown(run.encoder, train)):
        some = ", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
        message = (
            f"the run in --start must know each label of the training file, and does not know {some}. Train without --start."
        )
        raise InputError(message, file=file)
    return run


def _fit(run: Run, data: Data, out: Path, terms: Terms) -> Log:
    """Train the model in place, to its best weights on dev."""
    options, last = run.task.training, out / "checkpoints" / "last.ckpt"
    if terms.is_resumed and not last.is_file():
        raise InputError("there is no checkpoint to go on from. Train again without --resume, into another --out.", file=last)
    batches = Batches(
        data.train,
        run.encoder.collate,
        options.batch_size,
        length=run.encoder.length,
        seed=terms.seed,
        batch_tokens=options.batch_tokens,
    )
    max_epochs = options.max_epochs or run.task.usual_epochs(len(data.train))
    log = Log(out / "log.csv", f"dev_{run.task.metric}")
    num_steps = max_epochs * math.ceil(len(batches) / options.accumulate)
    dev = run.task.choosing(data.dev)
    module = TaskModule(run, dev, num_steps, lambda: log.seconds / (60 * terms.max_minutes) if terms.max_minutes else 0.0)
    best = Best(last.parent, module.monitored, run.task.goal)
    interruption = Interruption(last, f"Go on: regard train {run.task.name} --out {out} --resume")
    _quiet_lightning()
    keep_freed_memory()
    # Else determinism also fills each new tensor with NaN before it is written, a tenth of the time and more on a CPU.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        deterministic="warn",  # the same seed, the same bits: sums over repeated indices are else added in any order
        max_epochs=max_epochs,
        accumulate_grad_batches=options.accumulate,
        gradient_clip_val=options.max_gradient_norm,
        # The last one to act at a step and after a pass is the interruption: it keeps what the others did.
        callbacks=[log, best, RandomState(batches), *_callbacks(module, terms, out, log), interruption],
        check_val_every_n_epoch=options.score_every or math.ceil(run.task.steps_to_score / len(batches)),
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=out,
    )
    with interruption, stopped_by_numbers(last):
        resumed = str(last) if terms.is_resumed else None
        trainer.fit(module, batches, module.dev_batches(), ckpt_path=resumed, weights_only=True)
    log.num_examples = trainer.global_step * options.accumulate * len(data.train) / len(batches)
    _load_best(module, Path(best.best_model_path or last))
    return log


def _callbacks(module: TaskModule, terms: Terms, folder: Path, log: Log) -> list[Callback]:
    options, minutes = module.task.training, terms.max_minutes
    callbacks = [
        Patience(module.monitored, options.patience, module.task.goal),
        ProgressLine(module.task, log, module.num_steps, None if minutes is None else 60 * minutes),
    ]
    mean = RunningMean(options.average_decay) if options.average_decay else None
    if mean is not None:
        callbacks.append(mean)
    if steps := module.task.steps_to_samples:
        callbacks.append(Samples(folder, steps, mean))
    if terms.monitor_steps:
        callbacks.append(AttentionMonitor(terms.monitor_steps))
    if minutes is not None:
        callbacks.append(Timer(timedelta(minutes=minutes), verbose=False))
    return [*callbacks, LastScore()]


def _load_best(module: TaskModule, checkpoint: Path) -> None:
    if not checkpoint.is_file():  # stopped by the clock before the first dev score: what there is, is the best
        return
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    module.load_state_dict(state)


def _quiet_lightning() -> None:
    """Its hints about loggers and loader workers say nothing to a person who asked for a model."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")


def _peak_memory_mb() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
