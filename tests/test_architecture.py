"""Imports point downwards only, and the light layers stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "regard"
BASE = {"errors", "catalog", "places"}
MAY = {
    "errors": set(),
    "places": set(),
    "catalog": {"errors"},
    "attention": BASE,
    "lens": BASE | {"attention"},
    "viewer": BASE | {"lens"},
    "models": BASE | {"attention"},
    "data": BASE,
    "metrics": BASE,
    "tasks": BASE | {"attention", "lens", "viewer", "models", "data", "metrics"},
    "hub": BASE | {"attention", "lens", "viewer", "data"},
    "train": BASE | {"attention", "lens", "viewer", "models", "data", "metrics", "tasks"},
}
TOP = {"__init__", "cli", "commands", "demo", "listing"}


def imports(path: Path) -> set[str]:
    """Parts of regard that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"
        for name in names:
            if name.split(".")[0] == "regard":
                found.add(".".join(name.split(".")[1:]))
        if isinstance(node, ast.ImportFrom) and node.module in ("regard", "regard.tasks", "regard.attention"):
            found |= {f"{node.module.removeprefix('regard').strip('.')}.{alias.name}".strip(".") for alias in node.names}
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path):
    here = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if here in TOP:
        return
    for name in imports(path):
        there = name.split(".")[0]
        assert there in MAY[here] | {here, ""}, f"{here} may not import {there}"


def test_backends_do_not_import_one_another():
    for path in (ROOT / "attention" / "backends").glob("*.py"):
        others = {name for name in imports(path) if name.startswith("attention.backends")}
        assert not others, f"{path.name} imports {others}"


def test_training_knows_no_task():
    for path in (ROOT / "train").rglob("*.py"):
        assert not {name for name in imports(path) if name.startswith(("tasks.ner", "tasks.srl", "tasks.dates"))}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["train", "ner", "--help"], ["predict", "--help"], ["train", "dates", "--help"], ["train", "srl", "--help"]],
)
def test_help_imports_nothing_heavy(arguments):
    code = f"""
import sys
from regard.cli import main
try: main({arguments!r})
except SystemExit as stop: assert not stop.code
heavy = {{"torch", "lightning", "numpy", "babel", "transformers", "datasets"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: regard")
