"""A run folder: what a trained model is on disk, written whole or not at all.

recipe.yaml         the task, its options, the seed and the data files: all that made the run
encoder.json        the vocabularies
model.safetensors   the weights
metrics.json, log.csv, report.html, checkpoints/
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from regard.catalog import TASKS, load
from regard.errors import InputError
from regard.models.model import Batch, Model
from regard.models.precision import autocast
from regard.tasks.task import Encoder, Task

FEW_ANSWERS = 8
RECIPE, ENCODER, MODEL, METRICS, REPORT = "recipe.yaml", "encoder.json", "model.safetensors", "metrics.json", "report.html"


@dataclass(frozen=True)
class Run:
    """A task, what it learnt of the data, and the model."""

    task: Task
    encoder: Encoder
    model: Model

    def predict(self, examples: Sequence[Any]) -> list[Any]:
        """A prediction for each example, in their order."""
        return predict_all(self.task, self.encoder, self.model, examples)

    @contextmanager
    def on_fastest(self) -> Iterator[None]:
        """Meanwhile the model is on a GPU, where there is one."""
        self.model.to("cuda" if torch.cuda.is_available() else "cpu")
        try:
            yield
        finally:
            self.model.cpu()

    def rank(self, examples: Sequence[Any], num_best: int) -> list[dict[str, Any]]:
        """Of each example its best answers, as `regard predict` writes them. Raises InputError where the model has one only."""
        ask, decode = partial(self.model.rank, num_best=num_best), partial(self.task.decode_ranked, self.encoder)
        at_once = self.task.at_once * FEW_ANSWERS // max(FEW_ANSWERS, num_best)  # many answers hold memory as examples do
        return self.answers(examples, ask, decode, max(1, at_once))

    def answers(
        self,
        examples: Sequence[Any],
        ask: Callable[[Batch], list[Any]],
        decode: Callable[[Any, Any], Any] = lambda example, raw: raw,
        max_length: int = 0,
    ) -> list[Any]:
        """What `ask`, a method of the model, says of each, decoded; in batches of like length, `Task.at_once` or so long."""
        found: list[Any] = [None] * len(examples)
        device, was_training = next(self.model.parameters()).device, self.model.training
        self.model.eval()
        precision = "float32" if self.task.is_exact else self.task.training.precision
        with torch.no_grad(), autocast(precision, device):
            for numbers in _batches([self.encoder.length(example) for example in examples], max_length or self.task.at_once):
                batch = self.encoder.collate([examples[i] for i in numbers])
                raw = ask({name: tensor.to(device) for name, tensor in batch.items()})
                for i, one in zip(numbers, raw, strict=True):
                    found[i] = decode(examples[i], one)
        self.model.train(was_training)
        return found


def predict_all(task: Task, encoder: Encoder, model: Model, examples: Sequence[Any], max_length: int = 0) -> list[Any]:
    """A prediction for each example; see `Run.answers`."""
    return Run(task, encoder, model).answers(examples, model.predict, partial(task.decode, encoder), max_length)


def _batches(lengths: Sequence[int], max_length: int) -> Iterator[list[int]]:
    """Places of like lengths, shortest first."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[place] > max_length:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def predict_one(task: Task, encoder: Encoder, model: Model, example: Any) -> Any:
    """The prediction for one example."""
    return predict_all(task, encoder, model, [example])[0]


def create(folder: Path, inside: str) -> Path:
    """A run's folder and one inside it, made if need be; raises InputError when nothing can be written there."""
    refusal = "the run folder cannot be written: {}. Choose another with --out."
    return writable(writable(folder, refusal) / inside, refusal)


def writable(folder: Path, refusal: str) -> Path:
    """The folder, new if need be; where no file can be written in it, InputError with `refusal`, {} in it being the reason."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise InputError(refusal.format(error.strerror), file=folder) from None


def unused(folder: Path, stem: str, ending: str) -> Path:
    """A name in a folder that nothing has yet: with a number where there is one already."""
    path, number = folder / f"{stem}{ending}", 2
    while path.exists():
        path, number = folder / f"{stem}-{number}{ending}", number + 1
    return path


def write(path: Path, content: str | bytes) -> None:
    """Write to a temporary name beside it, then rename: a reader sees the old file or the new one, never half."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise InputError(f"cannot be written: {error.strerror}.", file=path) from None


def save_start(folder: Path, run: Run, more: dict[str, Any]) -> None:
    """What is known before training: enough, with a checkpoint, to go on or to use the model."""
    write(
        folder / RECIPE,
        yaml.safe_dump({"task": run.task.name, **more, **asdict(run.task)}, sort_keys=False, allow_unicode=True),
    )
    save_encoder(folder, run.encoder)


def save_encoder(folder: Path, encoder: Encoder) -> None:
    """What was learnt of the data."""
    write(folder / ENCODER, json.dumps(encoder.to_json(), ensure_ascii=False))


def save_weights(folder: Path, model: Model) -> None:
    """The weights, as safetensors."""
    write(folder / MODEL, save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}))


def load_run(
    folder: str | Path,
    read_weights: Callable[[Path], dict[str, torch.Tensor]] | None = None,
    chosen: Mapping[str, Any] | None = None,
) -> Run:
    """A run from its folder, with options `chosen` anew. Raises InputError when something is missing or does not fit."""
    folder = Path(folder)
    task = replace(load_recipe(folder), **(chosen or {}))
    encoder = load_encoder(folder, task)
    model = task.build(encoder)
    try:
        model.load_state_dict((read_weights or load_file)(folder / MODEL))
    except FileNotFoundError:
        raise InputError(
            f"the run has no weights yet. Finish it: regard train {task.name} --out {folder} --resume.", file=folder / MODEL
        ) from None
    except (SafetensorError, RuntimeError) as error:
        raise InputError(f"the weights do not fit: {str(error).splitlines()[0]}.", file=folder / MODEL) from None
    return Run(task, encoder, model.eval())


def load_encoder(folder: Path, task: Task) -> Encoder:
    """What a run learnt of its data."""
    try:
        return task.load_encoder(json.loads((folder / ENCODER).read_text()))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"the vocabularies cannot be read: {error}.", file=folder / ENCODER) from None


def load_recipe(folder: Path) -> Task:
    """The task that the recipe of a run folder describes."""
    path = folder / RECIPE
    if not path.is_file():
        raise InputError(
            f"there is no run here: {RECIPE} is missing. Train one: regard train TASK --out {folder}.", file=folder
        )
    try:
        return task_from(yaml.safe_load(path.read_text()))
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, InputError) as error:
        raise InputError(f"not a recipe of a run: {str(error).rstrip('.')}.", file=path) from None


def task_from(recipe: dict[str, Any]) -> Task:
    """The task that a recipe describes; what it does not name keeps its default."""
    kind = load(TASKS, recipe["task"])
    defaults = kind()
    return replace(defaults, **{one.name: _filled(getattr(defaults, one.name), recipe, one.name) for one in fields(kind)})


def _filled(default: Any, given: Mapping[str, Any], name: str) -> Any:
    """An option of this name, with its own options where it has any."""
    if name not in given or not is_dataclass(default):
        return given.get(name, default)
    if unknown := [inner for inner in given[name] if not hasattr(default, inner)]:
        raise InputError(f"{name} has no option {unknown[0]}. If another version wrote it, that line may be taken out.")
    return replace(default, **{inner: _filled(getattr(default, inner), given[name], inner) for inner in given[name]})  # type: ignore[type-var]
