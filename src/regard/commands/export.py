"""A trained run in a form that other programs take, from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regard.catalog import TASKS, load
from regard.commands.options import parser_of, say
from regard.errors import InputError

FORMATS = {
    "ctranslate2": "CTranslate2's own, for a fast translator without PyTorch",
    "onnx": "ONNX, for onnxruntime and most others: bytes of pictures go in, what the model says comes out",
    "torch": "the same as a program of torch.export (.pt2), for PyTorch without this package",
}


def export(arguments: list[str]) -> dict[str, Any]:
    """Write a trained run in a form that other programs take.

    The new folder has all that is needed, and appears whole or not at all. Example:
    regard export runs/flowers --format onnx --out flowers-onnx
    """
    parser = parser_of("export", export)
    parser.add_argument("run", type=str, help="run folder")
    known = "; ".join(f"{name} ({', '.join(_tasks_with(name))}): {what}" for name, what in FORMATS.items())
    parser.add_argument("--format", type=str, required=True, help=known)
    parser.add_argument("--out", type=str | None, default=None, help="new folder to write (else RUN/FORMAT)")
    options = parser.parse_args(arguments)
    from regard.tasks.exported import contents_of
    from regard.tasks.folder import load_run

    run = load_run(options.run)
    if options.format not in run.task.formats:
        known = f"--format must be one of: {', '.join(run.task.formats)}"
        why = known if run.task.formats else "there is no format for them yet"
        raise InputError(f"runs of {run.task.name} cannot be exported as {options.format!r}: {why}.")
    folder = Path(options.out or Path(options.run) / options.format)
    found = run.task.export(run, options.format, folder)
    result = {**contents_of(folder), **found}
    say(options, f"written  {result['folder']}  {result['bytes']:,} bytes: {', '.join(result['files'])}")
    if "largest_difference" in result:
        say(options, f"checked  its answers differ from those of the run by {result['largest_difference']:.1g} at most")
    return {"task": run.task.name, "format": options.format, **result}


def _tasks_with(format: str) -> list[str]:
    return [name for name in TASKS if format in load(TASKS, name).formats]
