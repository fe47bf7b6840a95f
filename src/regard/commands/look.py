"""Where a model looks, from the command line: a run of ours, or any model of transformers."""

from __future__ import annotations

import sys
from itertools import chain, islice
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt

from regard.commands.options import options_of_run, parser_of, say
from regard.data.stream import is_file
from regard.errors import InputError

MOST_SHOWN = 50


def look(arguments: list[str]) -> dict[str, Any]:
    """Write a page that shows where a model looks: a run of ours, or any transformers model of text or images.

    Named with a run, --help has its options too.
    """
    parser = parser_of("look", look)
    chosen = options_of_run(parser, arguments)
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
        made = parser.instantiate(options)
        return _look_run(options, {name: made[name] for name in chosen})
    return _look_hub(options)


def _is_hub_model(name: str) -> bool:
    from regard.hub.models import is_model

    return is_model(name)


HUB_OPTIONS = {
    "lines": False,
    "max_tokens": None,
    "sample": None,
    "layers": "*",
    "exact": None,
    "save": None,
}


def _look_run(options: Namespace, chosen: dict[str, Any]) -> dict[str, Any]:
    if given := [name for name, default in HUB_OPTIONS.items() if options[name] != default]:
        raise InputError(f"--{given[0].replace('_', '-')} is for transformers models; {options.model} is a run folder.")
    from regard.tasks.folder import load_run
    from regard.train.run import write_report

    run = load_run(options.model, chosen=chosen)
    shown = _shown(run, options.input)
    if options.target is None:
        pictures = run.task.explain(run.encoder, run.model, shown)
    else:
        pictures = run.task.explain_saying(run, shown, options.target)
    if not any(picture.layers for picture in pictures):
        raise InputError("there is nothing to show: the model found nothing in the input, or it was built without attention.")
    facts = run.task.faithfulness(run, shown, int(options.tested)) if options.tested else {}
    write_report(run, pictures, Path(options.out), facts=facts)
    result = {"task": run.task.name, "report": options.out, "num_examples": len(shown)}
    say(options, f"report  {options.out}")
    return result


def _shown(run: Any, given: str) -> list[Any]:
    """The first examples of the input; where a task reads text, it may be given as it is."""
    task = run.task
    if task.reads == "text" and given != "-" and not is_file(given):
        found, name = task.read_input([given]), None
    else:
        with task.opened(run.encoder, given) as source:
            found, name = list(islice(chain.from_iterable(source), MOST_SHOWN + 1)), given
    if not found:
        raise InputError(f"the input holds no {task.reads} to look at.", file=name)
    if len(found) > MOST_SHOWN:
        print(f"Showing the first {MOST_SHOWN}.", file=sys.stderr)
    return found[:MOST_SHOWN]


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
    say(options, seen.lens.summary(), f"report  {options.out}")
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
