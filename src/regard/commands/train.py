"""Training from the command line: options, recipes, run folders."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveFloat

from regard.commands.options import Seed, add_data, flattened, parser_of, say, singly, take_task
from regard.commands.score import score_lines
from regard.data.stream import is_file
from regard.errors import InputError
from regard.listing import RECIPES


def train(arguments: list[str]) -> dict[str, Any]:
    """Train a model: on train, chosen by its score on dev, scored on test."""
    task_kind, arguments = take_task("train", arguments)
    parser = parser_of(f"train {task_kind.name}", train)
    parser.add_argument(
        "--recipe",
        action="config",
        metavar="NAME|FILE",
        help="options to start from: a name of `regard list recipes`, or a YAML file, such as recipe.yaml of a run; "
        "options named here count more",
    )
    parser.add_argument("--task", type=str, default=task_kind.name, help="which task a recipe is for; not needed here")
    add_data(parser, task_kind)
    parser.add_argument(
        "--out", type=str | None, default=None, metavar="RUN", help="new run folder (else runs/TASK, then runs/TASK-2, ...)"
    )
    parser.add_argument(
        "--max-minutes", type=PositiveFloat | None, default=None, help="train so long at most, and keep the best model"
    )
    parser.add_argument("--seed", type=Seed, default=0, help="decides all that is random: the same seed, the same model")
    parser.add_argument(
        "--monitor",
        type=NonNegativeInt,
        default=0,
        metavar="STEPS",
        help="every so many steps note in log.csv how each layer's attention is spread; 0 is never",
    )
    parser.add_argument(
        "--start",
        type=str | None,
        default=None,
        metavar="RUN",
        help="begin with the weights, vocabularies and options of another run instead of new ones",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out, from its last checkpoint")
    parser.add_class_arguments(task_kind, None)
    arguments = _find_recipes(arguments)
    early = parser.parse_args(arguments)
    if early.resume:
        out = Path(early.out or f"runs/{task_kind.name}")
        _require_recipe(out)
        options = parser.parse_args(["--recipe", str(out / "recipe.yaml"), *arguments])
    else:
        out, options = _new_folder(early.out, task_kind.name), early
        if early.start:
            _default_to(parser, early.start, task_kind.name)
            options = parser.parse_args(arguments)
    if options.task != task_kind.name:
        raise InputError(f"the recipe is for task {options.task!r}, but the command says {task_kind.name!r}.")
    _forget_files(options, {word.partition("=")[0].removeprefix("--") for word in arguments})
    return _train(parser, task_kind, options, out)


def _train(parser: ArgumentParser, task_kind: Any, options: Namespace, out: Path) -> dict[str, Any]:
    made = parser.instantiate(options)
    names = [field.name for field in fields(task_kind)]
    task = task_kind(**{name: made[name] for name in names})
    files = task.files(options.data, singly(options))
    task = task.settled(files)
    from regard.train.run import Terms
    from regard.train.run import train as run_training

    minutes = None if options.max_minutes is None else float(options.max_minutes)
    start = None if options.start is None else Path(options.start)
    result = run_training(task, files, out, Terms(int(options.seed), minutes, options.resume, start, int(options.monitor)))
    say(options, *score_lines(result, task.metric), f"run     {out}", f"report  {result.get('report', 'none')}")
    return result


def _default_to(parser: ArgumentParser, start: str, task: str) -> None:
    """What is not said is as in the run to begin with."""
    from regard.tasks.folder import load_recipe

    recipe = load_recipe(Path(start))
    if recipe.name != task:
        raise InputError(f"--start must name a run of {task}, this one is of {recipe.name}.", file=start)
    for field in fields(recipe):
        parser.set_defaults(flattened(field.name, getattr(recipe, field.name)))


def _forget_files(options: Namespace, named: set[str]) -> None:
    """A recipe of a run names the files of that run: a folder named here counts more, a file named here most."""
    if "data" in named:
        for split in singly(options):
            if split not in named:
                options[split] = None


def _find_recipes(arguments: list[str]) -> list[str]:
    """--recipe NAME as --recipe FILE."""
    found = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--recipe=") else [word])]
    for place, word in enumerate(found[1:], 1):
        named = RECIPES / f"{word}.yaml"
        if found[place - 1] == "--recipe" and not is_file(word):
            if not named.is_file():
                known = ", ".join(path.stem for path in sorted(RECIPES.glob("*.yaml")))
                raise InputError(f"--recipe must be a YAML file or one of: {known}; got {word!r}.")
            found[place] = str(named)
    return found


def _require_recipe(out: Path) -> None:
    if not (out / "recipe.yaml").is_file():
        raise InputError("there is no run to resume. Name its folder with --out.", file=out)


def _new_folder(given: str | None, task: str) -> Path:
    """A folder without a run: nobody's model is ever written over."""
    if given is not None:
        if (Path(given) / "recipe.yaml").exists():
            raise InputError("a run is here already. Go on with it by --resume, or choose another --out.", file=given)
        return Path(given)
    number = 1
    while (folder := Path("runs") / (task if number == 1 else f"{task}-{number}")).exists():
        number += 1
    return folder
