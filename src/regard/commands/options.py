"""What several commands share: their parsers, the data they take, what they say."""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace
from jsonargparse.typing import restricted_number_type

from regard.catalog import TASKS, load
from regard.commands.parser import Parser
from regard.data.stream import is_file
from regard.errors import InputError
from regard.listing import LISTS

Seed = restricted_number_type("Seed", int, [(">=", 0), ("<=", 2**32 - 1)])
"""What NumPy's generators take too."""


class Help(DefaultHelpFormatter):
    """Each option with its default, where it has one; the names of Python's types say nothing to a person.

    Whole groups as files are left out: a recipe is one file. The usage names what cannot be left out.
    """

    def add_usage(self, usage: str | None, actions: Any, groups: Any, prefix: str | None = None) -> None:
        needed = [one for one in actions if one.required or not one.option_strings]
        words = [" ".join([*one.option_strings, one.metavar or one.dest.upper()]) for one in needed]
        shown = [word if one.required else f"[{word}]" for one, word in zip(needed, words, strict=True)]
        super().add_usage(" ".join(["%(prog)s", *shown, "[options]"]), actions, groups, prefix)

    def add_argument(self, action: Any) -> None:
        if action.metavar != "CONFIG":
            super().add_argument(action)

    def _get_type_str(self, action: Any) -> None:
        return None

    def _get_help_string(self, action: Any) -> str:
        said = super()._get_help_string(action)
        is_nothing = action.default is None or action.default is False or action.default == ""
        return said.removesuffix(" (default: %(default)s)") if is_nothing else said


def parser_of(name: str, command: Any) -> ArgumentParser:
    parser = Parser(prog=f"regard {name}", description=command.__doc__, formatter_class=Help)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object, the last line")
    return parser


def add_data(parser: ArgumentParser, task_kind: Any) -> None:
    hub = "; or a data set of the Hugging Face hub: owner/name or owner/name:config" if task_kind.reads_hub else ""
    kinds = {"text": "files, of any ending (.gz and .zip too)", "pictures": "parts: folders, archives or tables"}
    what = f"folder with train, dev and test {kinds[task_kind.reads]}{hub}"
    parser.add_argument("--data", type=str | None, default=None, metavar="DIR", help=what)
    for split in ("train", "dev", "test"):
        parser.add_argument(
            f"--{split}", type=str | None, default=None, metavar="FILE", help=f"the {split} file, instead of the one in --data"
        )


def singly(options: Namespace) -> dict[str, str | None]:
    return {split: options[split] for split in ("train", "dev", "test")}


def options_of_run(
    parser: ArgumentParser, arguments: list[str], when: Literal["predicting", "scoring"] = "predicting"
) -> tuple[str, ...]:
    """Add what a run's task lets a person choose anew, with what the run has as defaults; its fields' names."""
    words = [word for before, word in zip(["", *arguments], arguments, strict=False) if not before.startswith("--features.")]
    folder = next((word for word in words if is_file(Path(word) / "recipe.yaml")), None)
    if folder is None:
        return ()
    from regard.tasks.folder import load_recipe

    task = load_recipe(Path(folder))
    names: tuple[str, ...] = task.when_predicting if when == "predicting" else task.when_scoring
    for name in names:
        own = getattr(task, name)
        parser.add_class_arguments(type(own), name)
        parser.set_defaults(flattened(name, own))
    return names


def flattened(name: str, value: Any) -> dict[str, Any]:
    """Options by their names on the command line, those inside others too."""
    if not is_dataclass(value):
        return {name: value}
    return {
        key: inner for one in fields(value) for key, inner in flattened(f"{name}.{one.name}", getattr(value, one.name)).items()
    }


def take_task(command: str, arguments: list[str]) -> tuple[Any, list[str]]:
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


def say(options: Namespace, *lines: str) -> None:
    """What a person reads; with --json it goes to standard error, so that the last line of output is the result."""
    for line in lines:
        print(line, file=sys.stderr if options.json else sys.stdout)
