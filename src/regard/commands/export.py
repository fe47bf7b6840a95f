"""A trained run in a form that other programs take, from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regard.commands.options import parser_of, say
from regard.errors import InputError


def export(arguments: list[str]) -> dict[str, Any]:
    """Write a trained run in a form that other programs take: ctranslate2 of a Transformer that translates."""
    parser = parser_of("export", export)
    parser.add_argument("run", type=str, help="run folder")
    parser.add_argument("--format", type=str, required=True, help="ctranslate2")
    parser.add_argument("--out", type=str | None, default=None, help="folder to write (else RUN/FORMAT)")
    options = parser.parse_args(arguments)
    from regard.tasks.folder import load_run

    run = load_run(options.run)
    if options.format not in run.task.formats:
        known = ", ".join(run.task.formats) or "none yet"
        raise InputError(f"--format must be one of those that {run.task.name} has: {known}; got {options.format!r}.")
    result = run.task.export(run, options.format, Path(options.out or Path(options.run) / options.format))
    say(options, f"written  {result['folder']}  {result['bytes']:,} bytes")
    return {"task": run.task.name, "format": options.format, **result}
