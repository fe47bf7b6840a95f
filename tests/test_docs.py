"""Every example in the README and the docs runs."""

import io
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from regard.cli import main
from regard.data.entities import parse_entities
from regard.data.roles import parse_roles

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language):
    for page in PAGES:
        for number, text in enumerate(
            re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf8"), re.S | re.M), 1
        ):
            yield pytest.param(text, id=f"{page.name}-{number}")


@pytest.mark.parametrize("code", list(blocks("python")))
def test_python_examples_run(code, tmp_path):
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", list(blocks("sh")))
def test_shell_examples_run(text, tmp_path, own_files, trained, monkeypatch):
    """With a small model and its own data; `make` is what runs these tests."""
    if text.startswith("make"):
        assert {line.split()[1] for line in text.strip().split("\n")} <= targets()
        return
    shutil.copytree(own_files, tmp_path, dirs_exist_ok=True)
    for name in RUNS:
        if name in text and f"--out {name}" not in text:
            shutil.copytree(trained(name), tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for line in text.strip().split("\n"):
        run(line.split("  #")[0], monkeypatch)


RUNS = {"runs/mine": "ner --data my-data", "runs/roles": "srl --data my-roles"}
SMALL = "--training.max_epochs 1 --words.d_word 8 --words.d_character 8 --words.d_affix 4 --model.d_recurrent 8"
ROLES = """{"tokens": ["Ada", "met", "Charles", "in", "London"], "predicates": [
  {"predicate": 1, "sense": "meet.02", "arguments": [["ARG0", 0, 1], ["ARG1", 2, 3], ["ARGM-LOC", 3, 5]]}]}
{"tokens": ["Silence", "."], "predicates": []}
""".replace("\n  ", "")


@pytest.fixture
def own_files(tmp_path_factory, tiny_data, tiny_encoder):
    """What a reader of the pages is thought to have: entities, roles, word vectors, an encoder."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(tiny_data, folder / "my-data")
    shutil.copytree(tiny_encoder, folder / "my-encoder")
    (folder / "my-roles").mkdir()
    for split, copies in (("train", 12), ("dev", 2), ("test", 2)):
        (folder / "my-roles" / f"{split}.jsonl").write_text(ROLES * copies)
    (folder / "vectors.txt").write_text("Ada 1 0 2\nLondon 0 1 3\n")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def trained(runs, own_files, monkeypatch):
    """The folder of a run that a page goes on from; each is trained once."""

    def folder_of(name):
        if not (runs / name).exists():
            monkeypatch.chdir(own_files)
            run(f"regard train {RUNS[name]} --out {runs / name} {SMALL}", monkeypatch)
        return runs / name

    return folder_of


def run(line, monkeypatch):
    """`regard …` or `echo "…" | regard …`, in this process: a new one takes seconds to import what it needs."""
    *given, command = line.split(" | ")
    if given:
        echo, text = shlex.split(given[0])
        assert echo == "echo"
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{text}\n".encode())))
    name, *arguments = shlex.split(command)
    assert name == "regard"
    assert main(arguments) == 0, line


def examples_of_formats():
    """Each block of the page about files, with the task whose part of the page it stands in."""
    parts = re.split(r"^## ", (ROOT / "docs" / "data.md").read_text(encoding="utf8"), flags=re.M)
    for part in parts:
        title = part.split("\n")[0]
        for number, text in enumerate(re.findall(r"^```conll\n(.*?)^```", part, re.S | re.M), 1):
            yield pytest.param(title, text.split("\n"), id=f"{title}-{number}")


@pytest.mark.parametrize(("title", "lines"), list(examples_of_formats()))
def test_examples_of_formats_are_read(title, lines):
    parse = {"Entities": parse_entities, "Roles": parse_roles}[title]
    sentences, findings = parse(lines, Path("data.md"))
    assert sentences
    assert not findings


def targets():
    return set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_results_table_says_what_the_result_files_say():
    done = subprocess.run([sys.executable, "benchmarks/table.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
