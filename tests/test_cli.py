"""The command line as a contract: exit codes, one clear message, one JSON object."""

import json
import os
import re
import stat

import pytest

from regard.cli import main
from regard.commands import COMMANDS

GOOD = "Ada\tB-PER\nmet\tO\n\n"


def run(capsys, *arguments):
    code = main([*map(str, arguments), "--json"])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return code, json.loads(printed.out.strip().split("\n")[-1]), printed.err


def folder_with(tmp_path, **files):
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.conll").write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def test_numbers_that_json_does_not_have_are_null(capsys, monkeypatch):
    heads = [{"induction": float("nan"), "entropy_bits": 1.5}]
    monkeypatch.setitem(COMMANDS, "list", lambda _: {"heads": heads, "largest": (float("-inf"), 2)})
    assert run(capsys, "list") == (0, {"heads": [{"induction": None, "entropy_bits": 1.5}], "largest": [None, 2]}, "")


BAD_FILES = {
    "column count": ("a\tO\nb\tX\tO\n", "train.conll:2: this row must have 2 columns"),
    "scheme": ("a\tO\nb\tPER\n", "train.conll:2: the tag 'PER' is of no known scheme"),
    "empty": ("", "train.conll: the file holds no sentence"),
    "encoding": (b"caf\xe9\tO\n", "train.conll:1: the text must be UTF-8"),
    "no entities": ("a\tO\nb\tO\n\nc\tO\n", "train.conll: no entity in the training file"),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_ends_training_with_one_message_and_nothing_written(tmp_path, capsys, content, message):
    folder, out = folder_with(tmp_path, train=content, dev=GOOD), tmp_path / "run"
    code, result, said = run(capsys, "train", "ner", "--data", folder, "--out", out)
    assert code == 2
    assert message in result["error"]
    assert said.count("regard: error:") == 1
    assert not out.exists()


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_check_finds_it_too(tmp_path, capsys, content, message):
    code, result, said = run(capsys, "check", "ner", "--data", folder_with(tmp_path, train=content, dev=GOOD))
    assert code == 2
    assert message in said
    assert result["num_errors"] == 1


def test_check_lists_every_finding(tmp_path, capsys):
    folder = folder_with(tmp_path, train=GOOD + "a\tI-PER\nb\tX\nc\n", dev=GOOD, test="z\tB-NEW\n")
    code, result, said = run(capsys, "check", "ner", "--data", folder)
    assert code == 2
    assert [(finding["level"], finding["line"]) for finding in result["findings"]] == [
        ("warning", 4),
        ("error", 5),
        ("error", 6),
    ]
    (folder / "train.conll").write_text(GOOD)
    code, result, said = run(capsys, "check", "ner", "--data", folder)
    assert (code, result["findings"][0]["line"]) == (0, 1)
    assert "the label NEW is not in the training file" in said
    assert result["files"]["test"]["entities"] == 1


def test_check_of_good_files_ends_well(tmp_path, capsys):
    names = [f"Ada{number}\tB-PER\nmet\tO\n\n" for number in range(7)]
    folder = folder_with(tmp_path, train="".join(names[:6]), dev=names[6])
    code, result, said = run(capsys, "check", "ner", "--data", folder)
    assert (code, result["num_errors"], result["findings"]) == (0, 0, [])
    assert "The files can be used." in said


def test_repaired_tags_are_told(tmp_path, capsys):
    code, _result, said = run(capsys, "check", "ner", "--data", folder_with(tmp_path, train=GOOD + "a\tI-PER\n"))
    assert code == 0
    assert "train.conll:4: I-PER continues nothing (before it: O); read as a start, as conlleval does." in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_run_folder_is_said(tmp_path, capsys):
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(stat.S_IRUSR | stat.S_IXUSR)
    code, result, _ = run(capsys, "train", "ner", "--data", folder_with(tmp_path, train=GOOD), "--out", closed / "run")
    assert code == 2
    assert "the run folder cannot be written: Permission denied. Choose another with --out" in result["error"]


def test_a_run_folder_inside_a_file_is_said(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, result, _ = run(
        capsys, "train", "ner", "--data", folder_with(tmp_path, train=GOOD * 9), "--out", tmp_path / "file" / "run"
    )
    assert code == 2
    assert "the run folder cannot be written: Not a directory. Choose another with --out" in result["error"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "no command is called 'trian'. Did you mean 'train'?"),
        (["train"], "regard train needs a task first"),
        (["train", "nre", "--data", "x"], "No part is called 'nre'. Did you mean 'ner'?"),
        (["train", "ner"], "No data was given. Name a folder with --data DIR"),
        (["train", "generate", "--data", "x", "--sampling.seed", "20000000000000"], "seed must be from 0 to 4294967295"),
        (["train", "generate", "--data", "x", "--sampling.temperature", ".nan"], "temperature must be 0, or from"),
        (["train", "ner", "--data", "nowhere"], "nowhere: --data must be a folder that exists"),
        (["train", "ner", "--recipe", "nothing"], ", ner_btc_en, ner_encoder, "),
        (["evaluate", "nowhere", "--data", "x"], "nowhere: there is no run here: recipe.yaml is missing"),
        (["predict", "nowhere", "--input", "x"], "nowhere: there is no run here"),
        (["look", "nowhere", "--input", "x"], "nowhere: there is no run here"),
        (["list", "things"], "there is no list of 'things'"),
        (["list", "caf\udce9"], r"what is typed must be UTF-8, got 'caf\udce9'"),
        (["train", "ner", "--recipe=nothing"], ", ner_btc_en, ner_encoder, "),
        (["check", "ner:Nothing", "--data", "x"], "must be an import path 'package.module:Name' that exists"),
    ],
)
def test_wrong_usage_is_answered_with_what_to_do(capsys, arguments, message):
    code, result, _ = run(capsys, *arguments)
    assert code == 2
    assert message in result["error"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--words.d_wrd", "5"], "regard train ner has no option --words.d_wrd. Did you mean 'words.d_word'?"),
        (["--model.d_wrd", "5"], "regard train ner has no option --model.d_wrd. Did you mean 'words.d_word'?"),
        (["--max_epochs", "5"], "regard train ner has no option --max_epochs. Did you mean 'training.max_epochs'?"),
        (["--zzz=5"], "regard train ner has no option --zzz."),
        (["more"], "regard train ner does not know what to do with 'more'."),
        (["--seed"], "--seed needs a value."),
        (["--model.dropout", "much"], "--model.dropout must be a number, got 'much'."),
        (["--model.d_recurrent", "1.5"], "--model.d_recurrent must be a whole number, got '1.5'."),
        (["--training.precision", "half"], "--training.precision must be one of auto, bfloat16, float32, got 'half'."),
        (["--seed", "-1"], "--seed must be a whole number from 0 to 4294967295, got '-1'."),
        (["--seed", "5000000000"], "--seed must be a whole number from 0 to 4294967295, got '5000000000'."),
        (["--seed", "many"], "--seed must be a whole number from 0 to 4294967295, got 'many'."),
        (["--max-minutes", "0"], "--max-minutes must be a number above 0, got '0'."),
        (["--monitor", "-1"], "--monitor must be a whole number from 0, got '-1'."),
    ],
)
def test_a_wrong_option_is_told_in_a_line(capsys, options, message):
    code, result, said = run(capsys, "train", "ner", "--data", "x", *options)
    assert code == 2
    assert result["error"] == f"{message} See regard train ner --help."
    assert said == f"regard: error: {result['error']}\n"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["look"], "regard look needs MODEL and --input."),
        (["export", "x"], "regard export needs --format."),
        (
            ["train", "srl", "--decoding.is_core_unique", "maybe"],
            "--decoding.is_core_unique must be true or false, got 'maybe'.",
        ),
        (["train", "generate", "--sampling.stop", "[x"], "--sampling.stop must be a list, such as [one, two], got '[x'."),
    ],
)
def test_what_a_command_needs_is_told(capsys, command, message):
    code, result, _ = run(capsys, *command)
    assert code == 2
    assert result["error"].startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "training:\n  max_epoch: 3\n",
            "has no option --training.max_epoch (in the recipe). Did you mean 'training.max_epochs'?",
        ),
        ("training:\n  max_epochs: many\n", "--training.max_epochs must be a whole number, got 'many'."),
        ("training: [\n", "a recipe must be YAML: "),
    ],
)
def test_a_wrong_recipe_is_told(tmp_path, capsys, content, message):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(content)
    code, result, _ = run(capsys, "train", "ner", "--data", "x", "--recipe", recipe)
    assert code == 2
    assert message in result["error"]


def test_an_internal_fault_has_a_code_of_its_own(capsys, monkeypatch):
    monkeypatch.setitem(main.__globals__["COMMANDS"], "list", lambda arguments: 1 / 0)
    assert main(["list"]) == 1
    assert "a fault of ours, please report it" in capsys.readouterr().err


def test_a_damaged_run_is_said(tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text("task: ner\n")
    (tmp_path / "encoder.json").write_text("{")
    code, result, _ = run(capsys, "evaluate", tmp_path, "--data", "x")
    assert code == 2
    assert "encoder.json: the vocabularies cannot be read" in result["error"]
    (tmp_path / "recipe.yaml").write_text("[")
    code, result, _ = run(capsys, "evaluate", tmp_path, "--data", "x")
    assert "recipe.yaml: not a recipe of a run" in result["error"]


def test_lists_name_the_catalog(capsys):
    from regard.catalog import BACKENDS, MASKS, MECHANISMS, TASKS

    _, result, _said = run(capsys, "list")
    for kind, table in (("mechanisms", MECHANISMS), ("masks", MASKS), ("backends", BACKENDS), ("tasks", TASKS)):
        assert set(result[kind]) == set(table)
        assert all(result[kind].values())
    assert "x.... xx... xxx.. xxxx. xxxxx" in result["masks"]["causal"]


def test_help_and_version(capsys):
    assert main([]) == main(["--help"]) == 0
    assert "regard train TASK --data DIR" in capsys.readouterr().out
    assert main(["--version"]) == 0


@pytest.mark.parametrize("arguments", [["train", "ner"], ["train", "srl"], ["train", "dates"], ["check", "ner"], ["predict"]])
def test_every_option_is_explained(capsys, arguments):
    with pytest.raises(SystemExit):
        main([*arguments, "--help"])
    options = re.findall(r"^  (--[\w.-]+)(?: \S+)?\s+(.*)", capsys.readouterr().out.split("options:")[1], re.M)
    assert len(options) > 2
    assert not [name for name, explained in options if explained.startswith("(")]


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        (["train", "ner"], "regard train ner [options]"),
        (["look"], "regard look MODEL --input INPUT [options]"),
        (["list"], "regard list [KIND] [options]"),
    ],
)
def test_usage_names_what_cannot_be_left_out(capsys, command, usage):
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    said = capsys.readouterr().out
    assert said.startswith(f"usage: {usage}\n\n")
    assert "CONFIG" not in said  # a recipe is one file, not one for each group of options


@pytest.mark.parametrize(
    ("task", "reads_hub"), [("ner", True), ("classify", True), ("paint", True), ("detect", False), ("srl", False)]
)
def test_help_says_who_reads_data_sets_of_the_hub(capsys, task, reads_hub):
    with pytest.raises(SystemExit):
        main(["check", task, "--help"])
    assert ("Hugging Face hub" in " ".join(capsys.readouterr().out.split())) == reads_hub


def test_a_command_without_a_task_names_the_tasks(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["check", "--help"])
    assert not stopped.value.code
    assert "  ner    Named entities" in capsys.readouterr().out
