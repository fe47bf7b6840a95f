"""What each command takes and does. Imports nothing heavy until one runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt

from regard.catalog import TASKS, load
from regard.errors import InputError
from regard.listing import LISTS, RECIPES


def demo(arguments: list[str]) -> dict[str, Any]:
    """Train the embedded example: dates as people write them in 32 locales, into ISO 8601."""
    parser = _parser("demo", demo)
    parser.add_argument("--out", type=str, default="runs/demo", help="run folder")
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="decides the dates drawn, the weights and the order")
    parser.add_argument("--again", action="store_true", help="train again although the run folder holds a finished demo")
    options = parser.parse_args(arguments)
    from regard.demo import run_demo

    result = run_demo(Path(options.out), int(options.seed), is_again=options.again)
    _print(options, *(f"  {row['text']}  →  {row['iso']}  {row['verdict']}" for row in result["examples"]))
    score = f"exact match on {result['num_dates']:,} held-out dates: {result['exact_match_percent']:.2f} %"
    _print(options, score, f"open {result['report']} to see where the model looks")
    return result


def check(arguments: list[str]) -> dict[str, Any]:
    """Validate files: each finding with file, line and what to do. Exit code 2 when one is an error."""
    task_kind, arguments = _take_task("check", arguments)
    parser = _parser(f"check {task_kind.name}", check)
    _add_data(parser, task_kind)
    options = parser.parse_args(arguments)
    from regard.tasks.check import check_files

    task = task_kind()
    result = check_files(task, task.files(options.data, _singly(options)))
    _print(options, *result["lines"])
    return {key: value for key, value in result.items() if key != "lines"}


def train(arguments: list[str]) -> dict[str, Any]:
    """Train a model: on train, chosen by its score on dev, scored on test."""
    task_kind, arguments = _take_task("train", arguments)
    parser = _parser(f"train {task_kind.name}", train)
    parser.add_argument(
        "--recipe",
        action="config",
        metavar="NAME|FILE",
        help="options to start from: a name of `regard list recipes`, or a YAML file, such as recipe.yaml of a run; "
        "options named here count more",
    )
    parser.add_argument("--task", type=str, default=task_kind.name, help="which task a recipe is for; not needed here")
    _add_data(parser, task_kind)
    parser.add_argument(
        "--out", type=str | None, default=None, metavar="RUN", help="new run folder (else runs/TASK, then runs/TASK-2, ...)"
    )
    parser.add_argument(
        "--max-minutes", type=PositiveFloat | None, default=None, help="train so long at most, and keep the best model"
    )
    parser.add_argument(
        "--seed", type=NonNegativeInt, default=0, help="decides all that is random: the same seed, the same model"
    )
    parser.add_argument(
        "--monitor",
        type=NonNegativeInt,
        default=0,
        metavar="STEPS",
        help="every so many steps note in log.csv how each layer's attention is spread; 0 is never",
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
    if options.task != task_kind.name:
        raise InputError(f"the recipe is for task {options.task!r}, but the command says {task_kind.name!r}.")
    return _train(parser, task_kind, options, out)


def _train(parser: ArgumentParser, task_kind: Any, options: Namespace, out: Path) -> dict[str, Any]:
    made = parser.instantiate(options)
    names = [field.name for field in fields(task_kind)]
    task = task_kind(**{name: made[name] for name in names})
    files = task.files(options.data, _singly(options))
    from regard.train.run import Terms
    from regard.train.run import train as run_training

    minutes = None if options.max_minutes is None else float(options.max_minutes)
    result = run_training(task, files, out, Terms(int(options.seed), minutes, options.resume, int(options.monitor)))
    _print(options, *_score_lines(result, task.metric), f"run     {out}", f"report  {result.get('report', 'none')}")
    return result


def evaluate(arguments: list[str]) -> dict[str, Any]:
    """Score a trained run on a file, or on the test file of a folder."""
    parser = _parser("evaluate", evaluate)
    parser.add_argument("run", type=str, help="run folder")
    parser.add_argument("--data", type=str, required=True, help="a file, or a folder with a test file")
    parser.add_argument(
        "--errors", type=str | None, default=None, help="a page to write: the worst errors, and where it looked"
    )
    parser.add_argument("--num-errors", type=PositiveInt, default=30, help="how many of them")
    options = parser.parse_args(arguments)
    from regard.data.findings import raise_first_error
    from regard.tasks.folder import load_run

    run = load_run(options.run)
    path = _scored_file(run.task, options.data)
    examples, findings = run.task.read(path)
    raise_first_error(findings)
    predictions = run.predict(examples)
    result = {"task": run.task.name, "file": str(path), **run.task.score(examples, predictions)}
    _print(options, *_score_lines(result, run.task.metric))
    if options.errors:
        from regard.train.run import write_report

        pictures = run.task.worst_errors(run, examples, predictions, int(options.num_errors))
        write_report(run, pictures, Path(options.errors), result, title=f"the {len(pictures)} worst errors, worst first")
        result["report"] = options.errors
        _print(options, f"report  {options.errors}")
    return result


def _scored_file(task: Any, given: str) -> Path:
    """The file itself, or a folder's test file, or else its dev file."""
    path = Path(given)
    if path.is_dir():
        files = task.files(given, {})
        if files.test is None and files.dev is None:
            raise InputError("the folder must hold a test or a dev file.", file=path)
        path = files.test or files.dev
    elif not path.is_file():
        raise InputError("there is no such file or folder.", file=path)
    return path


def predict(arguments: list[str]) -> dict[str, Any]:
    """Predict: one JSON object a line on standard output."""
    parser = _parser("predict", predict)
    parser.add_argument("run", type=str, help="run folder")
    parser.add_argument("--input", type=str, required=True, help="a file, or - for standard input: text, JSON lines or columns")
    parser.add_argument(
        "--n-best", type=NonNegativeInt, default=0, help="so many readings of each, and how sure each entity is"
    )
    options = parser.parse_args(arguments)
    from regard.data.stream import open_lines
    from regard.tasks.folder import load_run
    from regard.tasks.prediction import predict_lines
    from regard.tasks.progress import Progress

    run, encode, count = load_run(options.run), json.JSONEncoder(ensure_ascii=False).encode, 0
    with open_lines(options.input) as lines, Progress(run.task.unit, is_quiet=options.json) as progress:
        for examples, results in predict_lines(run, lines, int(options.n_best)):
            print("\n".join(map(encode, results)), flush=True)
            count += len(examples)
            progress.add(sum(map(run.encoder.length, examples)), lines.share)
    return {"task": run.task.name, "num_predictions": count}


def look(arguments: list[str]) -> dict[str, Any]:
    """Write a page that shows where a model looks: a run of ours, or any transformers model of text or images."""
    parser = _parser("look", look)
    parser.add_argument("model", type=str, help="a run folder, a transformers folder, or an id of the hub")
    parser.add_argument("--input", type=str, required=True, help="a text, a file (text or image), or - for standard input")
    parser.add_argument("--out", type=str, default="report.html", help="the page to write")
    parser.add_argument("--lines", action="store_true", help="each line of the input by itself; means over all of them")
    parser.add_argument("--max-tokens", type=PositiveInt | None, default=None, help="look at the beginning of a longer text")
    parser.add_argument("--target", type=str | None, default=None, help="what a translator is to say; else it says its own")
    parser.add_argument("--sample", type=PositiveInt | None, default=None, help="read so many blocks of 64 queries a layer")
    parser.add_argument("--layers", type=str, default="*", help='pattern of layers, such as "encoder.layer.0.*"')
    parser.add_argument("--exact", type=str | None, default=None, help="FIRST-LAST: tokens of which exact weights are kept")
    parser.add_argument(
        "--tested",
        type=NonNegativeInt,
        default=3,
        help="predictions on which it is tested how far the pictures can be believed",
    )
    parser.add_argument("--save", type=str | None, default=None, help="folder to keep the statistics in (regard.Lens.load)")
    options = parser.parse_args(arguments)
    if (Path(options.model) / "recipe.yaml").is_file() or not _is_hub_model(options.model):
        return _look_run(options)
    return _look_hub(options)


def _is_hub_model(name: str) -> bool:
    from regard.hub.models import is_model

    return is_model(name)


HUB_OPTIONS = {
    "lines": False,
    "max_tokens": None,
    "target": None,
    "sample": None,
    "layers": "*",
    "exact": None,
    "save": None,
}


def _look_run(options: Namespace) -> dict[str, Any]:
    if given := [name for name, default in HUB_OPTIONS.items() if options[name] != default]:
        raise InputError(f"--{given[0].replace('_', '-')} is for transformers models; {options.model} is a run folder.")
    from regard.tasks.folder import load_run
    from regard.train.run import write_report

    run = load_run(options.model)
    is_text = options.input != "-" and not Path(options.input).is_file()
    examples = run.task.read_input([options.input] if is_text else _input_lines(options.input))
    if not examples:
        raise InputError("the input holds no text to look at.", file=None if is_text else options.input)
    shown = examples[:50]
    if len(examples) > len(shown):
        print(f"Showing the first {len(shown)} of {len(examples)}.", file=sys.stderr)
    pictures = run.task.explain(run.encoder, run.model, shown)
    if not any(picture.layers for picture in pictures):
        raise InputError("there is nothing to show: the model found nothing in the input, or it was built without attention.")
    facts = run.task.faithfulness(run, shown, int(options.tested)) if options.tested else {}
    write_report(run, pictures, Path(options.out), facts=facts)
    result = {"task": run.task.name, "report": options.out, "num_examples": len(shown)}
    _print(options, f"report  {options.out}")
    return result


def _look_hub(options: Namespace) -> dict[str, Any]:
    from regard.hub.inputs import inputs_of
    from regard.hub.look import Options, look, page
    from regard.hub.models import load
    from regard.tasks.folder import write

    terms = Options(
        options.max_tokens and int(options.max_tokens),
        options.target,
        options.sample and int(options.sample),
        options.layers,
        _range(options.exact),
        int(options.tested),
    )
    inputs = inputs_of(options.input, is_by_line=options.lines)
    model = load(options.model)
    seen = look(model, inputs, terms)
    write(Path(options.out), page(model, seen))
    if options.save:
        seen.lens.save(options.save)
    _print(options, seen.lens.summary(), f"report  {options.out}")
    told = {"num_inputs": seen.num_inputs, "num_tokens": seen.num_tokens, "layers": seen.lens.layers}
    return {"model": options.model, "report": options.out, **told, "unseen": seen.lens.unseen, "heads": seen.heads}


def _range(given: str | None) -> range | None:
    """ "100-160" as positions, both ends counted."""
    if given is None:
        return None
    first, _, last = given.partition("-")
    if not (first.isdigit() and last.isdigit() and int(first) <= int(last)):
        raise InputError(f"--exact must be two positions such as 100-160, the first not after the last; got {given!r}.")
    return range(int(first), int(last) + 1)


def list_parts(arguments: list[str]) -> dict[str, Any]:
    """List what has a name: mechanisms, normalizers, masks, positions, gates, backends, tasks, recipes, statistics."""
    parser = _parser("list", list_parts)
    parser.add_argument("kind", type=str, nargs="?", default="", help=f"one of {', '.join(LISTS)}")
    options = parser.parse_args(arguments)
    if options.kind not in ("", *LISTS):
        raise InputError(f"there is no list of {options.kind!r}. Lists: {', '.join(LISTS)}.")
    found = {kind: LISTS[kind]() for kind in ([options.kind] if options.kind else LISTS)}
    for kind, lines in found.items():
        _print(options, kind, *(f"  {name:<20} {line}" for name, line in lines.items()))
    return found


COMMANDS: dict[str, Callable[[list[str]], dict[str, Any]]] = {
    "demo": demo,
    "check": check,
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "look": look,
    "list": list_parts,
}


def _parser(name: str, command: Callable[..., Any]) -> ArgumentParser:
    parser = ArgumentParser(prog=f"regard {name}", description=command.__doc__)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object, the last line")
    return parser


def _add_data(parser: ArgumentParser, task_kind: Any) -> None:
    hub = "; or a data set of the Hugging Face hub: owner/name or owner/name:config" if task_kind.reads_json else ""
    what = f"folder with train, dev and test files, of any ending (.gz and .zip too){hub}"
    parser.add_argument("--data", type=str | None, default=None, metavar="DIR", help=what)
    for split in ("train", "dev", "test"):
        parser.add_argument(
            f"--{split}", type=str | None, default=None, metavar="FILE", help=f"the {split} file, instead of the one in --data"
        )


def _singly(options: Namespace) -> dict[str, str | None]:
    return {split: options[split] for split in ("train", "dev", "test")}


def _take_task(command: str, arguments: list[str]) -> tuple[Any, list[str]]:
    """The task class and the rest; a task is a name of the catalog or an import path."""
    if not arguments or arguments[0].startswith("-"):
        if {"-h", "--help"} & set(arguments):
            print(f"usage: regard {command} TASK [options]\n")
            for name, line in LISTS["tasks"]().items():
                print(f"  {name:<6} {line}")
            print(f"\nEach has options of its own: regard {command} {next(iter(TASKS))} --help.")
            raise SystemExit(0)
        raise InputError(
            f"regard {command} needs a task first: regard {command} {next(iter(TASKS))} ... Tasks: {', '.join(TASKS)}."
        )
    return load(TASKS, arguments[0]), arguments[1:]


def _find_recipes(arguments: list[str]) -> list[str]:
    """--recipe NAME as --recipe FILE."""
    found = list(arguments)
    for place, word in enumerate(found[1:], 1):
        named = RECIPES / f"{word}.yaml"
        if found[place - 1] == "--recipe" and not Path(word).exists():
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


def _input_lines(source: str) -> list[str]:
    from regard.data.files import existing, read_lines, split_lines

    return split_lines(sys.stdin.buffer.read(), "standard input") if source == "-" else read_lines(existing(source))


def _score_lines(result: dict[str, Any], metric: str) -> list[str]:
    """A table: the score overall, then of each type or locale."""
    from regard.metrics.errors import in_one_line

    where = result.get("split") or result.get("file")
    lines = [f"{metric.removesuffix('_percent').replace('_', ' ')} on {where}: {result[metric]:.2f} %"]
    for name, value in next((result[key] for key in result if key.startswith("per_")), {}).items():
        if isinstance(value, dict):
            figures = "  ".join(
                f"{key.removesuffix('_percent')} {value[key]:6.2f}" for key in value if key.endswith("_percent")
            )
            lines.append(f"  {name:<20} {figures}  of {value['num_gold']}")
        else:
            lines.append(f"  {name:<20} {value:6.2f}")
    if "errors" in result:
        lines.append(f"errors  {in_one_line(result['errors'])}")
    return lines


def _print(options: Namespace, *lines: str) -> None:
    """What a person reads; with --json it goes to standard error, so that the last line of output is the result."""
    for line in lines:
        print(line, file=sys.stderr if options.json else sys.stdout)
