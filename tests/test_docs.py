"""Every example in the README and the docs runs."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
def test_shell_examples_run(text, tmp_path, tiny_data):
    """With a small model and its own data; `make` is what runs these tests."""
    if text.startswith("make"):
        assert {line.split()[1] for line in text.strip().split("\n")} <= targets()
        return
    shutil.copytree(tiny_data, tmp_path / "my-data")
    if "regard train" not in text:
        run("regard train ner --data my-data --out runs/mine --training.max_epochs 1", tmp_path)
    for line in text.strip().split("\n"):
        run(line.split("  #")[0], tmp_path)


def run(line, folder):
    line = re.sub(r"\bregard (?=\w+ )", f"{shlex.quote(sys.executable)} -m regard.cli ", line)
    done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stderr}"


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
