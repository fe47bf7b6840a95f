"""Every example in the README and the docs runs."""

import io
import re
import shlex
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from PIL import Image

from regard.cli import main
from regard.data.boxes import read_scenes
from regard.data.corpus import read_corpus
from regard.data.entities import parse_entities
from regard.data.pairs import Languages, read_pairs
from regard.data.pictures import read_pictures
from regard.data.roles import parse_roles
from regard.models.pictures.mobile import MOBILENET_V2, mobile_network

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language):
    for page in PAGES:
        for number, text in enumerate(
            re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf8"), re.S | re.M), 1
        ):
            yield pytest.param(text, id=f"{page.name}-{number}")


@pytest.mark.parametrize("code", list(blocks("python")))
def test_python_examples_run(code, tmp_path, request, monkeypatch):
    if '"my-' in code:
        shutil.copytree(request.getfixturevalue("own_files"), tmp_path, dirs_exist_ok=True)
    for name, (run_name, command, library) in EXPORTS.items():
        if name in code:
            pytest.importorskip(library, reason="needs the extra export")
            shutil.copytree(request.getfixturevalue("own_files"), tmp_path, dirs_exist_ok=True)
            shutil.copytree(request.getfixturevalue("trained")(run_name), tmp_path / run_name)
            monkeypatch.chdir(tmp_path)
            run(command, monkeypatch)
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


EXPORTS = {
    "german-ct2": ("runs/german", "regard export runs/german --format ctranslate2 --out german-ct2", "ctranslate2"),
    "flowers-onnx": ("runs/flowers", "regard export runs/flowers --format onnx --out flowers-onnx", "onnxscript"),
    "finder-onnx": ("runs/finder", "regard export runs/finder --format onnx --out finder-onnx", "onnxscript"),
    "flowers-torch": ("runs/flowers", "regard export runs/flowers --format torch --out flowers-torch", "torch"),
}
RUNS = {
    "runs/mine": "ner --data my-data",
    "runs/roles": "srl --data my-roles",
    "runs/german": "translate --data my-en-de",
    "runs/story": "generate --data my-text",
    "runs/flowers": "classify --data my-flowers",
    "runs/finder": "detect --data my-boxes --model.backbone.weights mobilenet_v2.pth",
    "runs/painter": "paint --data my-flowers",
    "runs/written": "paint --data my-flowers --model.name vae",
}
TAGGER = "--training.max_epochs 1 --words.d_word 8 --words.d_character 8 --words.d_affix 4 --model.d_recurrent 8"
TRANSFORMER = "--training.max_epochs 1 --model.d_model 16 --model.num_layers 1 --model.d_feedforward 16"
SMALL = {
    "ner": TAGGER,
    "srl": TAGGER,
    "translate": f"{TRANSFORMER} --text.vocabulary 300 --model.d_embedding 16",
    "generate": f"{TRANSFORMER} --text.context 32",
    "detect": "--training.max_epochs 1 --views.size 64 --model.d_model 16 --model.num_heads 2 --model.num_layers 1",
    "paint": "--training.max_epochs 1 --views.size 16 --model.gan.widths [4,4,4,4] --model.vae.widths [4,4,4,4]",
    "classify": "--training.max_epochs 1 --views.size 40 --model.convolutional.widths [4,4] --model.convolutional.num_blocks 1",
}
ROLES = """{"tokens": ["Ada", "met", "Charles", "in", "London"], "predicates": [
  {"predicate": 1, "sense": "meet.02", "arguments": [["ARG0", 0, 1], ["ARG1", 2, 3], ["ARGM-LOC", 3, 5]]}]}
{"tokens": ["Silence", "."], "predicates": []}
""".replace("\n  ", "")
PAIRS = {"en": "A dog sees a tree.\nThe cat sleeps.\n", "de": "Ein Hund sieht einen Baum.\nDie Katze schläft.\n"}


@pytest.fixture
def own_files(tmp_path_factory, tiny_data, tiny_encoder, own_pictures):
    """What a reader of the pages is thought to have: entities, roles, word vectors, an encoder, pairs, a text, pictures."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(tiny_data, folder / "my-data")
    shutil.copytree(tiny_encoder, folder / "my-encoder")
    (folder / "my-roles").mkdir()
    for split, copies in (("train", 12), ("dev", 2), ("test", 2)):
        (folder / "my-roles" / f"{split}.jsonl").write_text(ROLES * copies)
    (folder / "vectors.txt").write_text("Ada 1 0 2\nLondon 0 1 3\n")
    for data in ("my-en-de", "my-text"):
        (folder / data).mkdir()
    for split, copies in (("train", 12), ("dev", 2), ("test", 2)):
        for language, texts in PAIRS.items():
            (folder / "my-en-de" / f"{split}.{language}").write_text(texts * copies)
        (folder / "my-text" / f"{split}.txt").write_text("The wolf said: who was there?\n\n" * copies)
    shutil.copytree(own_pictures, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def own_pictures(tmp_path_factory):
    """Flowers of noise, photos to predict on, and the weights of a network that nobody trained."""
    folder, dice = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    parts = {"my-flowers/train": 6, "my-flowers/dev": 2, "my-flowers/test": 2, "my-photos": 1}
    for part, name in product(parts, ("daisy", "rose")):
        (folder / part / name).mkdir(parents=True)
        for number in range(parts[part]):
            Image.fromarray(dice.integers(0, 256, (18, 20, 3), np.uint8)).save(folder / part / name / f"{number}.png")
    (folder / "my-boxes").mkdir()
    for part, count in {"train": 4, "dev": 1, "test": 1}.items():
        rows = [f"{part}{number}.png,2,3,12,14,{name}" for name in ("daisy", "rose") for number in range(count)]
        (folder / "my-boxes" / f"{part}.csv").write_text("\n".join(["filename,xmin,ymin,xmax,ymax,class", *rows]))
        for number in range(count):
            Image.fromarray(dice.integers(0, 256, (18, 20, 3), np.uint8)).save(folder / "my-boxes" / f"{part}{number}.png")
    shutil.copy(folder / "my-photos" / "rose" / "0.png", folder / "my-photos" / "a.jpg")
    torch.save(mobile_network(MOBILENET_V2).state_dict(), folder / "mobilenet_v2.pth")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def trained(runs, own_files, monkeypatch):
    """The folder of a run that a page goes on from; each is trained once."""
    monkeypatch.setenv("REGARD_CACHE", str(runs / "cache"))

    def folder_of(name):
        if not (runs / name).exists():
            monkeypatch.chdir(own_files)
            run(f"regard train {RUNS[name]} --out {runs / name}", monkeypatch)
        return runs / name

    return folder_of


def run(line, monkeypatch):
    """`regard …` or `echo "…" | regard …`, in this process: a new one takes seconds to import what it needs.

    What is trained is small, and trained once over the data.
    """
    *given, command = line.split(" | ")
    if given:
        echo, text = shlex.split(given[0])
        assert echo == "echo"
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{text}\n".encode())))
    name, *arguments = shlex.split(command)
    assert name == "regard"
    small = SMALL[arguments[1]].split() if arguments[0] == "train" else []
    if arguments[0] == "export":
        monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # in what is traced, numbers are symbols
    assert main([*arguments, *small]) == 0, line


def examples_of_formats(*kinds):
    """Each block of the page about files, its kind, and the title of the part of the page it stands in."""
    parts = re.split(r"^## ", (ROOT / "docs" / "data.md").read_text(encoding="utf8"), flags=re.M)
    for part in parts:
        title = part.split("\n")[0]
        for number, (kind, text) in enumerate(re.findall(rf"^```({'|'.join(kinds)})\n(.*?)^```", part, re.S | re.M), 1):
            yield pytest.param(title, kind, text, id=f"{title}-{number}")


@pytest.mark.parametrize(("title", "kind", "text"), list(examples_of_formats("conll")))
def test_examples_of_formats_are_read(title, kind, text):
    parse = {"Entities": parse_entities, "Roles": parse_roles}[title]
    sentences, findings = parse(text.split("\n"), Path("data.md"))
    assert sentences
    assert not findings


@pytest.mark.parametrize(("title", "kind", "text"), list(examples_of_formats("csv")))
def test_examples_of_tables_of_pictures_are_read(title, kind, text, tmp_path):
    (tmp_path / "train.csv").write_text(text)
    (tmp_path / "pictures").mkdir()
    for name in ("1.jpg", "2.jpg"):
        Image.new("RGB", (4, 4)).save(tmp_path / "pictures" / name)
    if title == "Pictures with boxes":
        scenes, findings = read_scenes(tmp_path / "train.csv")
        labels = [scene.boxes[0].label for scene in scenes]
    else:
        pictures, findings = read_pictures(tmp_path / "train.csv")
        labels = [picture.label for picture in pictures]
    assert labels == ["daisy", "rose"]
    assert not findings


@pytest.mark.parametrize(("title", "kind", "text"), list(examples_of_formats("tsv", "jsonl", "tmx")))
def test_examples_of_files_are_read(title, kind, text, tmp_path):
    path = tmp_path / "my-en-de" / f"train.{kind}"
    path.parent.mkdir()
    path.write_text(text)
    read = {"Sentence pairs": lambda file: read_pairs(file, Languages()), "Running text": read_corpus}[title]
    found, findings = read(path)
    assert not findings
    if title == "Sentence pairs":
        assert (found[0].source, found[0].target) == ("A dog sees a tree.", "Ein Hund sieht einen Baum.")
    else:
        assert sum(block.num_documents for block in found) == 2


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
