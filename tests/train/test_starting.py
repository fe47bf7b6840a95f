"""A run that begins with another's weights and vocabularies."""

import json
from dataclasses import asdict, fields, replace
from types import SimpleNamespace

import pytest
import yaml
from safetensors.torch import load_file

from regard.catalog import TASKS, load
from regard.cli import main
from regard.commands.options import flattened
from regard.commands.parser import Parser
from regard.data.sentence import Proposition, RoleSentence, Sentence
from regard.data.spans import Span

SMALL = ["--words.d_word", "16", "--model.d_recurrent", "16", "--words.d_character", "8", "--model.num_heads", "2"]
STAY = ["--training.max_epochs", "1", "--training.learning_rate", "1e-12"]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Data of two types, and a run that knows them."""
    from tests.conftest import SENTENCES

    folder = tmp_path_factory.mktemp("first")
    (folder / "train.conll").write_text((SENTENCES + "\n") * 12)
    (folder / "dev.conll").write_text((SENTENCES + "\n") * 2)
    options = [*SMALL, "--training.max_epochs", "15", "--training.learning_rate", "0.02"]
    assert main(["train", "ner", "--data", str(folder), "--out", str(folder / "run"), *options]) == 0
    return folder


def result_of(capsys, *arguments):
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out.strip().split("\n")[-1])


def test_it_begins_as_the_other_ended_with_its_options_and_vocabularies(first, tmp_path, capsys):
    (tmp_path / "train.conll").write_text("Berlin\tS-LOC\nslept\tO\n\nBo\tS-PER\n\n" * 2)
    (tmp_path / "dev.conll").write_text((first / "dev.conll").read_text())
    out = tmp_path / "run"
    code, result = result_of(
        capsys, "train", "ner", "--data", tmp_path, "--start", first / "run", "--seed", 3, "--out", out, *STAY
    )
    assert (code, result["f1_percent"]) == (0, json.loads((first / "run" / "metrics.json").read_text())["f1_percent"])
    before, after = (load_file(folder / "model.safetensors") for folder in (first / "run", out))
    assert before.keys() == after.keys()
    assert max(float((before[name] - after[name]).abs().max()) for name in before if before[name].is_floating_point()) < 1e-6
    assert (out / "encoder.json").read_text() == (first / "run" / "encoder.json").read_text()
    recipe = yaml.safe_load((out / "recipe.yaml").read_text())
    assert (recipe["words"]["d_word"], recipe["training"]["max_epochs"], recipe["seed"]) == (16, 1, 3)
    assert recipe["start"] == str(first / "run")
    assert recipe["train"] == str(tmp_path / "train.conll")
    code, again = result_of(capsys, "train", "ner", "--out", out, "--resume")
    assert (code, again["f1_percent"]) == (0, result["f1_percent"])


def test_a_label_that_it_does_not_know_is_refused(first, tmp_path, capsys):
    (tmp_path / "train.conll").write_text("Berlin\tS-CITY\n\nBo\tS-PER\n\n" * 9)
    code, result = result_of(capsys, "train", "ner", "--data", tmp_path, "--start", first / "run", "--out", tmp_path / "run")
    assert code == 2
    assert "must know each label of the training file, and does not know CITY. Train without --start." in result["error"]


def test_another_size_and_another_task_are_refused(first, tmp_path, capsys):
    start = ["--data", first, "--start", first / "run", "--out", tmp_path / "run"]
    code, result = result_of(capsys, "train", "ner", *start, "--model.d_recurrent", "8")
    assert code == 2
    assert "model.safetensors: the weights do not fit" in result["error"]
    code, result = result_of(capsys, "train", "srl", *start)
    assert (code, result["error"].endswith("--start must name a run of srl, this one is of ner.")) == (2, True)
    code, result = result_of(capsys, "train", "ner", *start[:2], "--start", tmp_path)
    assert (code, "there is no run here" in result["error"]) == (2, True)


@pytest.mark.parametrize("name", TASKS)
def test_the_options_of_each_task_can_be_taken_over(name):
    kind = load(TASKS, name)
    parser, given = Parser(), kind(training=replace(kind().training, max_epochs=77))
    parser.add_class_arguments(kind, None)
    for field in fields(kind):
        parser.set_defaults(flattened(field.name, getattr(given, field.name)))
    made = parser.instantiate(parser.parse_args([]))
    assert json.dumps(asdict(kind(**{field.name: made[field.name] for field in fields(kind)}))) == json.dumps(asdict(given))


NAMED = [SimpleNamespace(label="a", boxes=[SimpleNamespace(label="a")]), SimpleNamespace(label="b", boxes=[])]
ROLES = RoleSentence(("x", "y"), (Proposition(0, None, (Span("a", 1, 2), Span("b", 0, 1))),))
LABELLED = {
    "ner": ("types", [Sentence(("x", "y"), ("B-a", "B-b"))]),
    "srl": ("labels", [ROLES]),
    "classify": ("names", NAMED),
    "detect": ("names", [SimpleNamespace(boxes=NAMED)]),
    "paint": ("classes", NAMED),
}


@pytest.mark.parametrize("name", LABELLED)
def test_each_task_with_labels_tells_those_that_are_unknown(name):
    task = load(TASKS, name)()
    known, examples = LABELLED[name]
    assert task.unknown(SimpleNamespace(**{known: ["a", "c"]}), examples) == {"b"}
    assert task.unknown(SimpleNamespace(**{known: ["b", "a"]}), examples) == set()


def test_a_painter_without_classes_knows_all_pictures():
    assert load(TASKS, "paint")().unknown(SimpleNamespace(classes=[]), NAMED) == set()


def test_texts_have_no_labels():
    assert load(TASKS, "generate")().unknown(None, ["a"]) == set()
