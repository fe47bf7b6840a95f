"""Broken files, through the command line: one clear message each and exit code 2, never a traceback."""

import gzip
import io
import json
import random
import zipfile
from collections import Counter

import pytest

from regard.cli import main
from regard.data.entities import FORMATS as ENTITY_FORMATS
from regard.data.entities import write_entities
from regard.data.roles import FORMATS as ROLE_FORMATS
from regard.data.roles import write_roles
from regard.data.sentence import Proposition, RoleSentence, Sentence
from regard.data.spans import Span

NUM_FILES = 200
TRAINED = range(0, 130, 13)
LONGEST_MESSAGE = 500
SMALL = {
    "words.d_word": 4,
    "words.d_character": 4,
    "words.d_affix": 2,
    "model.d_recurrent": 4,
    "model.mechanism": "none",
    "training.max_epochs": 1,
}
OPTIONS = [text for name, value in SMALL.items() for text in (f"--{name}", value)]

ENTITIES = [
    Sentence(
        ("Ada", "Lovelace", "met", "Józef", "."),
        ("B-PER", "I-PER", "O", "B-PER", "O"),
        text="Ada Lovelace met Józef.",
        offsets=((0, 3), (4, 12), (13, 16), (17, 22), (22, 23)),
    ),
    Sentence(("In", "東京", "!"), ("O", "B-LOC", "O")),
    Sentence(("New", "York", "😀"), ("B-LOC", "I-LOC", "O")),
] * 4
ROLES = [
    RoleSentence(
        ("Ada", "met", "Józef", "and", "wrote", "notes"),
        (
            Proposition(1, "meet.02", (Span("ARG0", 0, 1), Span("ARG1", 2, 3))),
            Proposition(4, "write.01", (Span("ARG0", 0, 1), Span("ARG1", 5, 6))),
        ),
    ),
    RoleSentence(("It", "rained", "in", "東京"), (Proposition(1, "rain.01", (Span("ARGM-LOC", 2, 4),)),)),
    RoleSentence(("Silence", "."), ()),
] * 4
UNER = "# text = Ada left\n1\tAda\tB-PER\t-\n2\tleft\tO\t-\n\n"
ALLENNLP = '{"words": ["It", "rained"], "verbs": [{"verb": "rained", "tags": ["O", "B-V"]}]}\n'


def files_of(formats, write, examples, **more):
    written = {name: "\n".join(write(examples, name)) + "\n" for name in formats} | more
    return {name: text.encode() for name, text in written.items()}


FILES = {
    "ner": files_of(ENTITY_FORMATS, write_entities, ENTITIES, uner=UNER * 3),
    "srl": files_of(ROLE_FORMATS, write_roles, ROLES, allennlp=ALLENNLP * 3),
}


def changed_at(data, draw, old, new):
    """One of the places where one of `old` stands gets one of `new`."""
    places = [place for place, byte in enumerate(data) if byte in old]
    place = draw.choice(places or [0])
    return data[:place] + draw.choice(new) + data[place + 1 :]


def with_row(data, draw, change):
    """A row with columns, or with members, is another."""
    lines = data.split(b"\n")
    number = draw.choice([number for number, line in enumerate(lines) if line])
    separator = b"\t" if b"\t" in lines[number] else b", "
    lines[number] = separator.join(change(lines[number].split(separator)))
    return b"\n".join(lines)


def zipped(*members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, member in enumerate(members):
            archive.writestr(f"{number}.txt", member)
    return packed.getvalue()


def cut(data, draw):
    return data[: draw.randrange(len(data))]


def flipped(data, draw):
    broken = bytearray(data)
    for _ in range(draw.randint(1, 9)):
        broken[draw.randrange(len(broken))] ^= 1 << draw.randrange(8)
    return bytes(broken)


FAULTS = {
    "bits flipped": flipped,
    "cut off": cut,
    "a line cut": lambda data, draw: with_row(data, draw, lambda row: [draw.choice(row)[:3]]),
    "a column dropped": lambda data, draw: with_row(data, draw, lambda row: row[:-1]),
    "a column too many": lambda data, draw: with_row(data, draw, lambda row: [*row, draw.choice(row)]),
    "columns in another order": lambda data, draw: with_row(data, draw, lambda row: row[::-1]),
    "a value emptied": lambda data, draw: with_row(data, draw, lambda row: [b"", *row[1:]]),
    "a bracket broken": lambda data, draw: changed_at(data, draw, b"()[]{}", [b"", b"(", b")", b"]", b"{", b"(("]),
    "a sign broken": lambda data, draw: changed_at(data, draw, b'":,|*-=', [b"", b'"', b":", b"|", b"*", b"\t"]),
    "another number": lambda data, draw: changed_at(
        data, draw, b"0123456789", [b"-1", b"99", b"1e9", b"0.5", b"null", b"9" * 30]
    ),
    "another letter": lambda data, draw: changed_at(data, draw, b"BIOPERLV", [b"X", b"", b" ", b"\\ud800", b"\x85"]),
    "Latin-1": lambda data, draw: data.decode().encode("latin1", "replace"),
    "UTF-16": lambda data, draw: data.decode().encode(draw.choice(["utf-16", "utf-16-le", "utf-16-be"])),
    "NULs": lambda data, draw: changed_at(data, draw, data, [b"\0" * 8]),
    "a huge line": lambda data, draw: changed_at(data, draw, data, [draw.choice([b"x", b"[", b"{", b"("]) * 300_000]),
    "empty": lambda data, draw: draw.choice([b"", b"\n\n", b"#\n", b" ", b"[]", b"{}", b"[", b"null", b"\xef\xbb\xbf"]),
    "not text": lambda data, draw: draw.randbytes(2000),
}
PACKINGS = {
    "cut": lambda data, draw: (".gz", cut(gzip.compress(data), draw)),
    "flipped": lambda data, draw: (".gz", flipped(gzip.compress(data), draw)),
    "none": lambda data, draw: (draw.choice([".gz", ".zip"]), data),
    "zip cut": lambda data, draw: (".zip", cut(zipped(data), draw)),
    "zip flipped": lambda data, draw: (".zip", flipped(zipped(data), draw)),
    "of two": lambda data, draw: (".zip", zipped(data, data)),
    "of none": lambda data, draw: (".zip", zipped()),
}


def broken(task, seed):
    """(What is wrong with it, its ending, its bytes): a small file of one of the formats, broken once in one of these ways."""
    draw = random.Random(f"{task} {seed}")
    name = sorted(FILES[task])[seed % len(FILES[task])]
    fault = draw.choice([*FAULTS, *PACKINGS])
    if fault in FAULTS:
        return f"{name}: {fault}", "", FAULTS[fault](FILES[task][name], draw)
    return f"{name}: {fault}", *PACKINGS[fault](FILES[task][name], draw)


def written(folder, task, seed):
    what, ending, data = broken(task, seed)
    path = folder / f"{seed}.txt{ending}"
    path.write_bytes(data)
    return what, path


def answer(capsys, *arguments):
    """The exit code, the result, and what was said."""
    code = main([*map(str, arguments), "--json"])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err, printed.err
    return code, json.loads(printed.out.splitlines()[-1]), printed.err


@pytest.mark.parametrize("task", FILES)
def test_files_that_are_not_broken_are_read(task, tmp_path, capsys):
    for name, data in FILES[task].items():
        (tmp_path / name).write_bytes(data)
        code, result, _ = answer(capsys, "check", task, "--train", tmp_path / name)
        assert (code, result["num_errors"]) == (0, 0), name


@pytest.mark.parametrize("task", FILES)
def test_a_broken_file_is_told_with_clear_messages(task, tmp_path, capsys):
    codes = Counter()
    for seed in range(NUM_FILES):
        what, path = written(tmp_path, task, seed)
        code, result, said = answer(capsys, "check", task, "--train", path)
        codes[code] += 1
        assert code == (2 if result["num_errors"] else 0), what
        for finding in result["findings"]:
            assert finding["file"] == str(path)
            assert "\n" not in finding["message"]
            assert 10 < len(finding["message"]) < LONGEST_MESSAGE, what
            assert finding["message"] in said
    assert set(codes) == {0, 2}
    assert codes[2] > 0.8 * NUM_FILES


@pytest.mark.parametrize("task", FILES)
def test_nothing_is_trained_on_a_broken_file(task, tmp_path, capsys):
    codes = Counter()
    for seed in TRAINED:
        what, path = written(tmp_path, task, seed)
        _, checked, _ = answer(capsys, "check", task, "--train", path)
        out = tmp_path / f"run{seed}"
        code, result, said = answer(capsys, "train", task, "--train", path, *OPTIONS, "--out", out)
        codes[code] += 1
        assert code == (2 if checked["num_errors"] else 0), what
        if code:
            (first, *_) = (one["message"] for one in checked["findings"] if one["level"] == "error")
            assert f"{path}:" in result["error"]
            assert first in result["error"]
            assert said.count("regard: error:") == said.count("\n") == 1
            assert not out.exists()
    assert set(codes) == {0, 2}
