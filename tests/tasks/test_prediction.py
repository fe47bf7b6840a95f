"""Prediction on texts of any length: lines, memory, progress."""

import io
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from regard.cli import main
from regard.data import stream
from regard.data.sentence import Sentence
from regard.errors import InputError
from regard.models.options import TaggerOptions, WordOptions
from regard.tasks import progress as progress_module
from regard.tasks.dates.task import Dates
from regard.tasks.folder import Run, save_start, save_weights
from regard.tasks.ner.task import Ner
from regard.tasks.progress import Progress
from regard.tasks.source import read_examples
from regard.tasks.srl.task import Srl


@pytest.fixture
def run_folder(tmp_path):
    """An untrained tagger, as small as can be."""
    torch.manual_seed(0)
    task = Ner(words=WordOptions(d_word=4, d_character=4, d_affix=2), model=TaggerOptions(d_recurrent=4, mechanism="none"))
    encoder = task.fit_encoder([Sentence(("Ada", "met"), ("B-PER", "O"))])
    model = task.build(encoder)
    folder = tmp_path / "run"
    folder.mkdir()
    save_start(folder, Run(task, encoder, model), {})
    save_weights(folder, model)
    return folder


class Words:
    """A task of which an example is a line, and a line with an x is wrong."""

    is_line_by_line = False

    def read_input(self, lines):
        for number, line in enumerate(lines, 1):
            if "x" in line:
                raise InputError("no x may be there.", file="input", line=number)
        return [Sentence((line,), line=number) for number, line in enumerate(lines, 1) if line]


def read_in_chunks(monkeypatch, task, lines, size):
    monkeypatch.setattr(stream.chunks, "__defaults__", (size,))
    return [one for part in read_examples(task, lines, "name") for one in part]


def columns(length, number):
    return [*(f"w{number}.{place} NN B-NP O" for place in range(length)), ""]


def rows(length, number, more):
    return [f"# sent_id = {number}", *(f"{place}\tw{number}" + "\t_" * more for place in range(1, length + 1)), ""]


LENGTHS = [1 + number * 7 % 5 for number in range(30)]
PROPOSITION = '{{"tokens": ["Ada", "met", "and", "left", "{}"], "predicate": {}, "arguments": []}}'
TEXTS = {
    "words": (Words(), [*"abc", "", *"defghij", "", *"k"]),
    "columns behind the mark of a document": (
        Ner(),
        ["-DOCSTART- -X- -X- O", "", *(line for number, length in enumerate(LENGTHS) for line in columns(length, number))],
    ),
    "CoNLL-U behind a comment": (
        Ner(),
        ["# newdoc id = a", "", *(line for number, length in enumerate(LENGTHS) for line in rows(length, number, 8))],
    ),
    "CoNLL-U Plus behind its header": (
        Srl(),
        [
            "# global.columns = ID FORM UP:PRED UP:ARGHEADS UP:ARGSPANS",
            "",
            *(line for number, length in enumerate(LENGTHS) for line in rows(length, number, 3)),
        ],
    ),
    "a proposition a line": (
        Srl(),
        [PROPOSITION.format(number % 2, place) for number in range(20) for place in (1, 3, 2)[: 2 + number % 2]],
    ),
    "text": (Srl(), ["Ada left. Why? She had to -", "the O", "an *"] * 10),
    "dates": (Dates(), [f"{day} May 1979" for day in range(1, 30)]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_examples_are_those_of_the_whole_text(monkeypatch, name):
    task, lines = TEXTS[name]
    whole = task.read_input(lines)
    for size in range(12, 40):
        assert read_in_chunks(monkeypatch, task, lines, size) == whole


def test_a_chunk_that_is_all_one_example_is_cut(monkeypatch):
    lines = [PROPOSITION.format("now", place) for place in (0, 1, 2, 3)]
    found = read_in_chunks(monkeypatch, Srl(), lines, 2)
    assert [[own.predicate for own in one.propositions] for one in found] == [[0, 1], [2, 3]]
    assert [one.line for one in found] == [1, 3]


def test_a_long_text_without_blank_lines_is_known_by_two_of_them(monkeypatch):
    """Before a chunk is read: two lines and a blank one, and the line that was held back of the chunk before."""
    seen, read = [], Words.read_input
    monkeypatch.setattr(Words, "read_input", lambda self, lines: seen.append(len(lines)) or read(self, lines))
    assert len(read_in_chunks(monkeypatch, Words(), list(map(str, range(700))), 300)) == 700
    assert seen == [300, 2 + 1 + 1 + 300, 2 + 1 + 1 + 100]


@pytest.mark.parametrize("bad", [0, 3, 4, 11])
def test_a_bad_line_is_told_by_its_number_after_what_came_before(monkeypatch, bad):
    """Of a chunk of four lines the last is held back, to be read with the next."""
    monkeypatch.setattr(stream.chunks, "__defaults__", (4,))
    lines = [*"abcdefghijklm"]
    lines[bad] = "x"
    given = []
    with pytest.raises(InputError, match=rf"^name:{bad + 1}: no x may be there") as told:
        given.extend(one for part in read_examples(Words(), lines, "name") for one in part)
    assert (told.value.file, told.value.line) == ("name", bad + 1)
    assert len(given) == max(0, bad // 4 * 4 - 1)


def test_a_file_is_predicted_in_order(run_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(stream.chunks, "__defaults__", (7,))
    texts = [" ".join(["Ada", "met"] * (1 + i % 5)) + f" {i}" for i in range(40)]
    (tmp_path / "in.txt").write_text("\n".join(texts))
    assert main(["predict", str(run_folder), "--input", str(tmp_path / "in.txt"), "--json"]) == 0
    *lines, result = map(json.loads, capsys.readouterr().out.splitlines())
    assert [" ".join(line["tokens"]) for line in lines] == texts
    assert result == {"task": "ner", "num_predictions": 40, "num_left_out": 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"one\ntwo\nthree\ncaf\xe9\n", "in:4: the text must be UTF-8"),
        (b'{"text": "one"}\n{"text": "two"}\n{"text": "three"}\n{"text": 4}\n', "in:4: "),
        (b"one\tO\n\ntwo\tO\n\nthree\tO\nfour\tO\textra\n\n", "in:6: this row must have 2 columns"),
    ],
    ids=["text", "JSON lines", "columns"],
)
def test_what_was_predicted_before_an_error_is_out(run_folder, tmp_path, capsys, monkeypatch, text, message):
    monkeypatch.setattr(stream.chunks, "__defaults__", (3,))
    (tmp_path / "in").write_bytes(text)
    assert main(["predict", str(run_folder), "--input", str(tmp_path / "in"), "--json"]) == 2
    printed = capsys.readouterr()
    *lines, result = map(json.loads, printed.out.splitlines())
    assert [line["tokens"] for line in lines] == [["one"], ["two"]]
    assert message in result["error"]
    assert printed.err.count("\n") == 1


def test_nothing_in_nothing_out(run_folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"\n\n")))
    assert main(["predict", str(run_folder), "--input", "-"]) == 0
    assert capsys.readouterr().out == ""


MEASURE = """
import resource, sys
from regard.cli import main
sys.stdout = open("/dev/null", "w")
for path in sys.argv[2:]:
    assert main(["predict", sys.argv[1], "--input", path, "--json"]) == 0
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def test_memory_does_not_grow_with_the_text(run_folder, tmp_path):
    """100,000 sentences and as many different words take what 20,000 take."""
    for name, count in (("some", 20_000), ("many", 100_000)):
        (tmp_path / name).write_text("".join(f"Ada met number{i} .\n" for i in range(count)))
    paths = [str(tmp_path / name) for name in ("some", "many")]
    command = [sys.executable, "-c", MEASURE, str(run_folder), *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    some, many = (int(line) / 1024 for line in done.stderr.split())
    assert many - some < 20, f"{some:.0f} MB, then {many:.0f} MB"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now.seconds)
    return now


def test_a_terminal_has_one_live_line(clock, monkeypatch):
    said = Terminal()
    monkeypatch.setattr("sys.stderr", said)
    with Progress("words") as progress:
        clock.seconds += 10
        progress.add(5000, 0.25)
        clock.seconds += 0.1
        progress.add(10, 0.26)
        assert said.getvalue().startswith("\r\x1b[2K████············ 5,000 words  500 words/s  0:30 left, until ")
        clock.seconds += 1
        progress.add(0, None)
    assert said.getvalue().endswith("\r\x1b[2K5,010 words  451 words/s\r\x1b[2K")
    assert said.getvalue().count("\r") == 3


def test_elsewhere_a_line_now_and_then(clock, monkeypatch):
    said = io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    with Progress("words") as progress:
        for _ in range(70):
            clock.seconds += 1
            progress.add(100, None)
    assert said.getvalue() == "3,000 words  100 words/s\n6,000 words  100 words/s\n"


@pytest.mark.parametrize(("is_quiet", "out"), [(True, io.StringIO()), (False, Terminal())])
def test_results_on_the_same_terminal_or_as_json_are_left_alone(clock, monkeypatch, is_quiet, out):
    said = Terminal()
    monkeypatch.setattr("sys.stderr", said)
    monkeypatch.setattr("sys.stdout", out)
    with Progress("words", is_quiet=is_quiet) as progress:
        clock.seconds += 60
        progress.add(100, 0.5)
    assert said.getvalue() == ""
