"""What each command takes and does. Imports nothing heavy until one runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from regard.commands.export import export
from regard.commands.look import look
from regard.commands.options import Seed, add_data, parser_of, say, singly, take_task
from regard.commands.score import evaluate, predict
from regard.commands.train import train
from regard.errors import InputError
from regard.listing import LISTS


def demo(arguments: list[str]) -> dict[str, Any]:
    """Train the embedded example: dates as people write them in 32 locales, into ISO 8601."""
    parser = parser_of("demo", demo)
    parser.add_argument("--out", type=str, default="runs/demo", help="run folder")
    parser.add_argument("--seed", type=Seed, default=0, help="decides the dates drawn, the weights and the order")
    parser.add_argument("--again", action="store_true", help="train again although the run folder holds a finished demo")
    options = parser.parse_args(arguments)
    from regard.demo import run_demo

    result = run_demo(Path(options.out), int(options.seed), is_again=options.again)
    say(options, *(f"  {row['text']}  →  {row['iso']}  {row['verdict']}" for row in result["examples"]))
    score = f"exact match on {result['num_dates']:,} held-out dates: {result['exact_match_percent']:.2f} %"
    say(options, score, f"open {result['report']} to see where the model looks")
    return result


def check(arguments: list[str]) -> dict[str, Any]:
    """Validate files: each finding with file, line and what to do. Exit code 2 when one is an error."""
    task_kind, arguments = take_task("check", arguments)
    parser = parser_of(f"check {task_kind.name}", check)
    add_data(parser, task_kind)
    for name in task_kind.when_reading:
        parser.add_class_arguments(type(getattr(task_kind(), name)), name)
    options = parser.parse_args(arguments)
    from regard.tasks.check import check_files

    made = parser.instantiate(options)
    task = task_kind(**{name: made[name] for name in task_kind.when_reading})
    result = check_files(task, task.files(options.data, singly(options)))
    say(options, *result["lines"])
    return {key: value for key, value in result.items() if key != "lines"}


def list_parts(arguments: list[str]) -> dict[str, Any]:
    """List what has a name: mechanisms, normalizers, masks, positions, gates, backends, tasks, recipes, statistics."""
    parser = parser_of("list", list_parts)
    parser.add_argument("kind", type=str, nargs="?", default="", help=f"one of {', '.join(LISTS)}")
    options = parser.parse_args(arguments)
    if options.kind not in ("", *LISTS):
        raise InputError(f"there is no list of {options.kind!r}. Lists: {', '.join(LISTS)}.")
    found = {kind: LISTS[kind]() for kind in ([options.kind] if options.kind else LISTS)}
    for kind, lines in found.items():
        widest = max(map(len, lines))
        say(options, kind, *(f"  {name:<{widest}}  {line}" for name, line in lines.items()))
    return found


COMMANDS: dict[str, Callable[[list[str]], dict[str, Any]]] = {
    "demo": demo,
    "check": check,
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "look": look,
    "export": export,
    "list": list_parts,
}
