"""The command line: usage, exit codes, errors and Ctrl-C. The commands themselves are in `commands`."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import traceback
from typing import Any

from regard import __version__
from regard.catalog import did_you_mean
from regard.commands import COMMANDS
from regard.errors import InputError

USAGE = """usage: regard COMMAND ... [--json]

Build, train and see attention.

  regard demo                        train the embedded example (2 minutes), write runs/demo/report.html
  regard check TASK --data DIR       validate files: file, line, what is wrong, what to do
  regard train TASK --data DIR       train a model on DIR/train, choose it on DIR/dev, score it on DIR/test
  regard evaluate RUN --data FILE    score a trained run
  regard predict RUN --input FILE    predict, one JSON object a line (- reads standard input)
  regard look RUN --input TEXT       write report.html: where the model looks
  regard look MODEL --input FILE     the same for any transformers folder or hub id, of text or images
  regard export RUN --format FORMAT  write a run for other programs: ctranslate2, onnx, torch
  regard list [KIND]                 mechanisms, normalizers, masks, positions, gates, backends, tasks, recipes,
                                     statistics

Each command explains itself: regard COMMAND --help. With --json the last line of standard output is the result as
one JSON object. Exit code 0: done; 2: wrong usage or input, one message says what to do; 1: a fault of ours.

A first session on your own tagged sentences (token, tab, tag; a blank line between sentences):

  regard check ner --data my-data && regard train ner --data my-data --out runs/mine --max-minutes 10
  regard look runs/mine --input "Ada Lovelace met Charles Babbage in London ."
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"regard {__version__}")
        return 0
    command = COMMANDS.get(arguments[0])
    is_json = "--json" in arguments
    if command is None:
        near = did_you_mean(arguments[0], COMMANDS)
        return _fail(f"no command is called {arguments[0]!r}.{near} Commands: {', '.join(COMMANDS)}.", is_json, 2)
    before = _stop_on_ctrl_c(is_json)
    try:
        _require_text(arguments)
        result = command(arguments[1:])
        if is_json:
            print(json.dumps(_finite(result), ensure_ascii=False), flush=True)
        return result.get("exit_code", 0)
    except InputError as error:
        return _fail(str(error), is_json, 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read us has closed the pipe
        return 0
    except Exception as error:
        traceback.print_exc()
        return _fail(f"a fault of ours, please report it with the lines above: {error!r}", is_json, 1)
    finally:
        signal.signal(signal.SIGINT, before)


def _finite(value: Any) -> Any:
    """Plain values with null for NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _require_text(arguments: list[str]) -> None:
    """Bytes that are no UTF-8 would come to light much later, as a fault of ours."""
    for word in arguments:
        if not word.isascii() and word.encode(errors="replace").decode() != word:
            raise InputError(f"what is typed must be UTF-8, got {word!a}.")


def _stop_on_ctrl_c(is_json: bool) -> Any:
    """One line and exit code 2, at once, wherever it strikes: an exception would be lost in half-imported libraries.

    All files are written whole under other names and then renamed. Training has a handler of its own. Returns the old one.
    """

    def stop(number: int, frame: Any) -> None:
        code = _fail("Interrupted. What was finished before is kept.", is_json, 2)
        sys.stdout.flush()
        os._exit(code)

    return signal.signal(signal.SIGINT, stop)


def _fail(message: str, is_json: bool, code: int) -> int:
    print(f"regard: error: {message}", file=sys.stderr)
    if is_json:
        print(json.dumps({"error": message}, ensure_ascii=False))
    return code


if __name__ == "__main__":
    sys.exit(main())
