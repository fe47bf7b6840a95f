"""Using a trained run from the command line: its scores and its predictions."""

from __future__ import annotations

import json
import sys
from itertools import chain
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt

from regard.commands.options import options_of_run, parser_of, say
from regard.errors import InputError

DATA = (
    "a file, a folder with a test part, class folders or an archive of pictures, "
    "or a data set of the Hugging Face hub: owner/name or owner/name:config"
)

SHOWN = ("_percent", "perplexity", "bits_per_character", "bits_per_byte", "bits_per_dimension", "kid")
"""How the names of scores end that a person is told beside the main one."""


def evaluate(arguments: list[str]) -> dict[str, Any]:
    """Score a trained run on a file, or on the test file of a folder. Named with a run, --help has its options too."""
    parser = parser_of("evaluate", evaluate)
    chosen = options_of_run(parser, arguments, "scoring")
    parser.add_argument("run", type=str, help="run folder")
    parser.add_argument("--data", type=str, required=True, help=DATA)
    parser.add_argument(
        "--errors", type=str | None, default=None, help="a page to write: the worst errors, and where it looked"
    )
    parser.add_argument("--num-errors", type=PositiveInt, default=30, help="how many of them")
    options = parser.parse_args(arguments)
    from regard.data.findings import raise_first_error, tell
    from regard.tasks.folder import load_run

    made = parser.instantiate(options)
    run = load_run(options.run, chosen={name: made[name] for name in chosen})
    path = run.task.scored(options.data)
    read, findings = run.task.read(path)
    raise_first_error(findings)
    tell(findings)
    examples = run.task.cut(run.encoder, read, is_training=False)
    with run.on_fastest():
        predictions = run.predict(examples)
    result = {"task": run.task.name, "file": str(path), **run.task.score(examples, predictions)}
    say(options, *score_lines(result, run.task.metric))
    if options.errors:
        from regard.train.run import write_report

        pictures = run.task.worst_errors(run, examples, predictions, int(options.num_errors))
        write_report(run, pictures, Path(options.errors), result, title=f"the {len(pictures)} worst errors, worst first")
        result["report"] = options.errors
        say(options, f"report  {options.errors}")
    return result


def predict(arguments: list[str]) -> dict[str, Any]:
    """Predict: one JSON object a line on standard output. Named with a run, --help has what can be chosen for it too."""
    parser = parser_of("predict", predict)
    chosen = options_of_run(parser, arguments)
    parser.add_argument("run", type=str, help="run folder")
    parser.add_argument(
        "--input",
        type=str,
        required=True,
        help="a file, or - for standard input: text, JSON lines, columns; a picture, a folder or archive of pictures",
    )
    parser.add_argument(
        "--n-best", type=NonNegativeInt, default=0, help="so many answers to each, ranked; of entities, how sure each is"
    )
    parser.add_argument("--align", action="store_true", help="of translations: which source word each word comes from")
    parser.add_argument("--draw", type=str | None, default=None, metavar="FOLDER", help="draw what is found into each picture")
    parser.add_argument("--stream", action="store_true", help="write each text as it comes, to be read along, and no JSON")
    options = parser.parse_args(arguments)
    from regard.tasks.folder import load_run, writable
    from regard.tasks.prediction import predict_source
    from regard.tasks.progress import Progress

    made = parser.instantiate(options)
    run = load_run(options.run, chosen={name: made[name] for name in chosen})
    if options.stream:
        return _stream(run, options)
    if options.align:
        run.task.align(run, [], [])  # where there are none, that is told before hours of work
    if options.draw:
        writable(Path(options.draw), "--draw must name a folder that can be made and written: {}. Name another.")
    encode, count, num_left_out = json.JSONEncoder(ensure_ascii=False).encode, 0, 0
    quiet = Progress(run.task.unit, is_quiet=options.json)
    with run.on_fastest(), run.task.opened(run.encoder, options.input) as source, quiet as progress:
        for examples, results in predict_source(run, source, int(options.n_best), is_aligned=options.align):
            print("\n".join(map(encode, results)), flush=True)
            for example, record in zip(examples, results, strict=True):
                if "error" in record:
                    num_left_out += 1
                    _tell_left_out(source, example, record["error"])
                elif options.draw:
                    run.task.draw(example, record, Path(options.draw))
            count += len(examples)
            progress.add(sum(map(run.encoder.length, examples)), source.share)
    return {"task": run.task.name, "num_predictions": count - num_left_out, "num_left_out": num_left_out}


def _tell_left_out(source: Any, example: Any, error: str) -> None:
    print(f"error: {source.place_of(example)}: {error} It is left out.", file=sys.stderr)


def _stream(run: Any, options: Namespace) -> dict[str, Any]:
    """What is written of each example, as it comes, with an empty line behind it."""
    if beside := next((name for name in ("n_best", "align", "draw") if options[name]), None):
        raise InputError(f"--stream writes the text alone: leave out --{beside.replace('_', '-')}, or --stream.")
    count, num_left_out = 0, 0
    with run.task.opened(run.encoder, options.input) as source:
        for example in chain.from_iterable(source):
            count += 1
            if error := getattr(example, "error", ""):
                num_left_out += 1
                _tell_left_out(source, example, error)
            else:
                for text in run.task.stream(run, example):
                    print(text, end="", flush=True)
                print("\n", flush=True)
    return {"task": run.task.name, "num_predictions": count - num_left_out, "num_left_out": num_left_out}


def score_lines(result: dict[str, Any], metric: str) -> list[str]:
    """A table: the score overall, then of each type or locale."""
    from regard.metrics.errors import in_one_line
    from regard.tasks.progress import figure, named

    where = result.get("split") or result.get("file")
    lines = [f"{named(metric)} on {where}: {figure(metric, result[metric])}"]
    others = [name for name in result if name.endswith(SHOWN) and name not in (metric, f"dev_{metric}")]
    if others:
        lines.append("  ".join(f"{named(name)} {figure(name, result[name]).removesuffix(' %')}" for name in others))
    for name, value in next((result[key] for key in result if key.startswith("per_")), {}).items():
        if isinstance(value, dict):
            figures = "  ".join(
                f"{key.removesuffix('_percent')} {value[key]:6.2f}" for key in value if key.endswith("_percent")
            )
            lines.append(f"  {name:<20} {figures}  of {value['num_gold']}")
        else:
            lines.append(f"  {name:<20} {value:6.2f}")
    if result.get("signature"):
        lines.append(f"signature  {result['signature']}")
    if "errors" in result:
        lines.append(f"errors  {in_one_line(result['errors'])}")
    return lines
